package rest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
)

func (a *API) userRoutes() []route {
	return []route{
		{
			method: http.MethodGet, path: apiPath + "/users", summary: "List users, by a part of their names and by what they may do",
			handle: a.handleListUsers, query: []string{"filter", "permission", "permission.N"}, paged: true, answer: restUser{},
		},
		{method: http.MethodGet, path: apiPath + "/users/{userSlug}", summary: "Get a user", handle: a.handleGetUser, answer: restUser{}},
		{
			method: http.MethodPut, path: apiPath + "/users", summary: "Change one's own name or e-mail address",
			handle: a.handleUpdateSelf, body: selfBody{}, answer: restUser{},
		},
		{
			method: http.MethodPut, path: apiPath + "/users/credentials", summary: "Change one's own password",
			handle: a.handleChangePassword, body: passwordBody{},
		},
	}
}

type restUser struct {
	Name         string `json:"name"`
	EmailAddress string `json:"emailAddress,omitempty"`
	Active       bool   `json:"active"`
	DisplayName  string `json:"displayName"`
	ID           int64  `json:"id"`
	Slug         string `json:"slug"`
	Type         string `json:"type"`
	Links        links  `json:"links"`
}

type selfBody struct {
	DisplayName *string `json:"displayName"`
	Email       *string `json:"email"`
	Password    string  `json:"password"` // the one the user has; needed to change the e-mail address
}

type passwordBody struct {
	Name            string `json:"name"`
	OldPassword     string `json:"oldPassword"`
	Password        string `json:"password"`
	PasswordConfirm string `json:"passwordConfirm"`
}

func (a *API) restUser(u access.User) restUser {
	return restUser{
		Name: u.Name, EmailAddress: u.Email, Active: u.Active, DisplayName: u.DisplayName, ID: int64(u.ID), Slug: u.Slug, Type: string(u.Type),
		Links: links{Self: []link{{Href: a.page("users", u.Slug)}}},
	}
}

func (a *API) handleListUsers(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	filter := access.UserFilter{Text: c.QueryParam("filter")}
	roots := []string{"permission"}
	for n := 1; n <= access.MaxRequirements; n++ {
		roots = append(roots, fmt.Sprintf("permission.%d", n))
	}
	for _, root := range roots {
		if c.QueryParam(root) == "" {
			if root == "permission" {
				continue
			}
			break // the numbers have no gaps
		}
		requirement, err := a.requirement(c, root)
		if err != nil {
			return err
		}
		filter.Requirements = append(filter.Requirements, requirement)
	}
	list, more, err := a.Users.Users(c.ctx(), filter, access.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, a.restUser), more))
}

// requirement reads one permission filter: the permission under root, and below it
// the project or repository it is asked on, which the caller must be able to see.
func (a *API) requirement(c *call, root string) (access.Requirement, error) {
	p, err := rights.ParsePermission(c.QueryParam(root))
	if err != nil {
		return access.Requirement{}, err
	}
	requirement := access.Requirement{Permission: p}
	key, slug := c.QueryParam(root+".projectKey"), c.QueryParam(root+".repositorySlug")
	switch p.Level() {
	case rights.Project:
		found, err := a.requiredProject(c, root, key)
		if err != nil {
			return access.Requirement{}, err
		}
		requirement.Project, requirement.Readable = found.ID, found.Public
	case rights.Repository:
		found, err := a.requiredRepository(c, root, key, slug)
		if err != nil {
			return access.Requirement{}, err
		}
		requirement.Repository, requirement.Project, requirement.Readable = found.ID, found.Project.ID, found.Readable()
	}
	return requirement, nil
}

