package rest

import (
	"net/http"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/effective"
	"github.com/annal-git/annal/projections/access"
)

func (a *API) accessRoutes() []route {
	return []route{{
		method: http.MethodGet, path: annalPath + "/projects/{projectKey}/repos/{repositorySlug}/access",
		summary: "Who may do what with a repository, or could at a position or time of the past, and why; or what one user may",
		handle:  a.handleListAccess, query: []string{"at", "user"}, paged: true, answer: restAccess{},
	}}
}

// restAccess is what a user may do with a repository. Without a user it is about anybody.
type restAccess struct {
	User       *restUser      `json:"user"`
	Permission *string        `json:"permission"` // null: none
	Reasons    []accessReason `json:"reasons"`
}

type accessReason struct {
	Kind       string   `json:"kind"`       // GRANT, GROUP, DEFAULT or PUBLIC
	Permission string   `json:"permission"` // that was granted
	Level      string   `json:"level"`      // on what: global, project or repository
	Groups     []string `json:"groups"`     // from one that the user is in to the one that it was granted to
}

func (a *API) handleListAccess(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	found, err := a.repository(c, rights.RepoAdmin)
	if err != nil {
		return err
	}
	var only *access.User
	if name := c.QueryParam("user"); name != "" {
		u, err := a.Users.UserByName(c.ctx(), name)
		if err != nil {
			return err
		}
		only = &u
	}
	past, err := access.PastOf(c.ctx(), a.Log, found.ID, c.QueryParam("at"))
	if err != nil {
		return err
	}
	if only != nil {
		list := []restAccess{a.showAccess(past, *only, past.Explain(only.ID, found.ID))}
		return c.json(http.StatusOK, pageOf(w, list, false))
	}
	var list []restAccess
	if past.Public(found.ID) {
		read := string(rights.RepoRead)
		list = append(list, restAccess{Permission: &read, Reasons: []accessReason{
			{Kind: string(effective.Public), Permission: read, Level: string(rights.Repository), Groups: []string{}},
		}})
	}
	holders := past.Holders(found.ID)
	users, err := a.Users.UsersByID(c.ctx(), convert(holders, func(h effective.Access) domain.UserID { return h.User }))
	if err != nil {
		return err
	}
	for _, h := range holders {
		list = append(list, a.showAccess(past, users[h.User], h))
	}
	values, more := cut(w, list)
	return c.json(http.StatusOK, pageOf(w, values, more))
}

func (a *API) showAccess(past access.Past, u access.User, may effective.Access) restAccess {
	user := a.restUser(u)
	shown := restAccess{User: &user, Permission: nullable(string(may.Permission)), Reasons: []accessReason{}}
	for _, r := range may.Reasons {
		reason := accessReason{Kind: string(r.Kind), Permission: string(r.Permission), Level: string(r.Level()), Groups: []string{}}
		for _, g := range r.Path {
			reason.Groups = append(reason.Groups, past.GroupName(g))
		}
		shown.Reasons = append(shown.Reasons, reason)
	}
	return shown
}
