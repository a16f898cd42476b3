package login_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/login"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

var (
	providersKey = sync.OnceValue(newKey)
	anotherKey   = sync.OnceValue(newKey)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// provider is a small provider of OpenID Connect.
type provider struct {
	t      *testing.T
	server *httptest.Server
	w      *world

	claims map[string]any             // of the next ID token, on top of the right ones
	sign   func(claims []byte) string // nil: as it should be
	asked  url.Values                 // what the browser was last sent with
	token  func(http.ResponseWriter)  // nil: as it should be
}

const clientSecret = "the client's secret"

func newProvider(t *testing.T, w *world, config login.ProviderConfig) *provider {
	p := &provider{t: t, w: w}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(rw).Encode(map[string]any{
			"issuer": p.server.URL, "authorization_endpoint": p.server.URL + "/authorize", "token_endpoint": p.server.URL + "/token", "jwks_uri": p.server.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(rw http.ResponseWriter, _ *http.Request) {
		public := providersKey().PublicKey
		_ = json.NewEncoder(rw).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "kid": "1", "use": "sig", "n": encode(public.N.Bytes()), "e": encode(big.NewInt(int64(public.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", func(rw http.ResponseWriter, r *http.Request) {
		_, secret, _ := r.BasicAuth()
		if secret == "" {
			secret = r.PostFormValue("client_secret")
		}
		secret, _ = url.QueryUnescape(secret)
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if r.PostFormValue("code") != "a code" || encode(sum[:]) != p.asked.Get("code_challenge") || secret != clientSecret ||
			r.PostFormValue("redirect_uri") != "https://git.example.com/annal/login/oidc/callback" {
			http.Error(rw, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		rw.Header().Set("Content-Type", "application/json")
		if p.token != nil {
			p.token(rw)
			return
		}
		claims := map[string]any{
			"iss": p.server.URL, "aud": "annal", "sub": "4711", "iat": w.now.Unix(), "exp": w.now.Add(time.Minute).Unix(),
			"nonce": p.asked.Get("nonce"), "preferred_username": "jane", "name": "Jane Doe", "email": "jane@example.com",
		}
		for name, value := range p.claims {
			claims[name] = value
		}
		body, _ := json.Marshal(claims)
		sign := p.sign
		if sign == nil {
			sign = func(body []byte) string { return rs256(providersKey(), body) }
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": sign(body)})
	})
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	config.Issuer, config.ClientID, config.ClientSecret = p.server.URL, "annal", clientSecret
	config.RedirectURL, config.NameClaim, config.Now = "https://git.example.com/annal/login/oidc/callback", "preferred_username", func() time.Time { return w.now }
	config.Accounts.Log, config.Accounts.Users = w.log, w.users
	config.Client = p.server.Client()
	w.serve(login.NewProvider(config))
	return p
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rs256(key *rsa.PrivateKey, body []byte) string {
	signed := encode([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + encode(body)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + encode(signature)
}

// send has the browser go to the provider.
func (p *provider) send(next string) {
	p.t.Helper()
	a := p.w.send("/login/oidc?next="+url.QueryEscape(next), nil)
	require.Equal(p.t, 303, a.Code, a.Body)
	target, err := url.Parse(a.Header().Get("Location"))
	require.NoError(p.t, err)
	require.True(p.t, strings.HasPrefix(target.String(), p.server.URL+"/authorize?"))
	p.asked = target.Query()
	require.Equal(p.t, "S256", p.asked.Get("code_challenge_method"))
	require.NotEmpty(p.t, p.asked.Get("nonce"))
	require.Contains(p.t, strings.Fields(p.asked.Get("scope")), "openid")
}

// back has the browser come back.
func (p *provider) back() *httptest.ResponseRecorder {
	p.t.Helper()
	return p.w.send("/login/oidc/callback?"+url.Values{"code": {"a code"}, "state": {p.asked.Get("state")}}.Encode(), nil)
}

func (p *provider) logIn() int {
	p.t.Helper()
	delete(p.w.cookies, "__Host-annal-session")
	p.send("/next")
	return p.back().Code
}

func TestOIDC(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w, login.ProviderConfig{Accounts: login.Accounts{LinkByName: true}})
	require.Contains(t, w.send("/login?next=/x", nil).Body.String(), `href="/annal/login/oidc?next=%2Fx"`)
	p.send("/projects/PRJ")
	a := p.back()
	require.Equal(t, 303, a.Code, a.Body)
	require.Equal(t, "/annal/projects/PRJ", a.Header().Get("Location"))
	require.Equal(t, "jane", w.user())

	// From now on he is who he is to the provider, whatever he is called there.
	p.claims = map[string]any{"preferred_username": "somebody else"}
	require.Equal(t, 303, p.logIn())
	require.Equal(t, "jane", w.user())
	p.claims = map[string]any{"sub": "4712"}
	require.Equal(t, 401, p.logIn(), "another account of that name is another person")
	p.claims = map[string]any{"sub": "4713", "preferred_username": "unknown"}
	require.Equal(t, 401, p.logIn(), "none is created unless the operator says so")
	p.claims = map[string]any{"sub": "4714", "preferred_username": nil}
	require.Equal(t, 401, p.logIn())
	p.claims = nil

	// H11: whoever is shut out stays out.
	w.must("user/1", account.Deactivated{ID: 1})
	require.Equal(t, 401, p.logIn())
	require.Empty(t, w.user())
	w.must("user/1", account.Activated{ID: 1}, rights.Revoked{User: 1, Permission: rights.LicensedUser})
	require.Equal(t, 401, p.logIn())
	w.must("user/1", rights.Granted{User: 1, Permission: rights.LicensedUser})
	require.Equal(t, 303, p.logIn())
	w.must("user/1", account.Erased{ID: 1})
	require.Equal(t, 401, p.logIn())
}

func TestOIDCWithoutLinks(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w, login.ProviderConfig{})
	require.Equal(t, 401, p.logIn(), "a name alone opens no account")
	require.Empty(t, w.user())
	w.must("user/1", account.IdentityLinked{User: 1, Identity: account.Identity{Issuer: p.server.URL, Subject: "4711"}})
	require.Equal(t, 303, p.logIn())
	require.Equal(t, "jane", w.user())
}

func TestOIDCLinksNobodyWhoIsShutOut(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w, login.ProviderConfig{Accounts: login.Accounts{LinkByName: true, Create: true}})
	w.must("user/1", account.Deactivated{ID: 1})
	require.Equal(t, 401, p.logIn())
	_, err := w.users.LoginByIdentity(t.Context(), account.Identity{Issuer: p.server.URL, Subject: "4711"})
	require.Error(t, err)
}

func TestOIDCCreatesUsers(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w, login.ProviderConfig{Accounts: login.Accounts{Create: true, Seats: 2}})
	require.Equal(t, 401, p.logIn(), "jane is there and not linked")
	p.claims = map[string]any{"preferred_username": "ada", "name": "Ada Lovelace", "email": "ada@example.com"}
	require.Equal(t, 303, p.logIn())
	require.Equal(t, "ada", w.user())
	u, err := w.users.UserByName(t.Context(), "ada")
	require.NoError(t, err)
	require.Equal(t, "Ada Lovelace", u.DisplayName)
	require.Equal(t, "ada@example.com", u.Email)
	require.Equal(t, 303, p.logIn())
	p.claims = map[string]any{"sub": "2", "preferred_username": "bob"}
	require.Equal(t, 401, p.logIn(), "no seats left")
	p.claims = map[string]any{"sub": "3", "preferred_username": "-erased-1"}
	require.Equal(t, 401, p.logIn())
}

// H12: what a provider has not said, or not to us, or not now, is worth nothing.
func TestOIDCRefusals(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w, login.ProviderConfig{Accounts: login.Accounts{LinkByName: true, Create: true}})
	hs256 := func(key []byte) func([]byte) string {
		return func(body []byte) string {
			signed := encode([]byte(`{"alg":"HS256","kid":"1"}`)) + "." + encode(body)
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(signed))
			return signed + "." + encode(mac.Sum(nil))
		}
	}
	for _, tt := range []struct {
		name   string
		claims map[string]any
		sign   func([]byte) string
	}{
		{name: "alg none", sign: func(body []byte) string { return encode([]byte(`{"alg":"none"}`)) + "." + encode(body) + "." }},
		{name: "alg HS256 by the client's secret", sign: hs256([]byte(clientSecret))},
		{name: "alg HS256 by the provider's public key", sign: hs256(providersKey().N.Bytes())},
		{name: "another's key", sign: func(body []byte) string { return rs256(anotherKey(), body) }},
		{name: "no token", sign: func([]byte) string { return "" }},
		{name: "changed after it was signed", sign: func(body []byte) string {
			parts := strings.Split(rs256(providersKey(), body), ".")
			parts[1] = encode([]byte(strings.Replace(string(body), "4711", "4712", 1)))
			return strings.Join(parts, ".")
		}},
		{name: "aud", claims: map[string]any{"aud": "another"}},
		{name: "iss", claims: map[string]any{"iss": "https://id.example.org"}},
		{name: "expired", claims: map[string]any{"exp": w.now.Add(-time.Second).Unix()}},
		{name: "nonce", claims: map[string]any{"nonce": "of another log-in"}},
		{name: "no nonce", claims: map[string]any{"nonce": ""}},
		{name: "no subject", claims: map[string]any{"sub": ""}},
	} {
		p.claims, p.sign = tt.claims, tt.sign
		require.Equal(t, 401, p.logIn(), tt.name)
		require.Empty(t, w.user(), tt.name)
	}
	p.claims, p.sign = nil, nil
	p.token = func(rw http.ResponseWriter) {
		_, _ = rw.Write([]byte(`{"access_token":"` + strings.Repeat("x", 2<<20) + `"}`))
	}
	require.Equal(t, 401, p.logIn(), "an answer without end")
	p.token = nil

	// The browser that comes back is the one that was sent.
	p.send("/")
	cookies := w.cookies
	w.cookies = map[string]string{}
	require.Equal(t, 401, p.back().Code)
	w.cookies = cookies
	state := p.asked.Get("state")
	p.asked.Set("state", "another")
	require.Equal(t, 401, p.back().Code)
	p.asked.Set("state", state)
	require.Equal(t, 401, p.back().Code, "used up")
	p.send("/")
	require.Equal(t, 401, w.send("/login/oidc/callback?error=access_denied&state="+p.asked.Get("state"), nil).Code)
	p.send("/")
	w.now = w.now.Add(16 * time.Minute)
	require.Equal(t, 401, p.back().Code, "too late")
	require.Empty(t, w.user())
	p.send("//evil")
	a := p.back()
	require.Equal(t, "/annal/login", a.Header().Get("Location"))
	require.Equal(t, "jane", w.user())
}

// A provider that is down harms no node, and is asked again.
func TestOIDCProviderDown(t *testing.T) {
	w := newWorld(t)
	p := newProvider(t, w, login.ProviderConfig{Accounts: login.Accounts{LinkByName: true}})
	handler := p.server.Config.Handler
	p.server.Config.Handler = http.NotFoundHandler()
	require.Equal(t, 503, w.send("/login/oidc", nil).Code)
	p.server.Config.Handler = handler
	require.Equal(t, 303, p.logIn())
}
