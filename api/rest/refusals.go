package rest

import (
	"net/http"
	"strings"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/projections/refusals"
)

func (a *API) refusalRoutes() []route {
	return []route{{
		method: http.MethodGet, path: annalPath + "/audit/refusals", summary: "What was refused to whom, newest first, for system administrators",
		handle: a.handleListRefusals, query: []string{"user", "address", "repository", "kind", "since"}, paged: true, answer: refusals.Recorded{},
	}}
}

func (a *API) handleListRefusals(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.SysAdmin); err != nil {
		return err
	}
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	filter, err := a.refusalFilter(c)
	if err != nil {
		return err
	}
	list, more, err := a.Refused.List(c.ctx(), filter, w.Start, w.Limit)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, pageOf(w, list, more))
}

func (a *API) refusalFilter(c *call) (filter refusals.Filter, err error) {
	filter.Address = c.QueryParam("address")
	if name := c.QueryParam("user"); name != "" {
		user, err := a.Users.UserByName(c.ctx(), name)
		if err != nil {
			return filter, err
		}
		filter.User = user.ID
	}
	if name := c.QueryParam("repository"); name != "" {
		project, slug, _ := strings.Cut(name, "/")
		repository, err := a.Catalog.Repository(c.ctx(), project, slug)
		if err != nil {
			return filter, err
		}
		filter.Repository = repository.ID
	}
	if kind := c.QueryParam("kind"); kind != "" {
		if filter.Kind, err = refusals.ParseKind(kind); err != nil {
			return filter, err
		}
	}
	if text := c.QueryParam("since"); text != "" {
		since, err := domain.ParseMoment(text)
		if err != nil || since.Time.IsZero() {
			return filter, domain.Invalid("since", "Give a time, such as 2026-03-01T08:00:00Z.")
		}
		filter.Since = since.Time
	}
	return filter, nil
}