func (a *API) requiredProject(c *call, root, key string) (catalog.Project, error) {
	if text := c.QueryParam(root + ".projectId"); text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return catalog.Project{}, domain.Invalid(root+".projectId", "The project's id must be a number.")
		}
		found, err := a.Catalog.ProjectByID(c.ctx(), domain.ProjectID(id))
		if err != nil {
			return catalog.Project{}, err
		}
		visible, err := a.judge.Project(c.ctx(), c.caller, found.Key, "")
		if absent(err) {
			// Named as the caller has named it: its key is not his to know.
			err = domain.NotFound("project", "Project %d does not exist.", id)
		}
		return visible, err
	}
	if key == "" {
		return catalog.Project{}, domain.Invalid(root, "A project permission needs %s.projectKey.", root)
	}
	return a.judge.Project(c.ctx(), c.caller, key, "")
}

func (a *API) requiredRepository(c *call, root, key, slug string) (catalog.Repository, error) {
	if text := c.QueryParam(root + ".repositoryId"); text != "" {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return catalog.Repository{}, domain.Invalid(root+".repositoryId", "The repository's id must be a number.")
		}
		found, err := a.Catalog.RepositoryByID(c.ctx(), domain.RepositoryID(id))
		if err != nil {
			return catalog.Repository{}, err
		}
		readable, err := a.judge.Repository(c.ctx(), c.caller, found.Project.Key, found.Slug, rights.RepoRead)
		if absent(err) {
			err = domain.NotFound("repository", "Repository %d does not exist.", id)
		}
		return readable, err
	}
	if key == "" || slug == "" {
		return catalog.Repository{}, domain.Invalid(root, "A repository permission needs %s.projectKey and %s.repositorySlug.", root, root)
	}
	return a.judge.Repository(c.ctx(), c.caller, key, slug, rights.RepoRead)
}

func (a *API) handleGetUser(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	u, err := a.Users.UserBySlug(c.ctx(), c.Param("userSlug"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restUser(u))
}

// ownsAccount lets in callers who proved themselves by password, now or when their session
// began: a token must not be able to take the account over.
func (a *API) ownsAccount(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	if c.caller.Scopes != nil {
		return &permission.DeniedError{Need: rights.LicensedUser}
	}
	return nil
}

func (a *API) handleUpdateSelf(c *call) error {
	if !c.caller.Profile { // an application that was let do this
		if err := a.ownsAccount(c); err != nil {
			return err
		}
	}
	var body selfBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.Email != nil && *body.Email != c.caller.User.Email {
		if _, err := a.Credentials.Password(c.Request(), c.caller.User.Name, body.Password); err != nil {
			return err
		}
	}
	command := account.Command(account.ChangeProfile{DisplayName: body.DisplayName, Email: body.Email})
	if err := execute(a, c, domain.UserStream(c.caller.User.ID), account.Evolve, account.Decide, command); err != nil {
		return err
	}
	u, err := a.Users.User(c.ctx(), c.caller.User.ID)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restUser(u))
}

func (a *API) handleChangePassword(c *call) error {
	if err := a.ownsAccount(c); err != nil {
		return err
	}
	var body passwordBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if _, err := a.Credentials.Password(c.Request(), c.caller.User.Name, body.OldPassword); err != nil {
		if refused := (*credentials.RefusedError)(nil); errors.As(err, &refused) {
			return domain.Invalid("oldPassword", "The old password is not right.")
		}
		return err
	}
	if err := a.setPassword(c, c.caller.User, body); err != nil {
		return err
	}
	return c.none()
}

func (a *API) setPassword(c *call, u access.User, body passwordBody) error {
	if body.Password != body.PasswordConfirm {
		return domain.Invalid("passwordConfirm", "The two passwords differ.")
	}
	hash, err := a.Credentials.NewPassword(c.ctx(), u.Name, body.Password)
	if err != nil {
		return err
	}
	return execute(a, c, domain.UserStream(u.ID), account.Evolve, account.Decide, account.Command(account.SetPassword{Hash: hash}))
}

// userByQueriedName finds the user that the query parameter "name" names.
func (a *API) userByQueriedName(c *call) (access.User, error) {
	name := strings.TrimSpace(c.QueryParam("name"))
	if name == "" {
		return access.User{}, domain.Invalid("name", "The parameter \"name\" is required.")
	}
	return a.Users.UserByName(c.ctx(), name)
}
