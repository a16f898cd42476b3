package login_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/login"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// world is an installation below /annal with the user jane, whose password is "sesame: open", and a
// browser.
type world struct {
	t     *testing.T
	log   *eventstore.Log
	pool  *pgxpool.Pool
	users *access.Reader
	now   time.Time
	who   *credentials.Authenticator
	site  *echo.Echo
	base  *url.URL

	cookies map[string]string
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}}})
	w := &world{t: t, log: log, pool: pool, users: access.NewReader(pool), now: time.Now().Truncate(time.Second), cookies: map[string]string{}}
	w.base, _ = url.Parse("https://git.example.com/annal")
	w.who = credentials.New(w.users, credentials.Options{
		Parallel: 2, Now: func() time.Time { return w.now },
		Sessions: credentials.Sessions{Store: access.NewSessions(pool), BaseURL: w.base},
	})
	hash, err := w.who.HashPassword(t.Context(), "sesame: open")
	require.NoError(t, err)
	id, err := log.NextID(t.Context(), "user")
	require.NoError(t, err)
	require.EqualValues(t, 1, id)
	w.must("user/1", account.Created{ID: 1, Type: account.Normal, Profile: account.Profile{Name: "jane", Slug: "jane", DisplayName: "Jane"}},
		account.PasswordSet{ID: 1, Secret: account.Secret{Hash: hash}}, rights.Granted{User: 1, Permission: rights.LicensedUser})
	w.serve(nil)
	return w
}

func (w *world) serve(provider *login.Provider) {
	w.site = echo.New()
	login.New(login.Config{Credentials: w.who, BaseURL: w.base, Provider: provider, Logger: slog.New(slog.DiscardHandler)}).Mount(w.site)
}

func (w *world) must(stream domain.Stream, events ...domain.Event) {
	w.t.Helper()
	_, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
	require.NoError(w.t, err)
}

// send is a request of the browser; with a form it is a POST.
func (w *world) send(target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	r := httptest.NewRequest(method, "https://git.example.com/", strings.NewReader(body))
	parsed, err := url.Parse(target)
	require.NoError(w.t, err)
	r.URL = parsed
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range w.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.site.ServeHTTP(answer, r)
	for _, c := range answer.Result().Cookies() {
		if w.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(w.cookies, c.Name)
		}
	}
	return answer
}

// user is who is logged in, as the form says.
func (w *world) user() string {
	w.t.Helper()
	found := regexp.MustCompile(`You are logged in as (\w+)\.`).FindStringSubmatch(w.send("/login", nil).Body.String())
	if found == nil {
		return ""
	}
	return found[1]
}

var csrf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func TestForm(t *testing.T) {
	w := newWorld(t)
	a := w.send("/login?next=/projects/PRJ?x=1%26y", nil)
	require.Equal(t, 200, a.Code)
	header := a.Header()
	policy := header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-"} {
		require.Contains(t, policy, part)
	}
	require.NotContains(t, policy, "unsafe")
	require.NotContains(t, strings.ToLower(a.Body.String()), "<script")
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	require.Equal(t, "DENY", header.Get("X-Frame-Options"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.Contains(t, a.Body.String(), `action="/annal/login"`)
	require.Contains(t, a.Body.String(), `value="/projects/PRJ?x=1&amp;y"`)

	a = w.send("/login", url.Values{"name": {`"><script>alert(1)</script>`}, "password": {"wrong"}, "next": {"/x"}})
	require.Equal(t, 401, a.Code)
	require.NotContains(t, a.Body.String(), "<script")
	require.Contains(t, a.Body.String(), `role="alert"`)
	unknown := w.send("/login", url.Values{"name": {"jane2"}, "password": {"wrong"}, "next": {"/x"}})
	known := w.send("/login", url.Values{"name": {"jane"}, "password": {"wrong"}, "next": {"/x"}})
	require.Equal(t, strings.ReplaceAll(unknown.Body.String(), "jane2", "jane"), known.Body.String(), "nothing tells who is there")
	require.Empty(t, w.cookies)

	right := url.Values{"name": {"jane"}, "password": {"sesame: open"}, "next": {"/projects/PRJ?x=1"}}
	require.Equal(t, 403, w.send("/login", right, "Sec-Fetch-Site", "cross-site").Code)
	require.Equal(t, 403, w.send("/login", right, "Origin", "https://evil.example.net").Code)
	require.Empty(t, w.cookies)
	a = w.send("/login", right, "Sec-Fetch-Site", "same-origin", "Origin", "https://git.example.com")
	require.Equal(t, 303, a.Code)
	require.Equal(t, "/annal/projects/PRJ?x=1", a.Header().Get("Location"))
	require.Equal(t, "jane", w.user())
	require.Equal(t, "/annal/y", w.send("/login?next=/y", nil).Header().Get("Location"), "who is logged in goes on")

	require.Equal(t, 403, w.send("/logout", url.Values{}).Code)
	require.Equal(t, "jane", w.user())
	token := csrf.FindStringSubmatch(w.send("/login", nil).Body.String())[1]
	require.Equal(t, 303, w.send("/logout", url.Values{"csrf": {token}}).Code)
	require.Empty(t, w.user())
	require.Empty(t, w.cookies)
	require.Equal(t, 303, w.send("/logout", url.Values{}).Code, "nobody can log out")
	require.Equal(t, 400, w.send("/login", url.Values{"name": {strings.Repeat("x", 70<<10)}}).Code)
}

// J7: a log-in leads to a path of this installation.
func TestNextIsLocal(t *testing.T) {
	w := newWorld(t)
	for _, next := range []string{
		"//evil", "/\\evil", "\\\\evil", "https:evil", "https://evil", "https:/evil", "\t//evil", "/\t/evil", "/\n/evil", " //evil", "/ /evil", "javascript:alert(1)",
		"evil", "", "/%0d%0aSet-Cookie:x", "/%09/evil", "/%5cevil", "/%2f/evil", "/x\r\nSet-Cookie: a=b", "/\u2215evil", "/x\x00", "/" + strings.Repeat("x", 5000),
	} {
		a := w.send("/login", url.Values{"name": {"jane"}, "password": {"sesame: open"}, "next": {next}})
		require.Equal(t, 303, a.Code, next)
		require.Equal(t, "/annal/login", a.Header().Get("Location"), "%q", next)
		require.Empty(t, w.send("/login?"+url.Values{"next": {next}}.Encode(), nil).Header().Get("Location"))
	}
}

func FuzzLocal(f *testing.F) {
	for _, next := range []string{"/x", "//evil", "/\\evil", "/%2fevil", "/x?y=//z#a", "/..//evil"} {
		f.Add(next)
	}
	here, _ := url.Parse("https://git.example.com/login")
	f.Fuzz(func(t *testing.T, next string) {
		local := login.Local(next)
		if local == "" {
			return
		}
		// As browsers do: backslashes are slashes, some control characters are nothing.
		read := strings.NewReplacer(`\`, "/", "\t", "", "\r", "", "\n", "").Replace(local)
		target, err := here.Parse(read)
		if err != nil || target.Host != here.Host || target.Scheme != here.Scheme || local != next {
			t.Fatalf("%q leads to %v, %v", next, target, err)
		}
	})
}
