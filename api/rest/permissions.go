package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/projections/access"
)

func (a *API) permissionRoutes() []route {
	var routes []route
	for _, level := range []struct {
		path, of string
		target   func(c *call) (grantTarget, error)
	}{
		{apiPath + "/admin", "the whole installation", a.globalTarget},
		{projectPath, "a project", a.projectTarget},
		{repositoryPath, "a repository", a.repositoryTarget},
	} {
		path := level.path + "/permissions/users"
		routes = append(routes,
			route{
				method: http.MethodGet, path: path, summary: "List who has been granted what on " + level.of,
				handle: a.listGrants(level.target), query: []string{"filter"}, paged: true, answer: restGrant{},
			},
			route{
				method: http.MethodPut, path: path, summary: "Grant users a permission on " + level.of,
				handle: a.grant(level.target), query: []string{"name", "permission"},
			},
			route{
				method: http.MethodDelete, path: path, summary: "Revoke a user's permission on " + level.of,
				handle: a.revoke(level.target), query: []string{"name"},
			},
			route{
				method: http.MethodGet, path: path + "/none", summary: "List users who have been granted nothing on " + level.of,
				handle: a.listUngranted(level.target), query: []string{"filter"}, paged: true, answer: restUser{},
			})
	}
	return append(routes,
		route{
			method: http.MethodDelete, path: projectPath + "/permissions", summary: "Revoke what users and groups have been granted on a project",
			handle: a.revokeAll(a.projectTarget), query: []string{"user", "group"},
		},
		route{
			method: http.MethodDelete, path: repositoryPath + "/permissions", summary: "Revoke what users and groups have been granted on a repository",
			handle: a.revokeAll(a.repositoryTarget), query: []string{"user", "group"},
		})
}

type restGrant struct {
	User       restUser `json:"user"`
	Permission string   `json:"permission"`
}

// grantTarget is what a permission is granted on, and for a repository the project
// that it is in.
type grantTarget struct {
	rights.Target
	within domain.ProjectID
}

// administration is the permission that it takes to grant others on the target.
func (t grantTarget) administration() rights.Permission {
	if t.Level() == rights.Repository {
		return rights.RepoAdmin
	}
	return rights.ProjectAdmin
}

// project is the target, or what the target is in; 0 for the whole installation.
func (t grantTarget) project() domain.ProjectID {
	if t.Level() == rights.Repository {
		return t.within
	}
	return t.Project
}

// The targets are found for callers who may administer them, and for no others.

func (a *API) globalTarget(c *call) (grantTarget, error) {
	return grantTarget{}, a.judge.Global(c.ctx(), c.caller, rights.Admin)
}

func (a *API) projectTarget(c *call) (grantTarget, error) {
	p, err := a.judge.Project(c.ctx(), c.caller, c.Param("projectKey"), rights.ProjectAdmin)
	return grantTarget{Target: rights.Target{Project: p.ID}}, err
}

func (a *API) repositoryTarget(c *call) (grantTarget, error) {
	r, err := a.repository(c, rights.RepoAdmin)
	return grantTarget{Target: rights.Target{Repository: r.ID}, within: r.Project.ID}, err
}

func (a *API) listGrants(target func(c *call) (grantTarget, error)) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		t, err := target(c)
		if err != nil {
			return err
		}
		list, more, err := a.Users.Grants(c.ctx(), t.Target, c.QueryParam("filter"), access.Page(w))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, pageOf(w, convert(list, func(g access.Grant) restGrant {
			return restGrant{User: a.restUser(g.User), Permission: string(g.Permission)}
		}), more))
	}
}

func (a *API) grant(target func(c *call) (grantTarget, error)) handler {
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
		if len(names) == 0 || strings.TrimSpace(names[0]) == "" {
			return domain.Invalid("name", "The parameter \"name\" is required.")
		}
		// Found before anything is granted, so that a wrong name grants nobody anything.
		users := make([]access.User, len(names))
		for i, name := range names {
			if users[i], err = a.Users.UserByName(c.ctx(), strings.TrimSpace(name)); err != nil {
				return err
			}
			if err := a.mayChange(c, users[i], t, p, http.StatusForbidden); err != nil {
				return err
			}
		}
		if t.Level() == rights.Global {
			ids := convert(users, func(u access.User) domain.UserID { return u.ID })
			if err := a.seated(c, ids, nil); err != nil {
				return err
			}
		}
		for _, u := range users {
			command := rights.Command(rights.Grant{User: u.ID, Permission: p, Target: t.Target})
			if err := execute(a, c, t.Stream(u.ID), rights.Evolve, rights.Decide, command); err != nil {
				return err
			}
		}
		return c.none()
	}
}

func (a *API) revoke(target func(c *call) (grantTarget, error)) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		u, err := a.userByQueriedName(c)
		if err != nil {
			return err
		}
		if err := a.mayChange(c, u, t, "", http.StatusConflict); err != nil {
			return err
		}
		command := rights.Command(rights.Revoke{User: u.ID, Target: t.Target})
		if err := execute(a, c, t.Stream(u.ID), rights.Evolve, rights.Decide, command); err != nil {
			return err
		}
		return c.none()
	}
}

