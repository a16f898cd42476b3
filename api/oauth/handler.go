// Package oauth lets applications act for users who have said so: an authorization server of
// OAuth 2 (RFC 6749, with PKCE of RFC 7636, revocation of RFC 7009 and the advice of RFC 9700) at
// the addresses of Bitbucket's.
//
// What a user lets an application do is an event, and so is whatever ends it; codes and tokens are
// rows that stand for it and are worth nothing without.
package oauth

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

// How long what is given out is worth something.
const (
	codeFor    = time.Minute
	accessFor  = 2 * time.Hour
	refreshFor = 90 * 24 * time.Hour
)

// Config is what a Handler works with.
type Config struct {
	Log         *eventstore.Log
	Users       *access.Reader
	Tokens      *access.OAuthTokens
	Credentials *credentials.Authenticator
	BaseURL     *url.URL // its path is before all of ours as browsers see them
	Logger      *slog.Logger
	Now         func() time.Time
}

// Handler serves /rest/oauth2/latest/authorize, token and revoke.
type Handler struct {
	Config
	base string
}

// New makes a Handler.
func New(config Config) *Handler {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Handler{Config: config, base: config.BaseURL.EscapedPath()}
}

// Mount puts the handler at its paths on e.
func (h *Handler) Mount(e *echo.Echo) {
	for _, version := range []string{"latest", "1.0"} {
		at := "/rest/oauth2/" + version
		e.GET(at+"/authorize", h.handleAsk)
		e.POST(at+"/authorize", h.handleDecision)
		e.POST(at+"/token", h.handleToken)
		e.POST(at+"/revoke", h.handleRevoke)
	}
}

// Limits of a form.
const (
	maxForm     = 64 << 10 // bytes
	formTimeout = time.Minute
)

// parseForm reads a form that was sent. It reports whether it could be read, and says nothing
// twice.
func parseForm(c echo.Context) bool {
	r := c.Request()
	// A connection without deadlines goes without.
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(formTimeout))
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxForm)
	return r.ParseForm() == nil && once(r.PostForm)
}

func once(values url.Values) bool {
	for _, list := range values {
		if len(list) != 1 {
			return false
		}
	}
	return true
}

func (h *Handler) meta(c echo.Context, user domain.UserID, auth string) domain.Metadata {
	address, _, err := net.SplitHostPort(c.Request().RemoteAddr)
	if err != nil {
		address = c.Request().RemoteAddr
	}
	id := c.Response().Header().Get(echo.HeaderXRequestID)
	return domain.Metadata{Actor: user, Auth: auth, Address: address, RequestID: id, Correlation: id}
}

func (h *Handler) execute(ctx context.Context, user domain.UserID, meta domain.Metadata, command account.Command) error {
	_, _, err := eventstore.Execute(ctx, h.Log, domain.UserStream(user), account.Evolve, meta, func(s account.State) ([]domain.Event, error) {
		return account.Decide(s, command)
	})
	return err
}
