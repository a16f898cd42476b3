package rest

import (
	"net/http"
	"strconv"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

func (a *API) sessionRoutes() []route {
	const session = annalPath + "/session"
	return []route{
		{method: http.MethodGet, path: session, summary: "Who is logged in, and the token for requests that change something", handle: a.handleGetSession, answer: restSession{}},
		{method: http.MethodPost, path: session, summary: "Log in with a password, which begins a session", handle: a.handleLogIn, body: logInBody{}, answer: restSession{}},
		{method: http.MethodDelete, path: session, summary: "Log out", handle: a.handleLogOut},
		{method: http.MethodDelete, path: annalPath + "/sessions", summary: "Log out everywhere: end all of one's sessions", handle: a.handleLogOutEverywhere},
	}
}

type restSession struct {
	User      restUser `json:"user"`
	CSRFToken string   `json:"csrfToken,omitempty"` // of a session: to be sent as X-CSRF-Token
	EndDate   *int64   `json:"endDate,omitempty"`   // of a session or token, epoch milliseconds
}

type logInBody struct {
	Name       string `json:"name"`
	Password   string `json:"password"`
	RememberMe bool   `json:"rememberMe"`
}

func (a *API) answerSession(c *call, caller credentials.Caller) error {
	answer := restSession{User: a.restUser(caller.User), CSRFToken: caller.CSRF}
	if !caller.Until.IsZero() {
		ends := caller.Until.UnixMilli()
		answer.EndDate = &ends
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.json(http.StatusOK, answer)
}

func (a *API) handleGetSession(c *call) error {
	if c.caller.Anonymous() {
		return &permission.DeniedError{Anonymous: true, Need: rights.LicensedUser}
	}
	return a.answerSession(c, c.caller)
}

func (a *API) handleLogIn(c *call) error {
	// Nobody shall be logged in as somebody else by a page that he looks at.
	if a.Credentials.CrossSite(c.Request()) {
		return &credentials.ForgeryError{}
	}
	var body logInBody
	if err := c.decode(&body); err != nil {
		return err
	}
	caller, err := a.Credentials.LogIn(c.Response(), c.Request(), body.Name, body.Password, body.RememberMe)
	if err != nil {
		return err
	}
	name(c.Response().Header(), caller)
	return a.answerSession(c, caller)
}

func (a *API) handleLogOut(c *call) error {
	if err := a.Credentials.LogOut(c.Response(), c.Request()); err != nil {
		return err
	}
	return c.none()
}

func (a *API) handleLogOutEverywhere(c *call) error {
	if err := a.ownsAccount(c); err != nil {
		return err
	}
	if err := execute(a, c, domain.UserStream(c.caller.User.ID), account.Evolve, account.Decide, account.Command(account.EndSessions{})); err != nil {
		return err
	}
	return a.handleLogOut(c)
}

// name tells whose request is answered.
func name(header http.Header, caller credentials.Caller) {
	if !caller.Anonymous() {
		header.Set(headerUserName, caller.User.Name)
		header.Set(headerUserID, strconv.FormatInt(int64(caller.User.ID), 10))
	}
}
