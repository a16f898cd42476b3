package rest

import (
	"errors"
	"net/http"

	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/ratelimit"
	"github.com/annal-git/annal/projections/access"
	shared "github.com/annal-git/annal/projections/ratelimit"
)

func (a *API) rateLimitRoutes() []route {
	const (
		settings = apiPath + "/admin/rate-limit/settings"
		users    = settings + "/users"
		user     = users + "/{userSlug}"
	)
	return []route{
		{method: http.MethodGet, path: settings, summary: "Get the rate limit that holds for everybody", handle: a.handleGetRateLimit, answer: ratelimit.Settings{}},
		{method: http.MethodPut, path: settings, summary: "Set the rate limit that holds for everybody, or turn it on or off", handle: a.handleSetRateLimit, body: rateLimitBody{}, answer: ratelimit.Settings{}},
		{method: http.MethodGet, path: users, summary: "List users with rate limits of their own", handle: a.handleListRateLimits, query: []string{"filter"}, paged: true, answer: restUserRateLimit{}},
		{method: http.MethodPost, path: users, summary: "Set the rate limits of several users", handle: a.handleSetRateLimits, body: bulkRateLimitBody{}, answer: []restUserRateLimit{}},
		{method: http.MethodGet, path: user, summary: "Get the rate limit of a user", handle: a.handleGetUserRateLimit, answer: restUserRateLimit{}},
		{method: http.MethodPut, path: user, summary: "Set the rate limit of a user, or exempt him", handle: a.handleSetUserRateLimit, body: userRateLimitBody{}, answer: restUserRateLimit{}},
		{method: http.MethodDelete, path: user, summary: "Have the rate limit of everybody hold for a user, too", handle: a.handleResetUserRateLimit},
		{method: http.MethodGet, path: apiPath + "/admin/rate-limit/history", summary: "List who was refused in the last day for too many requests", handle: a.handleRateLimitHistory, query: []string{"order"}, paged: true, answer: restRefused{}},
	}
}

type rateLimitBody struct {
	Enabled *bool            `json:"enabled"`
	Default *ratelimit.Limit `json:"defaultSettings"`
}

type userRateLimitBody struct {
	Whitelisted bool             `json:"whitelisted"`
	Settings    *ratelimit.Limit `json:"settings"`
}

type bulkRateLimitBody struct {
	userRateLimitBody
	Usernames []string `json:"usernames"`
}

type restUserRateLimit struct {
	User        restUser         `json:"user"`
	Whitelisted bool             `json:"whitelisted"`
	Settings    *ratelimit.Limit `json:"settings,omitempty"` // none if whitelisted
}

type restRefused struct {
	User  restUser `json:"user"`
	Count int64    `json:"rejectCount"`
	Last  int64    `json:"lastRejectTime"` // milliseconds since 1970
}

// own is what a body says, which must be one of two things.
func (b userRateLimitBody) own() (ratelimit.Own, error) {
	switch {
	case b.Whitelisted && b.Settings != nil:
		return ratelimit.Own{}, domain.Invalid("settings", "A user is either whitelisted or has settings, not both.")
	case !b.Whitelisted && b.Settings == nil:
		return ratelimit.Own{}, domain.Invalid("settings", "Settings are required, with capacity and fillRate, or whitelisted as true.")
	case b.Whitelisted:
		return ratelimit.Own{Exempt: true}, nil
	}
	return ratelimit.Own{Limit: *b.Settings}, nil
}

func (a *API) restUserRateLimit(u access.User, own ratelimit.Own) restUserRateLimit {
	answer := restUserRateLimit{User: a.restUser(u), Whitelisted: own.Exempt}
	if !own.Exempt {
		answer.Settings = &own.Limit
	}
	return answer
}

// setRateLimit carries a command out. This node judges by it at once, and the others as soon as
// they hear of it.
func (a *API) setRateLimit(c *call, command ratelimit.Command) error {
	if err := execute(a, c, ratelimit.Stream, ratelimit.Evolve, ratelimit.Decide, command); err != nil {
		return err
	}
	return a.Limiter.Refresh(c.ctx())
}

func (a *API) handleGetRateLimit(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.LicensedUser); err != nil {
		return err
	}
	return a.answerRateLimit(c)
}

func (a *API) answerRateLimit(c *call) error {
	settings, err := a.RateLimits.Settings(c.ctx())
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, settings)
}

