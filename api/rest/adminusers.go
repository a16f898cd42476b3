package rest

import (
	"net/http"

	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

const adminUsersPath = apiPath + "/admin/users"

func (a *API) adminUserRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: adminUsersPath, summary: "List users with what administrators see of them",
			handle: a.handleListDetailedUsers, query: []string{"filter"}, paged: true, answer: restDetailedUser{},
		},
		{
			method: http.MethodPost, path: adminUsersPath, summary: "Create a user from query parameters",
			handle: a.handleCreateUser, query: []string{"name", "password", "displayName", "emailAddress", "addToDefaultGroup", "notify"},
		},
		{
			method: http.MethodPut, path: adminUsersPath, summary: "Change a user's name or e-mail address",
			handle: a.handleUpdateUser, body: userBody{}, answer: restDetailedUser{},
		},
		{
			method: http.MethodDelete, path: adminUsersPath, summary: "Deactivate a user",
			handle: a.handleDeactivateUser, query: []string{"name"}, answer: restDetailedUser{},
		},
		{
			method: http.MethodPut, path: adminUsersPath + "/credentials", summary: "Set a user's password",
			handle: a.handleSetPassword, body: passwordBody{},
		},
		{
			method: http.MethodPost, path: adminUsersPath + "/rename", summary: "Give a user another name",
			handle: a.handleRenameUser, body: renameBody{}, answer: restDetailedUser{},
		},
		{
			method: http.MethodGet, path: adminUsersPath + "/erasure", summary: "Whether a user, who must have been deleted, can be erased",
			handle: a.handleCheckErasure, query: []string{"name"},
		},
		{
			method: http.MethodPost, path: adminUsersPath + "/erasure", summary: "Forget a deleted user for ever, as data protection law may demand",
			handle: a.handleErase, query: []string{"name"}, answer: restErasedUser{},
		},
	}
}

type restErasedUser struct {
	NewIdentifier string `json:"newIdentifier"` // the name that he has from now on
}

type restDetailedUser struct {
	restUser
	DirectoryName  string `json:"directoryName"`
	Deletable      bool   `json:"deletable"`
	MutableDetails bool   `json:"mutableDetails"`
	MutableGroups  bool   `json:"mutableGroups"`
}

type userBody struct {
	Name        string  `json:"name"`
	DisplayName *string `json:"displayName"`
	Email       *string `json:"email"`
}

type renameBody struct {
	Name    string `json:"name"`
	NewName string `json:"newName"`
}

func (a *API) restDetailedUser(u access.User) restDetailedUser {
	return restDetailedUser{restUser: a.restUser(u), DirectoryName: "Annal Internal Directory", Deletable: true, MutableDetails: true, MutableGroups: true}
}

func (a *API) handleListDetailedUsers(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	list, more, err := a.Users.Users(c.ctx(), access.UserFilter{Text: c.QueryParam("filter")}, access.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, a.restDetailedUser), more))
}

func (a *API) handleCreateUser(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	toGroup, err := c.flag("addToDefaultGroup", true)
	if err != nil {
		return err
	}
	if notify, err := c.flag("notify", false); err != nil || notify {
		if err == nil {
			err = domain.Invalid("notify", "No mail server is configured: give the user a password.")
		}
		return err
	}
	for _, name := range []string{"name", "displayName", "emailAddress"} {
		if c.QueryParam(name) == "" {
			return domain.Invalid(name, "The parameter %q is required.", name)
		}
	}
	if toGroup {
		if err := a.seatsFor(c, 1); err != nil {
			return err
		}
	}
	hash, err := a.Credentials.NewPassword(c.ctx(), c.QueryParam("name"), c.QueryParam("password"))
	if err != nil {
		return err
	}
	number, err := a.Log.NextID(c.ctx(), "user")
	if err != nil {
		return err
	}
	id := domain.UserID(number)
	events, err := account.Decide(account.State{}, account.Create{
		ID: id, PasswordHash: hash,
		Profile: account.Profile{Name: c.QueryParam("name"), DisplayName: c.QueryParam("displayName"), Email: c.QueryParam("emailAddress")},
	})
	if err != nil {
		return err
	}
	if toGroup {
		granted, err := rights.Decide(nil, rights.Grant{User: id, Permission: rights.LicensedUser})
		if err != nil {
			return err
		}
		events = append(events, granted...)
	}
	if _, err := a.Log.Append(c.ctx(), eventstore.Proposal{Stream: domain.UserStream(id), Expect: 0, Events: events, Meta: c.meta}); err != nil {
		return err
	}
	return c.none()
}

