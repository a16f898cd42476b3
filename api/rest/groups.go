package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

const (
	adminGroupsPath = apiPath + "/admin/groups"
	ownGroupPath    = annalPath + "/groups/{groupId}"
)

// The routes under /rest/annal are ours: Bitbucket's groups have no numbers, no other name and
// no groups in them.
func (a *API) groupRoutes() []route {
	return []route{
		{method: http.MethodGet, path: apiPath + "/groups", summary: "List the names of groups", handle: a.handleListGroupNames, query: []string{"filter"}, paged: true, answer: ""},
		{method: http.MethodGet, path: adminGroupsPath, summary: "List groups", handle: a.handleListGroups, query: []string{"filter"}, paged: true, answer: restGroup{}},
		{method: http.MethodPost, path: adminGroupsPath, summary: "Create a group", handle: a.handleCreateGroup, query: []string{"name"}, answer: restGroup{}},
		{method: http.MethodDelete, path: adminGroupsPath, summary: "Delete a group, and with it what it has been granted", handle: a.handleDeleteGroup, query: []string{"name"}, answer: restGroup{}},
		{method: http.MethodGet, path: annalPath + "/groups", summary: "List groups with their numbers", handle: a.handleListOwnGroups, query: []string{"filter"}, paged: true, answer: ownGroup{}},
		{method: http.MethodGet, path: ownGroupPath, summary: "Get a group", handle: a.handleGetGroup, answer: ownGroup{}},
		{method: http.MethodPut, path: ownGroupPath, summary: "Give a group another name", handle: a.handleRenameGroup, body: groupNameBody{}, answer: ownGroup{}},
		{method: http.MethodGet, path: ownGroupPath + "/groups", summary: "List the groups that are directly in a group", handle: a.handleListNested, paged: true, answer: ownGroup{}},
		{method: http.MethodPut, path: ownGroupPath + "/groups/{memberId}", summary: "Put a group into a group", handle: a.handleNest},
		{method: http.MethodDelete, path: ownGroupPath + "/groups/{memberId}", summary: "Take a group out of a group", handle: a.handleUnnest},
	}
}

type restGroup struct {
	Name      string `json:"name"`
	Deletable bool   `json:"deletable"`
}

type ownGroup struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

type groupNameBody struct {
	Name string `json:"name"`
}

func showGroup(g access.Group) restGroup   { return restGroup{Name: g.Name, Deletable: true} }
func showOwnGroup(g access.Group) ownGroup { return ownGroup{ID: int64(g.ID), Name: g.Name} }

// listGroups answers with a page of groups, as show makes them.
func listGroups[T any](a *API, c *call, f access.GroupFilter, show func(access.Group) T) error {
	return answerGroups(a, c, http.StatusOK, f, show)
}

func answerGroups[T any](a *API, c *call, status int, f access.GroupFilter, show func(access.Group) T) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	f.Text = c.QueryParam("filter")
	list, more, err := a.Users.GroupList(c.ctx(), f, access.Page(w))
	if err != nil {
		return err
	}
	return c.json(status, pageOf(w, convert(list, show), more))
}

func (a *API) handleListGroupNames(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	return listGroups(a, c, access.GroupFilter{}, func(g access.Group) string { return g.Name })
}

func (a *API) handleListGroups(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	return listGroups(a, c, access.GroupFilter{}, showGroup)
}

func (a *API) handleListOwnGroups(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	return listGroups(a, c, access.GroupFilter{}, showOwnGroup)
}

func (a *API) handleCreateGroup(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	number, err := a.Log.NextID(c.ctx(), "group")
	if err != nil {
		return err
	}
	id := domain.GroupID(number)
	events, err := group.Decide(group.State{}, group.Create{ID: id, Name: c.QueryParam("name")})
	if err != nil {
		return err
	}
	if _, err := a.Log.Append(c.ctx(), eventstore.Proposal{Stream: domain.GroupStream(id), Expect: 0, Events: events, Meta: c.meta}); err != nil {
		return err
	}
	g, err := a.Users.Group(c.ctx(), id)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showGroup(g))
}

func (a *API) handleDeleteGroup(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	g, err := a.groupByName(c, c.QueryParam("name"))
	if err != nil {
		return err
	}
	if err := a.mayChangeMembers(c, g); err != nil {
		return err
	}
	if err := a.keepsRankOutside(c, g); err != nil {
		return err
	}
	if err := a.changeGroup(c, g.ID, group.Delete{}); err != nil {
		return err
	}
	return c.json(http.StatusOK, showGroup(g))
}