func (a *API) handleSetRateLimit(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	var body rateLimitBody
	if err := c.decode(&body); err != nil {
		return err
	}
	if body.Enabled == nil && body.Default == nil {
		return domain.Invalid("", "The request says nothing: give enabled, defaultSettings or both.")
	}
	if err := a.setRateLimit(c, ratelimit.Change(body)); err != nil {
		return err
	}
	return a.answerRateLimit(c)
}

func (a *API) handleListRateLimits(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	list, more, err := a.RateLimits.Users(c.ctx(), c.QueryParam("filter"), shared.Page(w))
	if err != nil {
		return err
	}
	answer := make([]restUserRateLimit, len(list))
	for i, found := range list {
		u, err := a.Users.User(c.ctx(), found.ID)
		if err != nil {
			return err
		}
		answer[i] = a.restUserRateLimit(u, found.Own)
	}
	return c.json(http.StatusOK, pageOf(w, answer, more))
}

// handleSetRateLimits sets all or none.
func (a *API) handleSetRateLimits(c *call) error {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	var body bulkRateLimitBody
	if err := c.decode(&body); err != nil {
		return err
	}
	own, err := body.own()
	if err != nil {
		return err
	}
	if len(body.Usernames) > ratelimit.MaxAtOnce {
		return domain.Invalid("usernames", "Name at most %d users at once.", ratelimit.MaxAtOnce)
	}
	command, answer := ratelimit.SetUsers{Own: own}, []restUserRateLimit{}
	for _, name := range body.Usernames {
		u, err := a.subordinate(c, name, &permission.DeniedError{Need: rights.SysAdmin})
		if absent := (*domain.NotFoundError)(nil); errors.As(err, &absent) {
			err = domain.Invalid("usernames", "%s", absent.Message)
		}
		if err != nil {
			return err
		}
		command.Users = append(command.Users, u.ID)
		answer = append(answer, a.restUserRateLimit(u, own))
	}
	if err := a.setRateLimit(c, command); err != nil {
		return err
	}
	return c.json(http.StatusOK, answer)
}

// limited finds the user of the path for an administrator.
func (a *API) limited(c *call) (access.User, error) {
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return access.User{}, err
	}
	u, err := a.Users.UserBySlug(c.ctx(), c.Param("userSlug"))
	if err != nil {
		return access.User{}, err
	}
	return a.subordinate(c, u.Name, &permission.DeniedError{Need: rights.SysAdmin})
}

func (a *API) handleGetUserRateLimit(c *call) error {
	u := c.caller.User
	if c.caller.Anonymous() || c.Param("userSlug") != u.Slug {
		var err error
		if u, err = a.limited(c); err != nil {
			return err
		}
	}
	own, err := a.RateLimits.User(c.ctx(), u.ID)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restUserRateLimit(u, own))
}

func (a *API) handleSetUserRateLimit(c *call) error {
	u, err := a.limited(c)
	if err != nil {
		return err
	}
	var body userRateLimitBody
	if err := c.decode(&body); err != nil {
		return err
	}
	own, err := body.own()
	if err != nil {
		return err
	}
	if err := a.setRateLimit(c, ratelimit.SetUsers{Users: []domain.UserID{u.ID}, Own: own}); err != nil {
		return err
	}
	return c.json(http.StatusOK, a.restUserRateLimit(u, own))
}

func (a *API) handleResetUserRateLimit(c *call) error {
	u, err := a.limited(c)
	if err != nil {
		return err
	}
	if err := a.setRateLimit(c, ratelimit.ResetUser{User: u.ID}); err != nil {
		return err
	}
	return c.none()
}

func (a *API) handleRateLimitHistory(c *call) error {
	w, err := c.window(maxLimit)
	if err != nil {
		return err
	}
	if err := a.judge.Global(c.ctx(), c.caller, rights.Admin); err != nil {
		return err
	}
	order, err := c.choice("order", "NEWEST", "NEWEST", "FREQUENCY")
	if err != nil {
		return err
	}
	list, more, err := a.RateLimits.History(c.ctx(), order == "FREQUENCY", shared.Page(w))
	if err != nil {
		return err
	}
	answer := make([]restRefused, len(list))
	for i, refused := range list {
		u, err := a.Users.User(c.ctx(), refused.User)
		if err != nil {
			return err
		}
		answer[i] = restRefused{User: a.restUser(u), Count: refused.Count, Last: refused.Last.UnixMilli()}
	}
	return c.json(http.StatusOK, pageOf(w, answer, more))
}
