package main_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// person uses a browser.
type person struct {
	t    *testing.T
	http *http.Client
}

func newPerson(t *testing.T) *person {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// open opens an address, or sends a form there.
func (p *person) open(address string, form url.Values, headers ...string) (status int, header http.Header, body string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := p.http.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)

func formOn(page string) url.Values {
	form := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(page, -1) {
		form.Set(field[1], strings.ReplaceAll(field[2], "&amp;", "&"))
	}
	return form
}

// A person logs in on one node and lets an application in, which uses Git on the other; whatever
// ends it ends it there on the next request.
func TestLogins(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	one := start(t, home)
	database := "postgres://annal@/annal?" + url.Values{"host": {filepath.Join(home, "postgres", "run")}}.Encode()
	two := start(t, newHome(t), "ANNAL_DATABASE_URL="+database, "ANNAL_SHARED_HOME="+filepath.Join(home, "shared"))
	one.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", one.remote("demo"), "main")

	p := newPerson(t)
	status, header, page := p.open(one.url+"/login?next=/rest/annal/1.0/session", nil)
	if status != 200 || header.Get("X-Frame-Options") != "DENY" || !strings.Contains(page, "<form") {
		t.Fatalf("%d %v %s", status, header, page)
	}
	form := formOn(page)
	form.Set("name", "admin")
	form.Set("password", password)
	status, header, page = p.open(one.url+"/login", form)
	if status != 303 || header.Get("Location") != "/rest/annal/1.0/session" {
		t.Fatalf("%d %v %s", status, header, page)
	}
	// Cookies are the host's, whatever its port: the other node is behind the same balancer.
	const session = "/rest/annal/1.0/session"
	for _, n := range []*node{one, two} {
		status, header, page = p.open(n.url+session, nil)
		if status != 200 || header.Get("X-AUSERNAME") != "admin" {
			t.Fatalf("%d %v %s", status, header, page)
		}
	}
	// Git asks for no cookie.
	const fetch = "/scm/PRJ/demo.git/info/refs?service=git-upload-pack"
	if status, _, _ = p.open(two.url+fetch, nil); status != 401 {
		t.Errorf("Git with a session: %d", status)
	}

	var client struct{ ClientID, ClientSecret string }
	text := one.admin(201, "POST", "/rest/annal/1.0/oauth2/clients", map[string]any{"name": "CI", "redirectUris": []string{"https://ci.example.org/cb"}, "scopes": []string{"REPO_READ"}})
	client.ClientID, client.ClientSecret = between(text, `"clientId":"`, `"`), between(text, `"clientSecret":"`, `"`)
	ask := one.url + "/rest/oauth2/latest/authorize?" + url.Values{"response_type": {"code"}, "client_id": {client.ClientID}, "redirect_uri": {"https://ci.example.org/cb"}, "state": {"s"}}.Encode()
	var made struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	authorize := func() {
		t.Helper()
		_, _, page := p.open(ask, nil)
		form := formOn(page)
		form.Set("decision", "allow")
		status, header, page := p.open(one.url+"/rest/oauth2/latest/authorize", form)
		back, err := url.Parse(header.Get("Location"))
		if status != 303 || err != nil || back.Host != "ci.example.org" {
			t.Fatalf("%d %v %s", status, header, page)
		}
		status, _, page = newPerson(t).open(two.url+"/rest/oauth2/latest/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://ci.example.org/cb"},
			"client_id": {client.ClientID}, "client_secret": {client.ClientSecret},
		})
		if err := json.Unmarshal([]byte(page), &made); status != 200 || err != nil {
			t.Fatalf("%d %v %s", status, err, page)
		}
	}
	expect := func(name string, want int, path string) {
		t.Helper()
		for range 2 { // the second is let in by what the node remembers
			if status, body := two.request(name, made.Access, http.MethodGet, path, nil); status != want {
				t.Errorf("%s as %s: %d, want %d: %s", path, name, status, want, body)
			}
		}
	}
	authorize()
	expect("admin", 200, fetch)
	expect("x-token-auth", 200, fetch)
	expect("admin", 403, strings.Replace(fetch, "upload", "receive", 1))
	expect("x-token-auth", 200, "/rest/api/1.0/projects/PRJ/repos/demo")
	remote := strings.Replace(two.remote("demo"), strings.ReplaceAll(password, " ", "%20"), made.Access, 1)
	git(t, t.TempDir(), "clone", "-q", remote, "copy")
	if out, err := gitTry(t, dir, "push", "-q", remote, "main:other"); err == nil {
		t.Errorf("a push with REPO_READ: %s", out)
	}
	// A refusal says to whom.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, two.url+strings.Replace(fetch, "upload", "receive", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("admin", made.Access)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden || response.Header.Get("X-AUSERNAME") != "admin" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	// It makes itself no token that would outlive it (H7).
	if status, body := two.request("x-token-auth", made.Access, http.MethodPut, "/rest/access-tokens/latest/users/admin", map[string]any{"name": "t", "permissions": []string{"REPO_READ"}}); status != 401 {
		t.Errorf("a token made by an application: %d %s", status, body)
	}

	// The user shuts it out on one node.
	text = one.admin(200, "GET", "/rest/annal/1.0/oauth2/authorizations", nil)
	one.admin(204, "DELETE", "/rest/annal/1.0/oauth2/authorizations/"+between(text, `"id":`, `,`), nil)
	expect("admin", 401, fetch)
	expect("x-token-auth", 401, "/rest/api/1.0/projects/PRJ/repos/demo")
	// The application shuts itself out.
	authorize()
	expect("admin", 200, fetch)
	if status, _, page = newPerson(t).open(one.url+"/rest/oauth2/latest/revoke", url.Values{"token": {made.Refresh}, "client_id": {client.ClientID}, "client_secret": {client.ClientSecret}}); status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	expect("admin", 401, fetch)
	// An administrator shuts it out.
	authorize()
	expect("admin", 200, fetch)
	one.admin(204, "DELETE", "/rest/annal/1.0/oauth2/clients/"+between(one.admin(200, "GET", "/rest/annal/1.0/oauth2/clients", nil), `"id":`, `,`), nil)
	expect("admin", 401, fetch)

	// Logged out everywhere on one node, logged out on the other.
	one.admin(204, "DELETE", "/rest/annal/1.0/sessions", nil)
	if status, _, page = p.open(two.url+session, nil); status != 401 {
		t.Errorf("a session that was ended on the other node: %d %s", status, page)
	}
	one.annal("projections", "verify", "access")
	for _, n := range []*node{one, two} {
		for _, secret := range []string{made.Access, made.Refresh, client.ClientSecret} {
			if strings.Contains(n.log.String(), secret) {
				t.Error("a secret is in a node's log")
			}
		}
	}
}

func TestLoginSettings(t *testing.T) {
	t.Parallel()
	for _, wrong := range [][]string{
		{"--session-idle", "1s"}, {"--session-length", "0s"}, {"--remember-me", "-1h"}, {"--oidc-issuer", "ldap://x", "--oidc-client-id", "annal"},
		{"--oidc-issuer", "http://id.example.org", "--oidc-client-id", "annal"}, {"--oidc-issuer", "https://id.example.org"},
	} {
		if out, err := config(t, nil, wrong...); err == nil {
			t.Errorf("%v is accepted: %s", wrong, out)
		}
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := config(t, nil, "--oidc-issuer", "https://id.example.org", "--oidc-client-id", "annal", "--oidc-client-secret-file", file)
	if err != nil || strings.Contains(out, "canary") || !strings.Contains(out, "oidc-client-id: annal\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
