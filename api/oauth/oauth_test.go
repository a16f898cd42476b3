package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/oauth"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	domainoauth "github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// world is an installation with the user jane, the application CI, and jane's browser, which is
// logged in.
type world struct {
	t      *testing.T
	log    *eventstore.Log
	pool   *pgxpool.Pool
	users  *access.Reader
	now    time.Time
	who    *credentials.Authenticator
	site   *echo.Echo
	cookie string
	secret string // of CI
}

const (
	clientID = "00000000-0000-0000-0000-000000000001"
	home     = "https://ci.example.org/authorize?keep=1"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}}})
	w := &world{t: t, log: log, pool: pool, users: access.NewReader(pool), now: time.Now()}
	base, _ := url.Parse("https://git.example.com")
	clock := func() time.Time { return w.now }
	w.who = credentials.New(w.users, credentials.Options{Parallel: 2, Now: clock, Sessions: credentials.Sessions{Store: access.NewSessions(pool), BaseURL: base}})
	hash, err := w.who.HashPassword(t.Context(), "sesame: open")
	require.NoError(t, err)
	w.must("user/1", account.Created{ID: 1, Type: account.Normal, Profile: account.Profile{Name: "jane", Slug: "jane"}},
		account.PasswordSet{ID: 1, Secret: account.Secret{Hash: hash}}, rights.Granted{User: 1, Permission: rights.LicensedUser})
	secret, secretHash := credentials.OAuthClient.New()
	w.secret = secret
	w.must("oauth-client/1", domainoauth.ClientCreated{ID: 1, ClientID: clientID, SecretHash: secretHash, Client: domainoauth.Client{
		Name: "CI <b>", RedirectURIs: []string{home, "org.example.app:/done"}, Scopes: []string{"REPO_READ", "REPO_WRITE"},
	}})
	w.site = echo.New()
	oauth.New(oauth.Config{
		Log: log, Users: w.users, Tokens: access.NewOAuthTokens(pool), Credentials: w.who, BaseURL: base, Logger: slog.New(slog.DiscardHandler), Now: clock,
	}).Mount(w.site)
	w.logIn()
	return w
}

func (w *world) logIn() {
	w.t.Helper()
	answer := httptest.NewRecorder()
	_, err := w.who.LogIn(answer, httptest.NewRequest(http.MethodPost, "/", nil), "jane", "sesame: open", false)
	require.NoError(w.t, err)
	c := answer.Result().Cookies()[0]
	w.cookie = c.Name + "=" + c.Value
}

func (w *world) must(stream domain.Stream, events ...domain.Event) {
	w.t.Helper()
	_, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
	require.NoError(w.t, err)
}

func (w *world) send(method, target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, "https://git.example.com"+target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.site.ServeHTTP(answer, r)
	return answer
}

const authorize = "/rest/oauth2/latest/authorize"

func ask(changes ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {home}, "scope": {"REPO_READ"}, "state": {"a&b"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if q.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return q
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

// consent shows the page to jane and returns the form on it.
func (w *world) consent(q url.Values) url.Values {
	w.t.Helper()
	a := w.send("GET", authorize+"?"+q.Encode(), nil, "Cookie", w.cookie)
	require.Equal(w.t, 200, a.Code, a.Body)
	form := url.Values{}
	for _, field := range hidden.FindAllStringSubmatch(a.Body.String(), -1) {
		form.Set(field[1], strings.ReplaceAll(field[2], "&amp;", "&"))
	}
	return form
}

// decide answers the form and returns where the browser is led.
func (w *world) decide(form url.Values, decision string) url.Values {
	w.t.Helper()
	form.Set("decision", decision)
	a := w.send("POST", authorize, form, "Cookie", w.cookie, "Origin", "https://git.example.com")
	require.Equal(w.t, 303, a.Code, a.Body)
	target, err := url.Parse(a.Header().Get("Location"))
	require.NoError(w.t, err)
	require.True(w.t, strings.HasPrefix(target.String(), home), target)
	return target.Query()
}

func (w *world) code(changes ...string) string {
	w.t.Helper()
	code := w.decide(w.consent(ask(changes...)), "allow").Get("code")
	require.NotEmpty(w.t, code)
	return code
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope, Error string
}

func (w *world) token(status int, form url.Values, headers ...string) (t tokens) {
	w.t.Helper()
	if len(headers) == 0 {
		form.Set("client_id", clientID)
		form.Set("client_secret", w.secret)
	}
	a := w.send("POST", "/rest/oauth2/latest/token", form, headers...)
	require.Equal(w.t, status, a.Code, a.Body)
	require.Equal(w.t, "no-store", a.Header().Get("Cache-Control"))
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &t))
	return t
}