// groupByName finds a group that a client has named.
func (a *API) groupByName(c *call, name string) (access.Group, error) {
	if name = strings.TrimSpace(name); name == "" {
		return access.Group{}, domain.Invalid("name", "The name of a group is required.")
	}
	return a.Users.GroupByName(c.ctx(), name)
}

func (a *API) changeGroup(c *call, id domain.GroupID, command group.Command) error {
	return execute(a, c, domain.GroupStream(id), group.Evolve, group.Decide, command)
}

// mayChangeMembers refuses to change a group that gives its members more than the caller has.
func (a *API) mayChangeMembers(c *call, g access.Group) error {
	gives, err := a.Users.HeldByGroup(c.ctx(), g.ID)
	if err != nil {
		return err
	}
	mine, err := a.Users.Held(c.ctx(), c.caller.User.ID, 0, 0)
	if err != nil {
		return err
	}
	for _, p := range gives {
		if !mine.Allow(p) {
			return forbidden("You may not change a group that has more permissions than you.")
		}
	}
	return nil
}

// keepsRankOutside refuses what takes the caller out of a group that he has a global
// permission by.
func (a *API) keepsRankOutside(c *call, g access.Group) error {
	mine, err := a.Users.Held(c.ctx(), c.caller.User.ID, 0, 0)
	if err != nil {
		return err
	}
	left, err := a.Users.HeldOutside(c.ctx(), c.caller.User.ID, g.ID)
	if err != nil {
		return err
	}
	for _, had := range mine {
		if !left.Allow(had) {
			return domain.Conflict("", "You may not reduce your own permissions.")
		}
	}
	return nil
}

// ownGroup finds the group that a parameter of the path numbers, for callers who may change it
// if change is set, else for all who may log in.
func (a *API) ownGroup(c *call, parameter string, change bool) (access.Group, error) {
	need := rights.LicensedUser
	if change {
		need = rights.Admin
	}
	if err := a.judge.Global(c.ctx(), c.caller, need); err != nil {
		return access.Group{}, err
	}
	id, err := strconv.ParseInt(c.Param(parameter), 10, 64)
	if err != nil {
		return access.Group{}, domain.Invalid(parameter, "A group is given by its number here.")
	}
	g, err := a.Users.Group(c.ctx(), domain.GroupID(id))
	if err == nil && change {
		err = a.mayChangeMembers(c, g)
	}
	return g, err
}

func (a *API) handleGetGroup(c *call) error {
	g, err := a.ownGroup(c, "groupId", false)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showOwnGroup(g))
}

func (a *API) handleRenameGroup(c *call) error {
	g, err := a.ownGroup(c, "groupId", true)
	if err != nil {
		return err
	}
	var body groupNameBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := a.changeGroup(c, g.ID, group.Rename(body)); err != nil {
		return err
	}
	if g, err = a.Users.Group(c.ctx(), g.ID); err != nil {
		return err
	}
	return c.json(http.StatusOK, showOwnGroup(g))
}

func (a *API) handleListNested(c *call) error {
	g, err := a.ownGroup(c, "groupId", false)
	if err != nil {
		return err
	}
	return listGroups(a, c, access.GroupFilter{In: g.ID}, showOwnGroup)
}

func (a *API) handleNest(c *call) error {
	g, err := a.ownGroup(c, "groupId", true)
	if err != nil {
		return err
	}
	member, err := a.ownGroup(c, "memberId", false)
	if err != nil {
		return err
	}
	if err := a.seatedBy(c, g, nil, []domain.GroupID{member.ID}); err != nil {
		return err
	}
	if err := a.changeGroup(c, g.ID, group.AddMembers{Groups: []domain.GroupID{member.ID}}); err != nil {
		return err
	}
	return c.none()
}

func (a *API) handleUnnest(c *call) error {
	g, err := a.ownGroup(c, "groupId", true)
	if err != nil {
		return err
	}
	member, err := a.ownGroup(c, "memberId", false)
	if err != nil {
		return err
	}
	if err := a.keepsRankOutside(c, g); err != nil {
		return err
	}
	if err := a.changeGroup(c, g.ID, group.RemoveMembers{Groups: []domain.GroupID{member.ID}}); err != nil {
		return err
	}
	return c.none()
}
