package rest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/projections/access"
)

func (a *API) groupPermissionRoutes() []route {
	var routes []route
	for _, level := range []struct {
		path, of string
		target   func(c *call) (grantTarget, error)
		none     int // status of the list of groups without a grant: Bitbucket's differ
	}{
		{apiPath + "/admin", "the whole installation", a.globalTarget, http.StatusOK},
		{projectPath, "a project", a.projectTarget, http.StatusAccepted},
		{repositoryPath, "a repository", a.repositoryTarget, http.StatusOK},
	} {
		path := level.path + "/permissions/groups"
		routes = append(routes,
			route{
				method: http.MethodGet, path: path, summary: "List which groups have been granted what on " + level.of,
				handle: a.listGroupGrants(level.target), query: []string{"filter"}, paged: true, answer: restGroupGrant{},
			},
			route{
				method: http.MethodPut, path: path, summary: "Grant groups a permission on " + level.of,
				handle: a.grantGroups(level.target), query: []string{"name", "permission"},
			},
			route{
				method: http.MethodDelete, path: path, summary: "Revoke a group's permission on " + level.of,
				handle: a.revokeGroup(level.target), query: []string{"name"},
			},
			route{
				method: http.MethodGet, path: path + "/none", summary: "List groups that have been granted nothing on " + level.of,
				handle: a.listUngrantedGroups(level.target, level.none), query: []string{"filter"}, paged: true, answer: restGroup{}, status: level.none,
			})
	}
	return routes
}

type restGroupGrant struct {
	Group      restGroupName `json:"group"`
	Permission string        `json:"permission"`
}

type restGroupName struct {
	Name string `json:"name"`
}

func (a *API) listGroupGrants(target func(c *call) (grantTarget, error)) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		t, err := target(c)
		if err != nil {
			return err
		}
		list, more, err := a.Users.GroupGrants(c.ctx(), t.Target, c.QueryParam("filter"), access.Page(w))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, pageOf(w, convert(list, func(g access.GroupGrant) restGroupGrant {
			return restGroupGrant{Group: restGroupName{g.Group.Name}, Permission: string(g.Permission)}
		}), more))
	}
}

func (a *API) listUngrantedGroups(target func(c *call) (grantTarget, error), status int) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		return answerGroups(a, c, status, access.GroupFilter{Without: &t.Target}, showGroup)
	}
}

func (a *API) grantGroups(target func(c *call) (grantTarget, error)) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		p, err := rights.ParsePermission(c.QueryParam("permission"))
		if err != nil {
			return err
		}
		if p.Level() != t.Level() {
			return domain.Invalid("permission", "%s cannot be granted here.", p)
		}
		names := c.QueryParams()["name"]
		if len(names) == 0 {
			return domain.Invalid("name", "The parameter \"name\" is required.")
		}
		// Found before anything is granted, so that a wrong name grants nobody anything.
		groups := make([]access.Group, len(names))
		for i, name := range names {
			if groups[i], err = a.groupByName(c, name); err != nil {
				return err
			}
			if err := a.mayChangeGrant(c, groups[i], t, p, http.StatusForbidden); err != nil {
				return err
			}
		}
		if t.Level() == rights.Global {
			if err := a.seated(c, nil, convert(groups, func(g access.Group) domain.GroupID { return g.ID })); err != nil {
				return err
			}
		}
		for _, g := range groups {
			if err := a.changeGrant(c, g, t, rights.Grant{Group: g.ID, Permission: p, Target: t.Target}); err != nil {
				return err
			}
		}
		return c.none()
	}
}

func (a *API) revokeGroup(target func(c *call) (grantTarget, error)) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		g, err := a.groupByName(c, c.QueryParam("name"))
		if err != nil {
			return err
		}
		if err := a.mayChangeGrant(c, g, t, "", http.StatusConflict); err != nil {
			return err
		}
		if err := a.changeGrant(c, g, t, rights.Revoke{Group: g.ID, Target: t.Target}); err != nil {
			return err
		}
		return c.none()
	}
}

func (a *API) changeGrant(c *call, g access.Group, t grantTarget, command rights.Command) error {
	return execute(a, c, t.StreamOf(rights.Holder{Group: g.ID}), rights.Evolve, rights.Decide, command)
}