// revokeAll takes from several users and groups what they have, after all of them were found
// and looked at.
func (a *API) revokeAll(target func(c *call) (grantTarget, error)) handler {
	return func(c *call) error {
		t, err := target(c)
		if err != nil {
			return err
		}
		names, groupNames := c.QueryParams()["user"], c.QueryParams()["group"]
		if n := len(names) + len(groupNames); n == 0 || n > maxLimit {
			return domain.Invalid("user", "Name users and groups, from 1 to %d.", maxLimit)
		}
		var holders []rights.Holder
		for _, name := range names {
			u, err := a.Users.UserByName(c.ctx(), name)
			if err == nil {
				err = a.mayChange(c, u, t, "", http.StatusConflict)
			}
			if err != nil {
				return err
			}
			holders = append(holders, rights.Holder{User: u.ID})
		}
		for _, name := range groupNames {
			g, err := a.groupByName(c, name)
			if err == nil {
				err = a.mayChangeGrant(c, g, t, "", http.StatusConflict)
			}
			if err != nil {
				return err
			}
			holders = append(holders, rights.Holder{Group: g.ID})
		}
		for _, h := range holders {
			// Two of them together may be what makes the caller an administrator.
			if err := a.staysAdministrator(c, h, t, "", http.StatusConflict); err != nil {
				return err
			}
			command := rights.Command(rights.Revoke{User: h.User, Group: h.Group, Target: t.Target})
			if err := execute(a, c, t.StreamOf(h), rights.Evolve, rights.Decide, command); err != nil {
				return err
			}
		}
		return c.none()
	}
}

// mayChange judges whether an administrator of t may bring u's permission there to p,
// "" for none: nobody gives what he has not, takes from those above him, or locks
// himself out. locked is the status for the last on projects and repositories.
func (a *API) mayChange(c *call, u access.User, t grantTarget, p rights.Permission, locked int) error {
	if t.Level() == rights.Global {
		return a.mayChangeGlobally(c, u, p)
	}
	if u.ID != c.caller.User.ID {
		return nil
	}
	return a.staysAdministrator(c, rights.Holder{User: u.ID}, t, p, locked)
}

// staysAdministrator refuses to bring a holder's permission on a project or repository to p
// if the caller could not administer it any more.
func (a *API) staysAdministrator(c *call, holder rights.Holder, t grantTarget, p rights.Permission, locked int) error {
	if p.Implies(t.administration()) {
		return nil
	}
	otherwise, err := a.Users.HeldExcept(c.ctx(), c.caller.User.ID, t.project(), t.Repository, holder, t.Target)
	if err != nil || otherwise.Allow(t.administration()) {
		return err
	}
	return &exceptionError{status: locked, exception: exceptionIntegrity, message: "You may not reduce your own permissions."}
}

func (a *API) listUngranted(target func(c *call) (grantTarget, error)) handler {
	return func(c *call) error {
		w, err := c.window(maxLimit)
		if err != nil {
			return err
		}
		t, err := target(c)
		if err != nil {
			return err
		}
		filter := access.UserFilter{Text: c.QueryParam("filter"), Without: &t.Target, Licensed: t.Level() != rights.Global}
		list, more, err := a.Users.Users(c.ctx(), filter, access.Page(w))
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, pageOf(w, convert(list, a.restUser), more))
	}
}

func (a *API) mayChangeGlobally(c *call, u access.User, p rights.Permission) error {
	if p != "" {
		if err := a.judge.Global(c.ctx(), c.caller, p); err != nil {
			return err
		}
	}
	his, err := a.Users.Held(c.ctx(), u.ID, 0, 0)
	if err != nil {
		return err
	}
	mine, err := a.Users.Held(c.ctx(), c.caller.User.ID, 0, 0)
	if err != nil {
		return err
	}
	for _, had := range his {
		if !mine.Allow(had) {
			return domain.Conflict("", "You may not change the permissions of a user who has more than you.")
		}
	}
	if u.ID != c.caller.User.ID {
		return nil
	}
	return a.keepsRank(c, rights.Holder{User: u.ID}, mine, p)
}

// keepsRank refuses to bring a holder's global permission to p, if that would leave the caller
// with less than he holds now.
func (a *API) keepsRank(c *call, holder rights.Holder, mine access.Held, p rights.Permission) error {
	otherwise, err := a.Users.HeldExcept(c.ctx(), c.caller.User.ID, 0, 0, holder, rights.Target{})
	if err != nil {
		return err
	}
	if p != "" {
		otherwise = append(otherwise, p)
	}
	for _, had := range mine {
		if !otherwise.Allow(had) {
			return domain.Conflict("", "You may not reduce your own permissions.")
		}
	}
	return nil
}