func exchange(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {home}, "code_verifier": {verifier}}
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// caller is who comes with a token, nobody if it is refused.
func (w *world) caller(token string) credentials.Caller {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	caller, err := w.who.Authenticate(r)
	if err != nil {
		return credentials.Caller{}
	}
	return caller
}

func (w *world) events(like string) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), `select count(*) from log.events where type || ' ' || body::text like $1`, like).Scan(&n))
	return n
}

func TestCodeFlow(t *testing.T) {
	w := newWorld(t)
	a := w.send("GET", authorize+"?"+ask().Encode(), nil)
	require.Equal(t, 303, a.Code)
	next, err := url.Parse(a.Header().Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "/login", next.Path)
	require.Equal(t, authorize+"?"+ask().Encode(), next.Query().Get("next"))

	a = w.send("GET", authorize+"?"+ask().Encode(), nil, "Cookie", w.cookie)
	require.Contains(t, a.Header().Get("Content-Security-Policy"), "form-action 'self' https://ci.example.org;")
	require.Contains(t, a.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Contains(t, a.Body.String(), "CI &lt;b&gt;")
	require.NotContains(t, a.Body.String(), "<b>")
	require.Contains(t, a.Body.String(), "read the projects and repositories")
	require.NotContains(t, a.Body.String(), "push")
	require.Equal(t, "jane", a.Header().Get("X-AUSERNAME"))

	got := w.decide(w.consent(ask()), "allow")
	require.Equal(t, "a&b", got.Get("state"))
	require.Equal(t, "1", got.Get("keep"))
	made := w.token(200, exchange(got.Get("code")))
	require.Equal(t, "bearer", made.TokenType)
	require.Equal(t, 7200, made.ExpiresIn)
	require.Equal(t, "REPO_READ", made.Scope)
	caller := w.caller(made.AccessToken)
	require.Equal(t, "jane", caller.User.Name)
	require.True(t, strings.HasPrefix(caller.Auth, "oauth:"))
	require.True(t, caller.Covers(rights.RepoRead))
	for _, more := range []rights.Permission{rights.RepoWrite, rights.ProjectCreate, rights.Admin, rights.SysAdmin} {
		require.False(t, caller.Covers(more), more)
	}
	// H5: in Git, with the user's name or the one that stands for any; nowhere else.
	basic := func(name, secret string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(name, secret)
		caller, err := w.who.Authenticate(r)
		if err != nil {
			return ""
		}
		return caller.User.Name
	}
	require.Equal(t, "jane", basic("jane", made.AccessToken))
	require.Equal(t, "jane", basic("x-token-auth", made.AccessToken))
	for _, wrong := range [][2]string{{"bob", made.AccessToken}, {"", made.AccessToken}, {made.AccessToken, ""}, {made.AccessToken, "x-oauth-basic"}, {"jane", made.RefreshToken}, {"x-token-auth", made.RefreshToken}} {
		require.Empty(t, basic(wrong[0], wrong[1]), wrong)
	}
	for _, other := range []string{made.RefreshToken, got.Get("code"), w.secret, made.AccessToken + "x", made.AccessToken[:len(made.AccessToken)-1]} {
		require.True(t, w.caller(other).Anonymous())
	}

	w.now = w.now.Add(2 * time.Hour)
	require.True(t, w.caller(made.AccessToken).Anonymous(), "an access token ends")
	w.now = w.now.Add(-time.Second)
	require.False(t, w.caller(made.AccessToken).Anonymous())
	// The client may come by the header, too, as form-encoded.
	w.token(400, refresh(made.RefreshToken+"x"))
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.SetBasicAuth(url.QueryEscape(clientID), url.QueryEscape(w.secret))
	next2 := w.token(200, refresh(made.RefreshToken), "Authorization", r.Header.Get("Authorization"))
	require.NotEqual(t, made.RefreshToken, next2.RefreshToken)
	require.False(t, w.caller(next2.AccessToken).Anonymous())

	require.Equal(t, "invalid_grant", w.token(400, refresh(made.RefreshToken)).Error, "used twice: somebody else has it")
	require.True(t, w.caller(next2.AccessToken).Anonymous(), "and what came of it is over")
	require.Equal(t, "invalid_grant", w.token(400, refresh(next2.RefreshToken)).Error)
	require.Equal(t, 1, w.events(`user.application_revoked.v1%"reused"%`))
	require.Equal(t, 0, w.events(`%`+w.secret+`%`))
}

func TestRefusal(t *testing.T) {
	w := newWorld(t)
	got := w.decide(w.consent(ask()), "deny")
	require.Equal(t, "access_denied", got.Get("error"))
	require.Equal(t, "a&b", got.Get("state"))
	require.Equal(t, "access_denied", w.decide(w.consent(ask()), "").Get("error"))
	require.Equal(t, 0, w.events(`user.application_authorized.v1%`))
}

// Nobody is sent to where nobody registered, whatever is wrong besides.
func TestUnknownClientsAndAddresses(t *testing.T) {
	w := newWorld(t)
	for _, wrong := range [][]string{
		{"client_id", "x"}, {"client_id", ""}, {"client_id", strings.Repeat("x", 100)}, {"client_id", "\x00"},
		{"redirect_uri", ""}, {"redirect_uri", home + "&x"}, {"redirect_uri", home + "/"}, {"redirect_uri", strings.ToUpper(home)},
		{"redirect_uri", "https://ci.example.org/authorize"}, {"redirect_uri", "https://evil.example.net/"}, {"redirect_uri", "https://ci.example.org.evil.net/authorize?keep=1"},
		{"redirect_uri", "https://ci.example.org/authorize/../authorize?keep=1"}, {"redirect_uri", home + "#x"},
	} {
		for _, a := range []*httptest.ResponseRecorder{
			w.send("GET", authorize+"?"+ask(wrong...).Encode(), nil, "Cookie", w.cookie),
			w.send("GET", authorize+"?"+ask(wrong...).Encode(), nil),
		} {
			require.Equal(t, 400, a.Code, wrong)
			require.Empty(t, a.Header().Get("Location"), wrong)
		}
		form := w.consent(ask())
		form.Set(wrong[0], wrong[1])
		form.Set("decision", "allow")
		require.Equal(t, 400, w.send("POST", authorize, form, "Cookie", w.cookie).Code)
	}
	twice := ask()
	twice.Add("redirect_uri", "https://evil.example.net/")
	require.Equal(t, 400, w.send("GET", authorize+"?"+twice.Encode(), nil, "Cookie", w.cookie).Code)
	for _, tt := range []struct{ name, value, want string }{
		{"response_type", "token", "unsupported_response_type"}, {"response_type", "", "unsupported_response_type"},
		{"scope", "REPO_ADMIN", "invalid_scope"}, {"scope", "REPO_READ SYSTEM_ADMIN", "invalid_scope"}, {"scope", "nonsense", "invalid_scope"},
		{"code_challenge_method", "plain", "invalid_request"}, {"code_challenge_method", "", "invalid_request"},
		{"code_challenge", "", "invalid_request"}, {"code_challenge", "short", "invalid_request"}, {"state", strings.Repeat("x", 3000), "invalid_request"},
	} {
		a := w.send("GET", authorize+"?"+ask(tt.name, tt.value).Encode(), nil, "Cookie", w.cookie)
		require.Equal(t, 303, a.Code, tt)
		target, err := url.Parse(a.Header().Get("Location"))
		require.NoError(t, err)
		require.Equal(t, "ci.example.org", target.Host)
		require.Equal(t, tt.want, target.Query().Get("error"))
	}
	require.Equal(t, "REPO_READ REPO_WRITE", w.consent(ask("scope", "")).Get("scope"), "nothing asked for is all that may be")
	a := w.send("GET", authorize+"?"+ask("redirect_uri", "org.example.app:/done").Encode(), nil, "Cookie", w.cookie)
	require.Contains(t, a.Header().Get("Content-Security-Policy"), "form-action 'self' org.example.app:;")
}

// Consent is given by the user, on our page.
func TestConsentIsNotForged(t *testing.T) {
	w := newWorld(t)
	form := w.consent(ask())
	form.Set("decision", "allow")
	without := url.Values{}
	for name, value := range form {
		if name != credentials.FieldCSRF {
			without[name] = value
		}
	}
	basic := httptest.NewRequest(http.MethodGet, "/", nil)
	basic.SetBasicAuth("jane", "sesame: open")
	for _, a := range []*httptest.ResponseRecorder{
		w.send("POST", authorize, without, "Cookie", w.cookie),
		w.send("POST", authorize, form, "Cookie", w.cookie, "Sec-Fetch-Site", "cross-site"),
		w.send("POST", authorize, form, "Cookie", w.cookie, "Origin", "null"),
		w.send("POST", authorize, form),
		w.send("POST", authorize, without, "Authorization", basic.Header.Get("Authorization")),
	} {
		require.Equal(t, 403, a.Code, a.Body)
	}
	require.Equal(t, 303, w.send("GET", authorize+"?"+ask().Encode(), nil, "Authorization", basic.Header.Get("Authorization")).Code, "a program logs in with a browser, too")
	require.Equal(t, 0, w.events(`user.application_authorized.v1%`))
}

func TestCodes(t *testing.T) {
	w := newWorld(t)
	for name, form := range map[string]func(url.Values){
		"another address": func(f url.Values) { f.Set("redirect_uri", "org.example.app:/done") },
		"no address":      func(f url.Values) { f.Del("redirect_uri") },
		"no verifier":     func(f url.Values) { f.Del("code_verifier") },
		"wrong verifier":  func(f url.Values) { f.Set("code_verifier", verifier+"x") },
		"challenge":       func(f url.Values) { f.Set("code_verifier", challenge(verifier)) },
		"too late":        func(url.Values) { w.now = w.now.Add(time.Minute) },
	} {
		code := w.code()
		sent := exchange(code)
		form(sent)
		require.Equal(t, "invalid_grant", w.token(400, sent).Error, name)
		require.Equal(t, "invalid_grant", w.token(400, exchange(code)).Error, "%s: used up", name)
	}
	plain := exchange(w.code("code_challenge", "", "code_challenge_method", ""))
	require.Equal(t, "invalid_grant", w.token(400, plain).Error, "a verifier without a challenge")
	plain = exchange(w.code("code_challenge", "", "code_challenge_method", ""))
	plain.Del("code_verifier")
	w.token(200, plain)

	code := w.code()
	made := w.token(200, exchange(code))
	require.False(t, w.caller(made.AccessToken).Anonymous())
	require.Equal(t, "invalid_grant", w.token(400, exchange(code)).Error)
	require.True(t, w.caller(made.AccessToken).Anonymous(), "a second use revokes what came of the first")
	require.Equal(t, "invalid_grant", w.token(400, refresh(made.RefreshToken)).Error)

	// Of many at once one at most gets tokens, and in the end nobody has any.
	code = w.code()
	var group sync.WaitGroup
	got := make([]tokens, 6)
	for i := range got {
		group.Go(func() {
			sent := exchange(code)
			sent.Set("client_id", clientID)
			sent.Set("client_secret", w.secret)
			_ = json.Unmarshal(w.send("POST", "/rest/oauth2/1.0/token", sent).Body.Bytes(), &got[i])
		})
	}
	group.Wait()
	some := 0
	for _, one := range got {
		if one.AccessToken != "" {
			some++
			require.True(t, w.caller(one.AccessToken).Anonymous())
		}
	}
	require.LessOrEqual(t, some, 1)
}

func TestClientAuthentication(t *testing.T) {
	w := newWorld(t)
	header := func(id, secret string) string {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.SetBasicAuth(id, secret)
		return r.Header.Get("Authorization")
	}
	code := w.code()
	otherSecret, _ := credentials.OAuthClient.New()
	for _, auth := range []string{header(clientID, otherSecret), header("x", w.secret), header(clientID, ""), header("", "")} {
		require.Equal(t, "invalid_client", w.token(401, exchange(code), "Authorization", auth).Error)
	}
	both := exchange(code)
	both.Set("client_secret", w.secret)
	require.Equal(t, "invalid_request", w.token(400, both, "Authorization", header(clientID, w.secret)).Error)
	require.Equal(t, "invalid_request", w.token(400, exchange(code), "Authorization", "Bearer x").Error)
	// H4: nothing in the address counts.
	query := exchange(code)
	query.Set("client_id", clientID)
	query.Set("client_secret", w.secret)
	require.Equal(t, 401, w.send("POST", "/rest/oauth2/latest/token?"+query.Encode(), nil).Code)
	require.NotEqual(t, 200, w.send("GET", "/rest/oauth2/latest/token?"+query.Encode(), nil).Code)
	require.Equal(t, "unsupported_grant_type", w.token(400, url.Values{"grant_type": {"password"}, "username": {"jane"}, "password": {"sesame: open"}}).Error)
	require.Equal(t, "unsupported_grant_type", w.token(400, url.Values{"grant_type": {"client_credentials"}}).Error)

	// Another client has nothing of this one's, and spoils nothing.
	secret, hash := credentials.OAuthClient.New()
	w.must("oauth-client/2", domainoauth.ClientCreated{ID: 2, ClientID: "other", SecretHash: hash, Client: domainoauth.Client{Name: "O", RedirectURIs: []string{home}, Scopes: []string{"REPO_READ"}}})
	require.Equal(t, "invalid_grant", w.token(400, exchange(code), "Authorization", header("other", secret)).Error)
	made := w.token(200, exchange(code))
	require.Equal(t, "invalid_grant", w.token(400, refresh(made.RefreshToken), "Authorization", header("other", secret)).Error)
	revoke := func(token, auth string) {
		require.Equal(t, 200, w.send("POST", "/rest/oauth2/latest/revoke", url.Values{"token": {token}}, "Authorization", auth).Code)
	}
	revoke(made.AccessToken, header("other", secret))
	revoke("nonsense", header(clientID, w.secret))
	require.False(t, w.caller(made.AccessToken).Anonymous())
	require.Equal(t, 401, w.send("POST", "/rest/oauth2/latest/revoke", url.Values{"token": {made.AccessToken}}).Code)
	revoke(made.RefreshToken, header(clientID, w.secret))
	require.True(t, w.caller(made.AccessToken).Anonymous())
	revoke(made.RefreshToken, header(clientID, w.secret))

	made = w.token(200, exchange(w.code()))
	w.must("oauth-client/1", domainoauth.ClientSecretChanged{ID: 1, SecretHash: hash})
	require.Equal(t, "invalid_client", w.token(401, refresh(made.RefreshToken)).Error)
}

// What takes an application's access away takes it away at once.
func TestApplicationsAreShutOut(t *testing.T) {
	w := newWorld(t)
	made := w.token(200, exchange(w.code()))
	alive := func() bool { return !w.caller(made.AccessToken).Anonymous() }
	for _, how := range [][2]domain.Event{
		{account.Deactivated{ID: 1}, account.Activated{ID: 1}},
		{rights.Revoked{User: 1, Permission: rights.LicensedUser}, rights.Granted{User: 1, Permission: rights.LicensedUser}},
	} {
		require.True(t, alive())
		w.must("user/1", how[0])
		require.False(t, alive())
		require.Equal(t, "invalid_grant", w.token(400, refresh(made.RefreshToken)).Error)
		w.must("user/1", how[1])
		w.logIn()
		made = w.token(200, exchange(w.code()))
	}
	made = w.token(200, exchange(w.code("scope", "REPO_WRITE")))
	require.True(t, w.caller(made.AccessToken).Covers(rights.RepoWrite))
	w.must("oauth-client/1", domainoauth.ClientChanged{ID: 1, Client: domainoauth.Client{Name: "CI", RedirectURIs: []string{home}, Scopes: []string{"REPO_READ"}}})
	require.False(t, w.caller(made.AccessToken).Covers(rights.RepoWrite), "what it may no longer ask for")
	w.must("oauth-client/1", domainoauth.ClientDeleted{ID: 1})
	require.False(t, alive())
	require.Equal(t, "invalid_client", w.token(401, refresh(made.RefreshToken)).Error)
}

func TestOldestGrantGivesWay(t *testing.T) {
	w := newWorld(t)
	var made []tokens
	for range account.MaxGrants + 1 {
		made = append(made, w.token(200, exchange(w.code())))
	}
	require.True(t, w.caller(made[0].AccessToken).Anonymous())
	require.False(t, w.caller(made[1].AccessToken).Anonymous())
	list, _, err := w.users.OAuthGrants(t.Context(), 1, access.Page{Limit: 100})
	require.NoError(t, err)
	require.Len(t, list, account.MaxGrants)
}

// H13: what is stored opens nothing.
func TestStoredHashed(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	made := w.token(200, exchange(code))
	var dump strings.Builder
	for _, table := range []string{"oauth_codes", "oauth_tokens", "oauth_clients", "oauth_grants"} {
		var rows string
		require.NoError(t, w.pool.QueryRow(t.Context(), fmt.Sprintf(`select coalesce(string_agg(t::text, ' '), '') from access.%s t`, table)).Scan(&rows))
		require.NotEmpty(t, rows, table)
		dump.WriteString(rows)
	}
	var events string
	require.NoError(t, w.pool.QueryRow(t.Context(), `select string_agg(e::text, ' ') from log.events e`).Scan(&events))
	for _, canary := range []string{code, made.AccessToken, made.RefreshToken, w.secret} {
		_, secret, _ := strings.Cut(strings.TrimPrefix(canary, "annal_"), "_")
		require.NotContains(t, dump.String()+events, secret)
		require.NotContains(t, dump.String(), fmt.Sprintf("%x", secret))
	}
}