// subordinate finds a user whom the caller, an administrator, may change: one who
// does not stand above him. above is what to answer if he does.
func (a *API) subordinate(c *call, name string, above error) (access.User, error) {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return access.User{}, err
	}
	u, err := a.Users.UserByName(c.ctx(), name)
	if err != nil {
		return access.User{}, err
	}
	his, err := a.Users.Held(c.ctx(), u.ID, 0, 0)
	if err != nil {
		return access.User{}, err
	}
	if his.Allow(rights.SysAdmin) && a.judge.Global(c.ctx(), c.caller, rights.SysAdmin) != nil {
		return access.User{}, above
	}
	return u, nil
}

func (a *API) handleUpdateUser(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	var body userBody
	if err := c.decode(&body); err != nil {
		return err
	}
	u, err := a.subordinate(c, body.Name, &permission.DeniedError{Need: rights.SysAdmin})
	if err != nil {
		return err
	}
	command := account.Command(account.ChangeProfile{DisplayName: body.DisplayName, Email: body.Email})
	return a.changeUser(c, u.ID, command)
}

func (a *API) handleRenameUser(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	var body renameBody
	if err := c.decode(&body); err != nil {
		return err
	}
	u, err := a.subordinate(c, body.Name, &permission.DeniedError{Need: rights.SysAdmin})
	if err != nil {
		return err
	}
	return a.changeUser(c, u.ID, account.ChangeProfile{Name: &body.NewName})
}

// changeUser carries a command out and answers with what has become of the user.
func (a *API) changeUser(c *call, id domain.UserID, command account.Command) error {
	if err := execute(a, c, domain.UserStream(id), account.Evolve, account.Decide, command); err != nil {
		return err
	}
	u, err := a.Users.User(c.ctx(), id)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restDetailedUser(u))
}

func (a *API) handleDeactivateUser(c *call) error {
	u, err := a.subordinate(c, c.QueryParam("name"), forbidden("You may not remove a user who has more permissions than you."))
	if err != nil {
		return err
	}
	if u.ID == c.caller.User.ID {
		return domain.Conflict("", "You cannot remove yourself.")
	}
	return a.changeUser(c, u.ID, account.Deactivate{})
}

func (a *API) handleSetPassword(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	var body passwordBody
	if err := c.decode(&body); err != nil {
		return err
	}
	u, err := a.subordinate(c, body.Name, &permission.DeniedError{Need: rights.SysAdmin})
	if err != nil {
		return err
	}
	if err := a.setPassword(c, u, body); err != nil {
		return err
	}
	return c.none()
}

// forbidden is for what the caller may do, but not to this one.
func forbidden(message string) error {
	return &exceptionError{status: http.StatusForbidden, exception: exceptionAuthorisation, message: message}
}

// erasable finds a user who has been deleted and may be erased by the caller.
func (a *API) erasable(c *call) (access.User, error) {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return access.User{}, err
	}
	u, err := a.userByQueriedName(c)
	if err != nil {
		return access.User{}, err
	}
	if u, err = a.subordinate(c, u.Name, &permission.DeniedError{Need: rights.SysAdmin}); err != nil {
		return access.User{}, err
	}
	if u.Active {
		return access.User{}, domain.Conflict("name", "User %q has not been deleted. Delete the user first.", u.Name)
	}
	return u, nil
}

func (a *API) handleCheckErasure(c *call) error {
	if _, err := a.erasable(c); err != nil {
		return err
	}
	return c.none()
}

func (a *API) handleErase(c *call) error {
	u, err := a.erasable(c)
	if err != nil {
		return err
	}
	if err := eventstore.Erase(c.ctx(), a.Log, u.ID, c.meta, nil); err != nil {
		return err
	}
	if u, err = a.Users.User(c.ctx(), u.ID); err != nil {
		return err
	}
	return c.json(http.StatusOK, restErasedUser{u.Name})
}
