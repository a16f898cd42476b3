package setup_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/setup"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

func TestSetUp(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}}})
	users := access.NewReader(pool)
	auth := credentials.New(users, credentials.Options{})
	handler := setup.NewHandler(setup.Config{Log: log, Users: users, Credentials: auth, Token: "s3cret"})
	send := func(method, target, contentType, body string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	fields := func(values ...string) string {
		form := url.Values{}
		for i := 0; i < len(values); i += 2 {
			form.Set(values[i], values[i+1])
		}
		return form.Encode()
	}
	const typed = "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name, method, target, kind, body string
		status                           int
		contains                         string
	}{
		{"no token", "GET", "/setup", "", "", 404, ""},
		{"wrong token", "GET", "/setup?token=s3cre", "", "", 404, ""},
		{"the page", "GET", "/setup?token=s3cret", "", "", 200, `value="s3cret"`},
		{"another method", "PUT", "/setup?token=s3cret", "", "", 405, ""},
		{"post without token", "POST", "/setup", typed, fields("name", "admin", "password", "correct horse"), 404, ""},
		{"post without password", "POST", "/setup", typed, fields("token", "s3cret", "name", "admin"), 400, "must not be empty"},
		{"post with a bad name", "POST", "/setup", typed, fields("token", "s3cret", "name", "<b>", "password", "correct horse"), 400, "&lt;b&gt;"},
		{"bad JSON", "POST", "/setup", "application/json", "{", 400, ""},
		{"post", "POST", "/setup", typed, fields("token", "s3cret", "name", "root", "password", "correct horse"), 201, "has been made"},
		{"post again", "POST", "/setup", typed, fields("token", "s3cret", "name", "eve", "password", "correct horse"), 404, ""},
		{"the page afterwards", "GET", "/setup?token=s3cret", "", "", 404, ""},
	} {
		w := send(tt.method, tt.target, tt.kind, tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.contains) {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		if w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: the token may leak as a referrer", tt.name)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth("root", "correct horse")
	caller, err := auth.Authenticate(r)
	if err != nil {
		t.Fatal(err)
	}
	held, err := users.Held(t.Context(), caller.User.ID, 0, 0)
	if err != nil || !held.Allow(rights.SysAdmin) {
		t.Errorf("held %q, %v", held, err)
	}
}

func TestSetUpByJSON(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}}})
	users := access.NewReader(pool)
	auth := credentials.New(users, credentials.Options{})
	handler := setup.NewHandler(setup.Config{Log: log, Users: users, Credentials: auth, Token: "s3cret"})
	r := httptest.NewRequest(http.MethodPost, "/setup", strings.NewReader(`{"token":"s3cret","name":"root","password":"correct horse","emailAddress":"root@example.com"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	// Whoever comes second, by whatever way and node, is refused.
	err := setup.Create(t.Context(), log, auth, setup.Administrator{Name: "eve", Password: "correct horse"}, domain.Metadata{})
	if err == nil || err.Error() != "Annal has been set up already." {
		t.Errorf("second set-up: %v", err)
	}
	closed := setup.NewHandler(setup.Config{Log: log, Users: users, Credentials: auth})
	w = httptest.NewRecorder()
	closed.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/setup", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("without a token: %d", w.Code)
	}
}
