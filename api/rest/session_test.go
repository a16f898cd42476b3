package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/projections/access"
)

const session = "/rest/annal/1.0/session"

// cookies is the header that a browser sends back after an answer.
func (a answer) cookies() string {
	var pairs []string
	for _, c := range a.Result().Cookies() {
		if c.MaxAge >= 0 {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

func (w *world) logIn(name string) (cookie, csrf string) {
	w.t.Helper()
	a := w.ok(nobody, "POST", session, `{"name":"`+name+`","password":"`+name+`"}`, 200)
	var body struct{ CSRFToken string }
	require.NoError(w.t, json.Unmarshal(a.Body.Bytes(), &body))
	require.NotEmpty(w.t, body.CSRFToken)
	require.Equal(w.t, name, a.Header().Get("X-AUSERNAME"))
	return a.cookies(), body.CSRFToken
}

func TestSession(t *testing.T) {
	w := newWorld(t)
	w.ok(nobody, "GET", session, "", 401)
	w.ok(nobody, "POST", session, `{"name":"reader","password":"wrong"}`, 401)
	w.ok(nobody, "POST", session, `{"name":"nobody","password":"wrong"}`, 401)
	a := w.send(nobody, "POST", session, `{"name":"reader","password":"reader"}`, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, a.Code, "nobody is logged in by a page of another site")
	require.Empty(t, a.cookies())

	cookie, csrf := w.logIn(writer)
	require.True(t, strings.HasPrefix(cookie, "__Host-annal-session="), cookie)
	a = w.send(nobody, "GET", session, "", "Cookie", cookie)
	require.Equal(t, 200, a.Code)
	require.Contains(t, a.Body.String(), csrf)
	require.Equal(t, "no-store", a.Header().Get("Cache-Control"))
	a = w.send(nobody, "GET", "/plugins/servlet/applinks/whoami", "", "Cookie", cookie)
	require.Equal(t, writer, a.Body.String())

	// What changes something needs more than the cookie.
	put := func(status int, headers ...string) {
		t.Helper()
		a := w.send(nobody, "PUT", "/rest/api/1.0/users", `{"displayName":"W"}`, append(headers, "Cookie", cookie)...)
		require.Equal(t, status, a.Code, a.Body)
	}
	put(403)
	put(200, "X-Atlassian-Token", "no-check")
	put(200, "X-CSRF-Token", csrf)
	put(403, "X-CSRF-Token", csrf, "Origin", "https://other.example.net")
	put(200, "X-CSRF-Token", csrf, "Origin", "https://git.example.com")

	// The event says how he was logged in.
	events := w.ok(admin, "GET", "/rest/annal/1.0/events?limit=1000", "", 200).Body.String()
	require.Contains(t, events, `"session:`)
	require.NotContains(t, events, csrf)

	// A new id at each log-in, and the old one is dead.
	again := w.send(nobody, "POST", session, `{"name":"writer","password":"writer"}`, "Cookie", cookie, "X-CSRF-Token", csrf)
	require.Equal(t, 200, again.Code)
	require.NotEqual(t, cookie, again.cookies())
	require.Equal(t, 401, w.send(nobody, "GET", session, "", "Cookie", cookie).Code)
	cookie = again.cookies()

	other, otherToken := w.logIn(writer)
	require.Equal(t, 403, w.send(nobody, "DELETE", session, "", "Cookie", cookie).Code)
	require.Equal(t, 204, w.send(nobody, "DELETE", session, "", "Cookie", cookie, "X-Atlassian-Token", "no-check").Code)
	require.Equal(t, 401, w.send(nobody, "GET", session, "", "Cookie", cookie).Code)
	require.Equal(t, 200, w.send(nobody, "GET", session, "", "Cookie", other).Code)

	third, _ := w.logIn(writer)
	a = w.send(nobody, "DELETE", "/rest/annal/1.0/sessions", "", "Cookie", other, "X-CSRF-Token", otherToken)
	require.Equal(t, 204, a.Code, a.Body)
	for _, c := range []string{other, third} {
		require.Equal(t, 401, w.send(nobody, "GET", session, "", "Cookie", c).Code)
	}
	token := w.token(writer, `["REPO_READ"]`)
	w.ok(token, "DELETE", "/rest/annal/1.0/sessions", "", 401)
	w.ok(token, "GET", session, "", 200)

	cookie, _ = w.logIn(writer)
	w.now = w.now.Add(3 * time.Hour)
	require.Equal(t, 401, w.send(nobody, "GET", session, "", "Cookie", cookie).Code)
}

// Every answer to somebody who has logged in says as whom, errors and strangers' paths, too.
func TestAnswersNameTheCaller(t *testing.T) {
	w := newWorld(t)
	cookie, _ := w.logIn(reader)
	token := w.token(reader, `["REPO_READ"]`)
	for _, target := range []string{
		"/rest/api/1.0/projects/PRJ/repos/repo", "/rest/api/1.0/projects/NONE", "/rest/api/1.0/nothing", "/plugins/servlet/applinks/whoami",
		"/rest/api/1.0/projects/PRJ/repos/%00", "/rest/api/1.0/projects?limit=x", "/rest/api/1.0/admin/license", "/rest/api/1.0/projects?name=%00",
	} {
		for _, a := range []answer{
			w.send(reader, "GET", target, ""), w.send(token, "GET", target, ""), w.send(nobody, "GET", target, "", "Cookie", cookie),
		} {
			require.Equal(t, reader, a.Header().Get("X-AUSERNAME"), target)
			require.Equal(t, "104", a.Header().Get("X-AUSERID"), target)
		}
		require.Empty(t, w.send(nobody, "GET", target, "").Header().Get("X-AUSERNAME"))
		require.Empty(t, w.send("reader:wrong", "GET", target, "").Header().Get("X-AUSERNAME"))
	}
}

// H4: a token in the address is none.
func TestNoSecretInTheAddress(t *testing.T) {
	w := newWorld(t)
	token := w.token(reader, `["REPO_READ"]`)
	cookie, _ := w.logIn(reader)
	value := strings.TrimPrefix(cookie, "__Host-annal-session=")
	for _, query := range []string{"access_token=" + token, "token=" + token, "session=" + value, "os_username=reader&os_password=reader", "private_token=" + token} {
		a := w.ok(nobody, "GET", "/rest/api/1.0/projects/PRJ/repos/repo?"+query, "", 401)
		require.Equal(t, "no-referrer", a.Header().Get("Referrer-Policy"))
	}
	require.Equal(t, http.StatusUnauthorized, w.send(nobody, "GET", "/rest/api/1.0/projects/PRJ/repos/repo", "", "Cookie", "annal-session="+value).Code, "only under the name that browsers guard")
}

func TestOAuthClients(t *testing.T) {
	w := newWorld(t)
	const clients = "/rest/annal/1.0/oauth2/clients"
	body := `{"name":"CI","redirectUris":["https://ci.example.org/authorize"],"scopes":["REPO_WRITE"]}`
	for _, who := range []string{nobody, outsider, manager} {
		w.ok(who, "POST", clients, body, 401)
		w.ok(who, "GET", clients, "", 401)
		w.ok(who, "GET", clients+"/1", "", 401)
		w.ok(who, "DELETE", clients+"/1", "", 401)
	}
	w.ok(admin, "POST", clients, strings.Replace(body, "REPO_WRITE", "repo_write", 1), 400)
	w.ok(admin, "POST", clients, strings.Replace(body, `"REPO_WRITE"`, "", 1), 400)
	a := w.ok(admin, "POST", clients, body, 201)
	var made struct {
		ID                     int64
		ClientID, ClientSecret string
	}
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &made))
	client := fmt.Sprintf("%s/%d", clients, made.ID)
	require.True(t, strings.HasPrefix(made.ClientSecret, "annal_client_"))
	for _, target := range []string{clients, client} {
		shown := w.ok(admin, "GET", target, "", 200).Body.String()
		require.Contains(t, shown, made.ClientID)
		require.NotContains(t, shown, made.ClientSecret)
	}
	require.NotContains(t, w.ok(admin, "GET", "/rest/annal/1.0/events?limit=1000", "", 200).Body.String(), made.ClientSecret)
	changed := w.ok(admin, "PUT", client, `{"name":"CD","redirectUris":["http://localhost:1/x","org.example.app:/done"],"scopes":["REPO_READ","PUBLIC_REPOS"]}`, 200)
	require.Contains(t, changed.Body.String(), `"scopes":["PUBLIC_REPOS","REPO_READ"]`)
	require.NotContains(t, w.ok(admin, "POST", client+"/secret", "", 200).Body.String(), made.ClientSecret)
	for _, uri := range []string{
		"", "http://ci.example.org/", "javascript:alert(1)", "data:text/html,x", "//evil", "/local", "https:evil", "https://", "https://a b/", "https://user@host/",
		"https://host/#fragment", "https://host/;x", "https://host/'", "https://ho,st/", "https://host:x/", "HTTPS://host/", "https://host/\\n", "https://höst/", "file:///etc/passwd",
	} {
		encoded, _ := json.Marshal(uri)
		w.ok(admin, "POST", clients, `{"name":"CI","redirectUris":[`+string(encoded)+`],"scopes":["REPO_READ"]}`, 400)
	}
	w.ok(admin, "DELETE", client, "", 204)
	w.ok(admin, "GET", client, "", 404)
	w.ok(admin, "DELETE", client, "", 404)
}

// application is a token by which an application acts for a user with some scopes.
func (w *world) application(user string, scopes ...string) string {
	w.t.Helper()
	ctx := w.t.Context()
	u, err := access.NewReader(w.pool).UserByName(ctx, user)
	require.NoError(w.t, err)
	number, err := w.log.NextID(ctx, "oauth_grant")
	require.NoError(w.t, err)
	client := domain.OAuthClientID(number)
	w.append(domain.OAuthClientStream(client), oauth.ClientCreated{ID: client, ClientID: fmt.Sprint(number), SecretHash: []byte{1}, Client: oauth.Client{
		Name: "CI", RedirectURIs: []string{"https://ci"}, Scopes: oauth.Scopes(),
	}})
	w.append(domain.UserStream(u.ID), account.ApplicationAuthorized{User: u.ID, Grant: account.GrantID(number), Client: client, Scopes: scopes})
	token, hash := credentials.OAuthAccess.New()
	_, refresh := credentials.OAuthRefresh.New()
	pair := access.Pair{Access: hash, Refresh: refresh, AccessEnds: w.now.Add(time.Hour), RefreshEnds: w.now.Add(time.Hour)}
	require.NoError(w.t, access.NewOAuthTokens(w.pool).SavePair(ctx, account.GrantID(number), pair, w.now))
	return token
}

// An application can do what its scopes say, and never what its user cannot.
func TestApplications(t *testing.T) {
	w := newWorld(t)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"open","scmId":"git","public":true}`, 201)
	const (
		private = "/rest/api/1.0/projects/PRJ/repos/repo"
		public  = "/rest/api/1.0/projects/PRJ/repos/open"
		users   = "/rest/api/1.0/admin/users"
		clients = "/rest/annal/1.0/oauth2/clients"
	)
	profile := func(token string, status int) {
		t.Helper()
		w.ok(token, "PUT", "/rest/api/1.0/users", `{"displayName":"W"}`, status)
	}
	token := w.application(owner, "PUBLIC_REPOS")
	require.Equal(t, owner, w.ok(token, "GET", "/plugins/servlet/applinks/whoami", "", 200).Body.String())
	w.ok(token, "GET", public, "", 200)
	w.ok(token, "GET", private, "", 401)
	require.Equal(t, []string{"open"}, w.ok(token, "GET", "/rest/api/1.0/repos", "", 200).values("slug"))
	require.Equal(t, []string{"PRJ"}, w.ok(token, "GET", "/rest/api/1.0/projects", "", 200).values("key"))
	require.NotContains(t, w.ok(token, "GET", "/rest/annal/1.0/events?limit=1000", "", 200).Body.String(), `"repo"`)
	profile(token, 401)

	token = w.application(owner, "ACCOUNT_WRITE")
	profile(token, 200)
	w.ok(token, "PUT", "/rest/api/1.0/users", `{"email":"other@example.com"}`, 401)
	w.ok(token, "PUT", "/rest/api/1.0/users/credentials", `{"oldPassword":"owner","password":"something new","passwordConfirm":"something new"}`, 401)
	w.ok(token, "GET", private, "", 401)

	token = w.application(owner, "REPO_READ")
	w.ok(token, "GET", private, "", 200)
	w.ok(token, "GET", "/rest/api/1.0/projects/PRJ", "", 200)
	w.ok(token, "PUT", private, `{"description":"x"}`, 401)
	w.ok(w.application(owner, "REPO_ADMIN"), "PUT", private, `{"description":"x"}`, 201)
	w.ok(w.application(writer, "REPO_ADMIN", "SYSTEM_ADMIN"), "PUT", private, `{"description":"x"}`, 401)
	w.ok(w.application(owner, "REPO_ADMIN"), "POST", "/rest/api/1.0/projects", `{"key":"TWO","name":"Two"}`, 401)
	w.ok(w.application(owner, "PROJECT_ADMIN"), "POST", "/rest/api/1.0/projects", `{"key":"TWO","name":"Two"}`, 201)

	w.ok(w.application(admin, "PROJECT_ADMIN"), "GET", clients, "", 401)
	w.ok(w.application(admin, "ADMIN_WRITE"), "GET", clients, "", 401)
	w.ok(w.application(admin, "SYSTEM_ADMIN"), "GET", clients, "", 200)
	w.ok(w.application(manager, "SYSTEM_ADMIN"), "GET", clients, "", 401)
	w.ok(w.application(manager, "ADMIN_WRITE"), "PUT", users, `{"name":"reader","displayName":"R"}`, 200)
	w.ok(w.application(outsider, "ADMIN_WRITE"), "PUT", users, `{"name":"reader","displayName":"R"}`, 401)

	// None makes itself credentials that outlive it, nor speaks for the user's account (H7).
	token = w.application(admin, oauth.Scopes()...)
	w.ok(token, "PUT", "/rest/access-tokens/1.0/users/admin", `{"name":"t","permissions":["REPO_READ"]}`, 401)
	w.ok(token, "POST", "/rest/ssh/1.0/keys", `{"text":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3Xn7gEcF1yxOCqVcSqhJkR6cNFzPqgLXy0xL6kmQXv"}`, 401)
	w.ok(token, "DELETE", "/rest/annal/1.0/sessions", "", 401)
	w.ok(token, "GET", "/rest/annal/1.0/oauth2/authorizations", "", 401)
	w.now = w.now.Add(time.Hour)
	w.ok(token, "GET", public, "", 401)
}
