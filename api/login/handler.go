// Package login is where people log in with a browser and out again: by password, or by a
// provider of OpenID Connect.
package login

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/page"
)

// Config is what a Handler works with.
type Config struct {
	Credentials *credentials.Authenticator
	BaseURL     *url.URL  // its path is before all of ours as browsers see them
	Provider    *Provider // of OpenID Connect; nil: none
	Logger      *slog.Logger
}

// Handler serves /login and /logout.
type Handler struct {
	Config
	base string // path of the installation, without a slash at its end
}

// New makes a Handler.
func New(config Config) *Handler {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Handler{Config: config, base: config.BaseURL.EscapedPath()}
}

// Mount puts the handler at its paths on e.
func (h *Handler) Mount(e *echo.Echo) {
	e.GET("/login", h.handleForm)
	e.POST("/login", h.handleLogIn)
	e.POST("/logout", h.handleLogOut)
	if h.Provider != nil {
		e.GET("/login/oidc", h.handleSend)
		e.GET("/login/oidc/callback", h.handleReturn)
	}
}

// Limits of a form.
const (
	maxForm     = 64 << 10 // bytes
	formTimeout = time.Minute
)

// ParseForm reads a form that was sent. It reports whether it could be read.
func ParseForm(c echo.Context) bool {
	r := c.Request()
	// A connection without deadlines goes without.
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(formTimeout))
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxForm)
	return r.ParseForm() == nil
}

var form = page.Parse(`{{define "title"}}{{if .User}}You are logged in{{else}}Log in{{end}}{{end}}
{{define "main"}}
{{with .Message}}<p class="message" role="alert" tabindex="-1" autofocus>{{.}}</p>{{end}}
{{if .User}}
<p>You are logged in as {{.User}}.</p>
<form method="post" action="{{.Base}}/logout">
<input type="hidden" name="csrf" value="{{.CSRF}}">
<button>Log out</button>
</form>
{{else}}
<form method="post" action="{{.Base}}/login">
<input type="hidden" name="next" value="{{.Next}}">
<label>User name <input name="name" value="{{.Name}}" required autocomplete="username" autocapitalize="none" spellcheck="false"></label>
<label>Password <input name="password" type="password" required autocomplete="current-password"></label>
<label><input type="checkbox" name="remember" value="true"> Remember me on this computer</label>
<button>Log in</button>
</form>
{{with .Provider}}<p><a href="{{.}}">Log in with single sign-on</a></p>{{end}}
{{end}}
{{end}}`)

type shown struct {
	Base, Next, Name, Message string
	User, CSRF                string // of who is logged in
	Provider                  string // link to it
}

func (h *Handler) show(c echo.Context, status int, s shown) error {
	s.Base = h.base
	if h.Provider != nil {
		s.Provider = h.base + "/login/oidc?" + url.Values{"next": {s.Next}}.Encode()
	}
	return page.Show(c.Response(), status, form, s)
}

// redirect leads to a local path.
func (h *Handler) redirect(c echo.Context, next string) error {
	page.Guard(c.Response().Header())
	if next == "" {
		next = "/login"
	}
	return c.Redirect(http.StatusSeeOther, h.base+next)
}

func (h *Handler) handleForm(c echo.Context) error {
	caller, err := h.Credentials.Visit(c.Response(), c.Request())
	if refused := (*credentials.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		return h.fail(c, err)
	}
	next := Local(c.QueryParam("next"))
	if caller.CSRF != "" && next != "" {
		return h.redirect(c, next) // a remembered log-in has become a session
	}
	name := ""
	if caller.CSRF != "" {
		name = caller.User.Name
		c.Response().Header().Set("X-AUSERNAME", name)
	}
	return h.show(c, http.StatusOK, shown{Next: next, User: name, CSRF: caller.CSRF})
}

func (h *Handler) handleLogIn(c echo.Context) error {
	if !ParseForm(c) {
		return page.Say(c.Response(), http.StatusBadRequest, page.Message{Title: "Log in", Text: "The form cannot be read."})
	}
	// Nobody shall be logged in as somebody else by a page that he looks at.
	if h.Credentials.CrossSite(c.Request()) {
		return h.forged(c)
	}
	sent := c.Request().PostForm
	name, next := sent.Get("name"), Local(sent.Get("next"))
	_, err := h.Credentials.LogIn(c.Response(), c.Request(), name, sent.Get("password"), sent.Get("remember") == "true")
	var refused *credentials.RefusedError
	switch {
	case errors.As(err, &refused):
		return h.show(c, http.StatusUnauthorized, shown{Next: next, Name: name, Message: "The user name or the password is not right, or was wrong too often. Try again; after many attempts wait some minutes."})
	case err != nil:
		return h.fail(c, err)
	}
	return h.redirect(c, next)
}

func (h *Handler) handleLogOut(c echo.Context) error {
	if !ParseForm(c) {
		return page.Say(c.Response(), http.StatusBadRequest, page.Message{Title: "Log out", Text: "The form cannot be read."})
	}
	_, err := h.Credentials.Visit(c.Response(), c.Request())
	if forged := (*credentials.ForgeryError)(nil); errors.As(err, &forged) {
		return h.forged(c)
	}
	if refused := (*credentials.RefusedError)(nil); err != nil && !errors.As(err, &refused) {
		return h.fail(c, err)
	}
	if err := h.Credentials.LogOut(c.Response(), c.Request()); err != nil {
		return h.fail(c, err)
	}
	return h.redirect(c, "")
}

func (h *Handler) forged(c echo.Context) error {
	return page.Say(c.Response(), http.StatusForbidden, page.Message{
		Title: "Not done", Text: "This came from a page of another site, or from one that is too old.", Link: h.base + "/login", LinkText: "Log in",
	})
}

func (h *Handler) fail(c echo.Context, err error) error {
	h.Logger.ErrorContext(c.Request().Context(), "log-in failed", "error", err)
	return page.Say(c.Response(), http.StatusServiceUnavailable, page.Message{
		Title: "Log in", Text: "This does not work at the moment. Try again later; the node's log says more.", Link: h.base + "/login", LinkText: "Log in",
	})
}