// mayChangeGrant is mayChange for a group.
func (a *API) mayChangeGrant(c *call, g access.Group, t grantTarget, p rights.Permission, locked int) error {
	holder := rights.Holder{Group: g.ID}
	if t.Level() != rights.Global {
		return a.staysAdministrator(c, holder, t, p, locked)
	}
	if p != "" {
		if err := a.judge.Global(c.ctx(), c.caller, p); err != nil {
			return err
		}
	}
	gives, err := a.Users.HeldByGroup(c.ctx(), g.ID)
	if err != nil {
		return err
	}
	mine, err := a.Users.Held(c.ctx(), c.caller.User.ID, 0, 0)
	if err != nil {
		return err
	}
	for _, had := range gives {
		if !mine.Allow(had) {
			return domain.Conflict("", "You may not change the permissions of a group that has more than you.")
		}
	}
	kept := rights.Permission("")
	if in, err := a.Users.Groups(c.ctx(), c.caller.User.ID); err != nil {
		return err
	} else if slices.Contains(in, g.ID) {
		kept = p
	}
	return a.keepsRank(c, holder, mine, kept)
}

func (a *API) defaultPermissionRoutes() []route {
	path := projectPath + "/permissions/{permission}/all"
	return []route{
		{method: http.MethodGet, path: path, summary: "Whether everybody who may log in has a permission on a project", handle: a.handleGetDefault, answer: restPermitted{}},
		{method: http.MethodPost, path: path, summary: "Grant everybody who may log in a permission on a project, or revoke it", handle: a.handleSetDefault, query: []string{"allow"}},
	}
}

type restPermitted struct {
	Permitted bool `json:"permitted"`
}

// defaultPermission reads the permission of the path, for administrators of the project.
func (a *API) defaultPermission(c *call) (grantTarget, rights.Permission, error) {
	t, err := a.projectTarget(c)
	if err != nil {
		return t, "", err
	}
	p, err := rights.ParsePermission(strings.TrimSpace(c.Param("permission")))
	if err == nil && p.Level() != rights.Project {
		err = domain.Invalid("permission", "%s is not a permission on projects.", p)
	}
	return t, p, err
}

func (a *API) handleGetDefault(c *call) error {
	t, p, err := a.defaultPermission(c)
	if err != nil {
		return err
	}
	now, err := a.Users.Default(c.ctx(), t.Project)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, restPermitted{Permitted: now == p})
}

// handleSetDefault brings the default to the permission. Revoking another than the one that is
// the default changes nothing.
func (a *API) handleSetDefault(c *call) error {
	t, p, err := a.defaultPermission(c)
	if err != nil {
		return err
	}
	allow, err := c.flag("allow", true)
	if err != nil {
		return err
	}
	wanted := p
	if !allow {
		if now, err := a.Users.Default(c.ctx(), t.Project); err != nil || now != p {
			if err == nil {
				err = c.none()
			}
			return err
		}
		wanted = ""
	}
	command := rights.Command(rights.SetDefault{Project: t.Project, Permission: wanted})
	if err := a.staysAdministratorByDefault(c, t, wanted); err != nil {
		return err
	}
	if err := execute(a, c, domain.ProjectStream(t.Project), rights.Evolve, rights.Decide, command); err != nil {
		return err
	}
	return c.none()
}

// staysAdministratorByDefault refuses to take the default permission away from a caller who
// administers the project by nothing else.
func (a *API) staysAdministratorByDefault(c *call, t grantTarget, wanted rights.Permission) error {
	now, err := a.Users.Default(c.ctx(), t.Project)
	if err != nil || now != rights.ProjectAdmin {
		return err
	}
	mine, err := a.Users.HeldExcept(c.ctx(), c.caller.User.ID, t.Project, 0, rights.Holder{}, t.Target)
	if err != nil || wanted == rights.ProjectAdmin || mine.Allow(rights.ProjectAdmin) {
		return err
	}
	return &exceptionError{status: http.StatusForbidden, exception: exceptionIntegrity, message: "You may not reduce your own permissions."}
}
