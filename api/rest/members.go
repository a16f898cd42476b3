package rest

import (
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/projections/access"
)

// memberRoutes are about users in groups. Half of them say the same in two spellings, as
// Bitbucket has it.
func (a *API) memberRoutes() []route {
	return []route{
		{method: http.MethodPost, path: adminGroupsPath + "/add-user", summary: "Add a user (itemName) to a group (context)", handle: a.handleGroupAddUser, body: pickBody{}, status: 200},
		{method: http.MethodPost, path: adminGroupsPath + "/add-users", summary: "Add users to a group", handle: a.handleGroupAddUsers, body: groupUsersBody{}, status: 200},
		{method: http.MethodPost, path: adminGroupsPath + "/remove-user", summary: "Remove a user (itemName) from a group (context)", handle: a.handleGroupRemoveUser, body: pickBody{}, status: 200},
		{method: http.MethodGet, path: adminGroupsPath + "/more-members", summary: "List the users directly in a group", handle: a.handleMembers, query: []string{"context", "filter"}, paged: true, answer: restDetailedUser{}},
		{method: http.MethodGet, path: adminGroupsPath + "/more-non-members", summary: "List the users not directly in a group", handle: a.handleNonMembers, query: []string{"context", "filter"}, paged: true, answer: restDetailedUser{}},
		{method: http.MethodPost, path: adminUsersPath + "/add-group", summary: "Add a user (context) to a group (itemName)", handle: a.handleUserAddGroup, body: pickBody{}, status: 200},
		{method: http.MethodPost, path: adminUsersPath + "/add-groups", summary: "Add a user to groups", handle: a.handleUserAddGroups, body: userGroupsBody{}, status: 200},
		{method: http.MethodPost, path: adminUsersPath + "/remove-group", summary: "Remove a user (context) from a group (itemName)", handle: a.handleUserRemoveGroup, body: pickBody{}, status: 200},
		{method: http.MethodGet, path: adminUsersPath + "/more-members", summary: "List the groups that a user is directly in", handle: a.handleGroupsOf, query: []string{"context", "filter"}, paged: true, answer: restGroup{}},
		{method: http.MethodGet, path: adminUsersPath + "/more-non-members", summary: "List the groups that a user is not directly in", handle: a.handleGroupsNotOf, query: []string{"context", "filter"}, paged: true, answer: restGroup{}},
	}
}

type pickBody struct {
	Context  string `json:"context"`
	ItemName string `json:"itemName"`
}

type groupUsersBody struct {
	Group string   `json:"group"`
	Users []string `json:"users"`
}

type userGroupsBody struct {
	User   string   `json:"user"`
	Groups []string `json:"groups"`
}

// pick reads who is to be put where, for an administrator.
func (a *API) pick(c *call) (body pickBody, err error) {
	if err = a.judge.Global(c.ctx(), c.caller, rights.Admin); err == nil {
		err = c.decode(&body)
	}
	return body, err
}

func (a *API) handleGroupAddUser(c *call) error {
	body, err := a.pick(c)
	if err != nil {
		return err
	}
	return a.addMembers(c, []string{body.Context}, []string{body.ItemName})
}

func (a *API) handleUserAddGroup(c *call) error {
	body, err := a.pick(c)
	if err != nil {
		return err
	}
	return a.addMembers(c, []string{body.ItemName}, []string{body.Context})
}

func (a *API) handleGroupAddUsers(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	var body groupUsersBody
	if err := c.decode(&body); err != nil {
		return err
	}
	return a.addMembers(c, []string{body.Group}, body.Users)
}

func (a *API) handleUserAddGroups(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	var body userGroupsBody
	if err := c.decode(&body); err != nil {
		return err
	}
	return a.addMembers(c, body.Groups, []string{body.User})
}

// addMembers adds users to groups. All names are found before anything is changed.
func (a *API) addMembers(c *call, groupNames, userNames []string) error {
	if len(groupNames) == 0 || len(userNames) == 0 || len(groupNames)+len(userNames) > group.MaxAtOnce {
		return domain.Invalid("", "Name at least one user and one group, and no more than %d.", group.MaxAtOnce)
	}
	var groups []access.Group
	for _, name := range groupNames {
		g, err := a.groupByName(c, name)
		if err != nil {
			return err
		}
		if err := a.mayChangeMembers(c, g); err != nil {
			return err
		}
		groups = append(groups, g)
	}
	var users []domain.UserID
	for _, name := range userNames {
		u, err := a.Users.UserByName(c.ctx(), name)
		if err != nil {
			return err
		}
		users = append(users, u.ID)
	}
	for _, g := range groups {
		if err := a.seatedBy(c, g, users, nil); err != nil {
			return err
		}
	}
	for _, g := range groups {
		if err := a.changeGroup(c, g.ID, group.AddMembers{Users: users}); err != nil {
			return err
		}
	}
	return c.NoContent(http.StatusOK)
}

func (a *API) handleGroupRemoveUser(c *call) error {
	body, err := a.pick(c)
	if err != nil {
		return err
	}
	return a.removeMember(c, body.Context, body.ItemName)
}

func (a *API) handleUserRemoveGroup(c *call) error {
	body, err := a.pick(c)
	if err != nil {
		return err
	}
	return a.removeMember(c, body.ItemName, body.Context)
}

func (a *API) removeMember(c *call, groupName, userName string) error {
	g, err := a.groupByName(c, groupName)
	if err != nil {
		return err
	}
	u, err := a.Users.UserByName(c.ctx(), userName)
	if err != nil {
		return err
	}
	if err := a.mayChangeMembers(c, g); err != nil {
		return err
	}
	if u.ID == c.caller.User.ID {
		if err := a.keepsRankOutside(c, g); err != nil {
			return err
		}
	}
	if err := a.changeGroup(c, g.ID, group.RemoveMembers{Users: []domain.UserID{u.ID}}); err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

func (a *API) handleMembers(c *call) error {
	return a.listMembers(c, func(f *access.UserFilter, id domain.GroupID) { f.In = id })
}

func (a *API) handleNonMembers(c *call) error {
	return a.listMembers(c, func(f *access.UserFilter, id domain.GroupID) { f.NotIn = id })
}

func (a *API) listMembers(c *call, narrow func(*access.UserFilter, domain.GroupID)) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	g, err := a.groupByName(c, c.QueryParam("context"))
	if err != nil {
		return err
	}
	filter := access.UserFilter{Text: c.QueryParam("filter")}
	narrow(&filter, g.ID)
	list, more, err := a.Users.Users(c.ctx(), filter, access.Page(w))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, convert(list, a.restDetailedUser), more))
}

func (a *API) handleGroupsOf(c *call) error {
	return a.listGroupsOf(c, func(f *access.GroupFilter, id domain.UserID) { f.Of = id })
}

func (a *API) handleGroupsNotOf(c *call) error {
	return a.listGroupsOf(c, func(f *access.GroupFilter, id domain.UserID) { f.NotOf = id })
}

func (a *API) listGroupsOf(c *call, narrow func(*access.GroupFilter, domain.UserID)) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	u, err := a.Users.UserByName(c.ctx(), c.QueryParam("context"))
	if err != nil {
		return err
	}
	var filter access.GroupFilter
	narrow(&filter, u.ID)
	return listGroups(a, c, filter, showGroup)
}
