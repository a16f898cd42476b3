package credentials_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
)

// node is one of several that know sessions.
func (w *world) node(base string) *credentials.Authenticator {
	parsed, err := url.Parse(base)
	require.NoError(w.t, err)
	return credentials.New(w.users, credentials.Options{
		Parallel: 2, Attempts: w.tries, Now: func() time.Time { return w.now },
		Sessions: credentials.Sessions{Store: access.NewSessions(w.pool), BaseURL: parsed},
	})
}

// browser keeps cookies and talks to nodes.
type browser struct {
	t       *testing.T
	cookies map[string]*http.Cookie
}

func newBrowser(t *testing.T) *browser { return &browser{t, map[string]*http.Cookie{}} }

func (b *browser) request(method string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "https://git.example.com/", nil)
	for _, c := range b.cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func (b *browser) keep(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
}

func (b *browser) copy() *browser {
	c := newBrowser(b.t)
	for name, cookie := range b.cookies {
		c.cookies[name] = cookie
	}
	return c
}

func (b *browser) logIn(node *credentials.Authenticator, name, password string, remember bool) credentials.Caller {
	b.t.Helper()
	w := httptest.NewRecorder()
	caller, err := node.LogIn(w, b.request(http.MethodPost), name, password, remember)
	require.NoError(b.t, err)
	require.Equal(b.t, name, caller.User.Name)
	b.keep(w)
	return caller
}

// user is whom a node takes the browser's user for.
func (b *browser) user(node *credentials.Authenticator) string {
	b.t.Helper()
	w := httptest.NewRecorder()
	caller, err := node.Visit(w, b.request(http.MethodGet))
	require.NoError(b.t, err)
	b.keep(w)
	return caller.User.Name
}

const (
	secureSession  = "__Host-annal-session"
	secureRemember = "__Host-annal-remember"
)

// H3 of security-cases: what ends a session ends it on every node, on the next request.
func TestSessionsEndEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	here, there := w.node("https://git.example.com"), w.node("https://git.example.com")
	password := func(id domain.UserID, text string) domain.Event {
		hash, err := here.HashPassword(t.Context(), text)
		require.NoError(t, err)
		return account.PasswordSet{ID: id, Secret: account.Secret{Hash: hash}}
	}
	secret, end := "sesame: open", map[string][]domain.Event{
		"password":   {password(1, "sesame: open")},
		"deactivate": {account.Deactivated{ID: 1}, account.Activated{ID: 1}},
		"everywhere": {account.SessionsEnded{ID: 1}},
		"licence":    {rights.Revoked{User: 1, Permission: rights.LicensedUser}},
		"erased":     {account.Erased{ID: 1}},
	}
	w.user(1, "jane", secret)
	w.user(2, "root", "root's own")
	w.must("user/2", rights.Granted{User: 2, Permission: rights.SysAdmin, Old: rights.LicensedUser})
	other := newBrowser(t)
	other.logIn(here, "root", "root's own", false)
	for _, how := range []string{"password", "deactivate", "everywhere", "licence", "erased"} {
		plain, remembering := newBrowser(t), newBrowser(t)
		plain.logIn(here, "jane", secret, false)
		remembering.logIn(there, "jane", secret, true)
		for _, node := range []*credentials.Authenticator{here, there} {
			require.Equal(t, "jane", plain.user(node), how)
			require.Equal(t, "jane", remembering.user(node), how)
		}
		w.must("user/1", end[how]...)
		for _, node := range []*credentials.Authenticator{there, here} {
			require.Empty(t, plain.user(node), how)
			require.Empty(t, remembering.user(node), how)
		}
		if how == "licence" {
			w.must("user/1", rights.Granted{User: 1, Permission: rights.LicensedUser})
		}
	}
	require.Equal(t, "root", other.user(there), "others stay logged in")
	w.now = w.now.Add(time.Minute)
	require.NoError(t, here.LogOut(httptest.NewRecorder(), other.request(http.MethodPost)))
	require.Empty(t, other.user(there))
}

// A password that was right when it was looked at begins no session once it has been changed.
func TestSessionOfAPasswordThatWasChangedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("https://git.example.com")
	w.user(1, "jane", "sesame: open")
	login, err := w.users.LoginByName(t.Context(), "jane")
	require.NoError(t, err)
	w.must("user/1", account.SessionsEnded{ID: 1})
	b, answer := newBrowser(t), httptest.NewRecorder()
	_, err = node.Begin(answer, b.request(http.MethodPost), login, true)
	require.NoError(t, err)
	b.keep(answer)
	require.Empty(t, b.user(node))
}

func TestSessionLifetimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("https://git.example.com")
	w.user(1, "jane", "sesame: open")
	b := newBrowser(t)
	b.logIn(node, "jane", "sesame: open", false)
	begun := w.now
	for w.now.Sub(begun) < 23*time.Hour {
		require.Equal(t, "jane", b.user(node), "used once an hour")
		w.now = w.now.Add(time.Hour)
	}
	w.now = begun.Add(24 * time.Hour)
	require.Empty(t, b.user(node), "nothing lasts longer than a day")
	b.logIn(node, "jane", "sesame: open", false)
	w.now = w.now.Add(2*time.Hour - time.Second)
	require.Equal(t, "jane", b.user(node))
	w.now = w.now.Add(2 * time.Hour)
	require.Empty(t, b.user(node), "nor without use")
}

// The id is made at log-in, here, whatever the browser has brought (H3).
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("https://git.example.com")
	w.user(1, "jane", "sesame: open")
	w.user(2, "bob", "open sesame")
	b := newBrowser(t)
	planted := strings.Repeat("A", 43)
	for _, value := range []string{planted, "../../x", "", "\"", strings.Repeat("x", 5000), "%00", planted + "="} {
		b.cookies[secureSession] = &http.Cookie{Name: secureSession, Value: value}
		require.Empty(t, b.user(node), value)
	}
	b.cookies[secureSession] = &http.Cookie{Name: secureSession, Value: planted}
	b.logIn(node, "jane", "sesame: open", true)
	require.NotEqual(t, planted, b.cookies[secureSession].Value)
	before := b.copy()
	b.logIn(node, "bob", "open sesame", false)
	require.Equal(t, "bob", b.user(node))
	require.Empty(t, before.user(node), "the session before is over, and not remembered")
	for _, c := range b.cookies {
		require.True(t, c.HttpOnly && c.Secure && c.SameSite == http.SameSiteLaxMode && c.Path == "/" && c.Domain == "", "%v", c)
	}
	// Git asks for no session.
	caller, err := node.Authenticate(b.request(http.MethodGet))
	require.NoError(t, err)
	require.True(t, caller.Anonymous())
	// Without TLS there is no such prefix, and nothing else is lost.
	open := w.node("http://localhost:7990")
	c := newBrowser(t)
	c.logIn(open, "jane", "sesame: open", false)
	require.False(t, c.cookies["annal-session"].Secure)
	require.True(t, c.cookies["annal-session"].HttpOnly)
}

func TestRememberedLogIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("https://git.example.com")
	w.user(1, "jane", "sesame: open")
	b := newBrowser(t)
	b.logIn(node, "jane", "sesame: open", true)
	w.now = w.now.Add(25 * time.Hour)
	stolen := b.copy()
	require.Equal(t, "jane", b.user(node), "logs in by itself")
	require.NotEqual(t, stolen.cookies[secureRemember].Value, b.cookies[secureRemember].Value)

	under := stolen.copy() // was under way at that moment
	require.Equal(t, "jane", under.user(node))
	require.Equal(t, stolen.cookies[secureRemember].Value, under.cookies[secureRemember].Value, "keeps what the other was given")

	w.now = w.now.Add(2 * time.Minute)
	require.Equal(t, "jane", b.user(node))
	require.Empty(t, stolen.user(node), "what was used before opens nothing")
	require.Empty(t, b.user(node), "and ends all that came of it")

	b.logIn(node, "jane", "sesame: open", true)
	w.now = w.now.Add(31 * 24 * time.Hour)
	require.Empty(t, b.user(node))

	b.logIn(node, "jane", "sesame: open", true)
	before := b.copy()
	answer := httptest.NewRecorder()
	require.NoError(t, node.LogOut(answer, b.request(http.MethodPost)))
	b.keep(answer)
	require.Empty(t, b.cookies)
	delete(before.cookies, secureSession)
	require.Empty(t, before.user(node), "logged out means forgotten")
}

func TestRememberedByManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nodes := []*credentials.Authenticator{w.node("https://git.example.com"), w.node("https://git.example.com")}
	w.user(1, "jane", "sesame: open")
	b := newBrowser(t)
	b.logIn(nodes[0], "jane", "sesame: open", true)
	delete(b.cookies, secureSession)
	var group sync.WaitGroup
	names, rotated := make([]string, 8), make([]bool, 8)
	for i := range names {
		c := b.copy()
		group.Go(func() {
			names[i] = c.user(nodes[i%2])
			rotated[i] = c.cookies[secureRemember].Value != b.cookies[secureRemember].Value
		})
	}
	group.Wait()
	turned := 0
	for i := range names {
		require.Equal(t, "jane", names[i])
		if rotated[i] {
			turned++
		}
	}
	require.Equal(t, 1, turned)
}

