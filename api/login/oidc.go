package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/labstack/echo/v4"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/page"
	"github.com/annal-git/annal/domain/account"
)

// ProviderConfig says which provider of OpenID Connect people may log in by.
type ProviderConfig struct {
	Issuer, ClientID, ClientSecret string
	Scopes                         []string // "openid" is added
	NameClaim                      string   // of the ID token: holds the user name of who is new here
	RedirectURL                    string   // of this installation: /login/oidc/callback below its base URL
	Accounts                       Accounts
	Client                         *http.Client // nil: one with deadlines
	Now                            func() time.Time
}

// Provider is a provider of OpenID Connect. It is asked what it offers at the first log-in, so that
// a node starts without it, and again after an answer that was none. It is safe for concurrent use.
type Provider struct {
	ProviderConfig
	client *http.Client

	asking singleflight.Group
	known  atomic.Pointer[known]
}

type known struct {
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
}

// Bounds of a log-in by a provider.
const (
	providerTimeout = 10 * time.Second // one request to it, with its answer
	maxAnswer       = 1 << 20          // bytes of an answer
	signInFor       = 15 * time.Minute // how long people may take to log in there
)

// algorithms are those that only the provider's own key can have signed with: never "none", never
// one whose key we have, too.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA}

// NewProvider makes a Provider.
func NewProvider(config ProviderConfig) *Provider {
	if config.Now == nil {
		config.Now = time.Now
	}
	if !slices.Contains(config.Scopes, oidc.ScopeOpenID) {
		config.Scopes = append([]string{oidc.ScopeOpenID}, config.Scopes...)
	}
	base := config.Client
	if base == nil {
		base = &http.Client{}
	}
	client := *base
	client.Timeout = providerTimeout
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = bounded{client.Transport}
	return &Provider{ProviderConfig: config, client: &client}
}

// bounded refuses to read answers without end.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &boundedBody{answer.Body, maxAnswer}
	}
	return answer, err
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

var errAnswer = errors.New("the provider's answer is too long")

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswer
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// discover finds out what the provider offers.
func (p *Provider) discover(ctx context.Context) (*known, error) {
	if known := p.known.Load(); known != nil {
		return known, nil
	}
	found, err, _ := p.asking.Do("", func() (any, error) { return p.ask(ctx) })
	if err != nil {
		return nil, fmt.Errorf("ask the OpenID Connect provider what it offers: %w", err)
	}
	return found.(*known), nil
}

func (p *Provider) ask(ctx context.Context) (*known, error) {
	// The provider's keys are asked for by this context later on: it must not end with the request.
	ctx = oidc.ClientContext(context.WithoutCancel(ctx), p.client)
	found, err := oidc.NewProvider(ctx, p.Issuer)
	if err != nil {
		return nil, err
	}
	offered := &known{
		oauth: oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: found.Endpoint(), RedirectURL: p.RedirectURL, Scopes: p.Scopes},
		verifier: found.VerifierContext(ctx, &oidc.Config{
			ClientID: p.ClientID, SupportedSigningAlgs: algorithms, Now: p.Now,
		}),
	}
	p.known.Store(offered)
	return offered, nil
}

// signIn is a log-in that is under way at the provider. The browser keeps it in a cookie: whoever
// comes back without it has not been sent from here.
type signIn struct {
	State, Nonce, Verifier, Next string
	Began                        int64 // Unix seconds
}

const signInCookie = "annal-oidc"

func (h *Handler) handleSend(c echo.Context) error {
	known, err := h.Provider.discover(c.Request().Context())
	if err != nil {
		return h.fail(c, err)
	}
	began := h.Provider.Now()
	s := signIn{State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(), Next: Local(c.QueryParam("next")), Began: began.Unix()}
	if len(s.Next) > maxNext/4 {
		s.Next = "" // a cookie has 4 KiB
	}
	value, err := json.Marshal(s)
	if err != nil {
		return h.fail(c, err)
	}
	http.SetCookie(c.Response(), h.Credentials.Cookie(signInCookie, base64.RawURLEncoding.EncodeToString(value), began.Add(signInFor)))
	page.Guard(c.Response().Header())
	return c.Redirect(http.StatusSeeOther, known.oauth.AuthCodeURL(s.State, oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier)))
}

// handleReturn is where the provider sends people back to. The cookie is used up, whatever comes
// of it.
func (h *Handler) handleReturn(c echo.Context) error {
	var s signIn
	if cookie, err := c.Request().Cookie(h.Credentials.CookieName(signInCookie)); err == nil {
		if value, err := base64.RawURLEncoding.DecodeString(cookie.Value); err == nil {
			_ = json.Unmarshal(value, &s) // what cannot be read names no log-in
		}
	}
	used := h.Credentials.Cookie(signInCookie, "", time.Time{})
	used.MaxAge = -1
	http.SetCookie(c.Response(), used)
	query, now := c.QueryParams(), h.Provider.Now()
	switch {
	case s.State == "" || query.Get("state") != s.State, now.Sub(time.Unix(s.Began, 0)) > signInFor:
		return h.refuse(c, "The log-in was not begun in this browser, or took too long. Begin again.", nil)
	case query.Get("error") != "":
		return h.refuse(c, "The provider did not let you in.", nil)
	}
	known, err := h.Provider.discover(c.Request().Context())
	if err != nil {
		return h.fail(c, err)
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(c.Request().Context(), h.Provider.client), 2*providerTimeout)
	defer cancel()
	token, err := known.oauth.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return h.refuse(c, "The provider did not confirm the log-in.", err)
	}
	raw, _ := token.Extra("id_token").(string)
	proven, err := known.verifier.Verify(ctx, raw)
	if err != nil {
		return h.refuse(c, "What the provider said of you cannot be verified.", err)
	}
	if proven.Nonce != s.Nonce {
		return h.refuse(c, "What the provider said was not meant for this log-in.", nil)
	}
	var claims map[string]any
	if err := proven.Claims(&claims); err != nil {
		return h.refuse(c, "What the provider said of you cannot be read.", err)
	}
	text := func(name string) string { value, _ := claims[name].(string); return strings.TrimSpace(value) }
	login, err := h.Provider.Accounts.Find(ctx, Person{
		Identity: account.Identity{Issuer: proven.Issuer, Subject: proven.Subject},
		Name:     text(h.Provider.NameClaim), DisplayName: text("name"), Email: text("email"),
	}, c.Response().Header().Get(echo.HeaderXRequestID))
	var unknown *UnknownError
	if errors.As(err, &unknown) {
		return h.refuse(c, unknown.Error(), nil)
	}
	if err != nil {
		return h.fail(c, err)
	}
	_, err = h.Credentials.Begin(c.Response(), c.Request(), login, false)
	if refused := (*credentials.RefusedError)(nil); errors.As(err, &refused) {
		return h.refuse(c, "You may not log in here. Ask an administrator.", nil)
	}
	if err != nil {
		return h.fail(c, err)
	}
	return h.redirect(c, s.Next)
}

// refuse tells what went wrong, and the log the rest; what a provider answers may hold secrets, so
// of an answer only its status and kind of error are kept.
func (h *Handler) refuse(c echo.Context, message string, cause error) error {
	reason := message
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(cause, &answered):
		reason = fmt.Sprintf("%s (%s)", answered.Response.Status, answered.ErrorCode)
	case cause != nil:
		reason = cause.Error()
	}
	h.Logger.WarnContext(c.Request().Context(), "log-in by the OpenID Connect provider refused", "reason", reason)
	return h.show(c, http.StatusUnauthorized, shown{Message: message})
}