func TestForgery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("https://git.example.com")
	w.user(1, "jane", "sesame: open")
	b := newBrowser(t)
	token := b.logIn(node, "jane", "sesame: open", false).CSRF
	other := newBrowser(t)
	others := other.logIn(node, "jane", "sesame: open", false).CSRF
	require.NotEqual(t, token, others)
	for _, tt := range []struct {
		name    string
		method  string
		headers []string
		allowed bool
	}{
		{"reading", "GET", nil, true},
		{"reading, from another site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, true},
		{"nothing", "POST", nil, false},
		{"nothing", "DELETE", nil, false},
		{"nothing", "PATCH", nil, false},
		{"an unknown method", "PROPFIND", nil, false},
		{"Bitbucket's header", "POST", []string{"X-Atlassian-Token", "no-check"}, true},
		{"Bitbucket's header with something else", "POST", []string{"X-Atlassian-Token", "check"}, false},
		{"token", "PUT", []string{"X-CSRF-Token", token}, true},
		{"another session's token", "PUT", []string{"X-CSRF-Token", others}, false},
		{"empty token", "PUT", []string{"X-CSRF-Token", ""}, false},
		{"token, from here", "POST", []string{"X-CSRF-Token", token, "Sec-Fetch-Site", "same-origin", "Origin", "https://git.example.com"}, true},
		{"token, from another site", "POST", []string{"X-CSRF-Token", token, "Sec-Fetch-Site", "cross-site"}, false},
		{"token, from a sibling", "POST", []string{"X-CSRF-Token", token, "Sec-Fetch-Site", "same-site"}, false},
		{"header, from another origin", "POST", []string{"X-Atlassian-Token", "no-check", "Origin", "https://evil.example.net"}, false},
		{"header, from nowhere", "POST", []string{"X-Atlassian-Token", "no-check", "Origin", "null"}, false},
		{"header, from here", "POST", []string{"X-Atlassian-Token", "no-check", "Origin", "https://git.example.com"}, true},
	} {
		caller, err := node.Visit(httptest.NewRecorder(), b.request(tt.method, tt.headers...))
		if tt.allowed {
			require.NoError(t, err, tt.name)
			require.Equal(t, "jane", caller.User.Name, tt.name)
			continue
		}
		var forged *credentials.ForgeryError
		require.True(t, errors.As(err, &forged), "%s: %v", tt.name, err)
	}
	// A password that the browser adds by itself is no better; a token is added by whoever sends
	// the request.
	stranger := newBrowser(t)
	var forged *credentials.ForgeryError
	_, err := node.Visit(httptest.NewRecorder(), stranger.request("POST", "Authorization", basic("jane", "sesame: open"), "Sec-Fetch-Site", "cross-site"))
	require.True(t, errors.As(err, &forged))
	_, err = node.Visit(httptest.NewRecorder(), stranger.request("POST", "Authorization", "Bearer "+w.token(1, 1, nil), "Sec-Fetch-Site", "cross-site"))
	require.NoError(t, err)
	// Credentials in the header are the only ones looked at: wrong ones are refused with a session, too.
	var refused *credentials.RefusedError
	_, err = node.Visit(httptest.NewRecorder(), b.request("GET", "Authorization", basic("jane", "wrong")))
	require.True(t, errors.As(err, &refused))
}

// Log-in is where passwords are tried: it counts like all others.
func TestLogInCountsAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("https://git.example.com")
	w.user(1, "jane", "sesame: open")
	b := newBrowser(t)
	for range 7 {
		_, err := node.LogIn(httptest.NewRecorder(), b.request("POST"), "jane", "wrong", false)
		require.Error(t, err)
	}
	_, err := node.LogIn(httptest.NewRecorder(), b.request("POST"), "jane", "sesame: open", false)
	require.Error(t, err, "the right one has to wait, too")
}

// H13: what is stored opens nothing.
func TestSessionsAreStoredHashed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("https://git.example.com")
	w.user(1, "jane", "sesame: open")
	b := newBrowser(t)
	csrf := b.logIn(node, "jane", "sesame: open", true).CSRF
	var stored string
	require.NoError(t, w.pool.QueryRow(t.Context(), `
		select (select string_agg(s::text || encode(s.hash, 'base64') || encode(s.family, 'base64'), ' ') from access.sessions s)
		|| (select string_agg(r::text || encode(r.hash, 'base64') || encode(r.family, 'base64'), ' ') from access.remembered_logins r)`).Scan(&stored))
	require.NotEmpty(t, stored)
	selector, secret, _ := strings.Cut(b.cookies[secureRemember].Value, ".")
	standard := strings.NewReplacer("-", "+", "_", "/")
	for _, canary := range []string{csrf, b.cookies[secureSession].Value, selector, secret} {
		require.NotContains(t, stored, canary)
		require.NotContains(t, strings.ReplaceAll(stored, "\n", ""), standard.Replace(canary))
	}
}
