package credentials_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// world is an authenticator over a log, with a clock that tests move.
type world struct {
	t     *testing.T
	log   *eventstore.Log
	pool  *pgxpool.Pool
	users *access.Reader
	tries *access.Attempts
	now   time.Time
	*credentials.Authenticator
}

func newWorld(t *testing.T) *world {
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}}})
	w := &world{t: t, log: log, pool: pool, users: access.NewReader(pool), tries: access.NewAttempts(pool), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.Authenticator = credentials.New(access.NewReader(pool), credentials.Options{Parallel: 2, Now: func() time.Time { return w.now }})
	return w
}

// limited is another node, which limits attempts.
func (w *world) limited() *credentials.Authenticator {
	return credentials.New(w.users, credentials.Options{Parallel: 2, Attempts: w.tries, Now: func() time.Time { return w.now }})
}

func (w *world) must(stream domain.Stream, events ...domain.Event) {
	w.t.Helper()
	if _, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) user(id domain.UserID, name, password string) {
	w.t.Helper()
	events := []domain.Event{account.Created{ID: id, Type: account.Normal, Profile: account.Profile{Name: name, Slug: account.Slug(name), DisplayName: name}}}
	if password != "" {
		hash, err := w.HashPassword(w.t.Context(), password)
		if err != nil {
			w.t.Fatal(err)
		}
		events = append(events, account.PasswordSet{ID: id, Secret: account.Secret{Hash: hash}})
	}
	w.must(domain.UserStream(id), append(events, rights.Granted{User: id, Permission: rights.LicensedUser})...)
}

func (w *world) token(user domain.UserID, id account.TokenID, expires *time.Time) string {
	w.t.Helper()
	token, hash := credentials.NewToken()
	w.must(domain.UserStream(user), account.TokenCreated{
		User: user, ID: id, Permissions: []rights.Permission{rights.RepoRead}, Expires: expires, Details: account.TokenDetails{Name: "t", Hash: hash},
	})
	return token
}

func (w *world) try(authorization string) (credentials.Caller, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return w.Authenticate(r)
}

func basic(name, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(1, "jane", "sesame: open")
	w.user(2, "bob", "")
	w.user(3, "gone", "pw")
	w.must("user/3", account.Deactivated{ID: 3})
	w.user(4, "guest", "pw")
	w.must("user/4", rights.Revoked{User: 4, Permission: rights.LicensedUser})
	soon := w.now.Add(time.Hour)
	token, short, revoked, inactive := w.token(1, 1, nil), w.token(1, 2, &soon), w.token(1, 3, nil), w.token(3, 4, nil)
	w.must("user/1", account.TokenRevoked{User: 1, ID: 3})
	stranger, _ := credentials.NewToken()

	for _, tt := range []struct {
		name, authorization, user, auth string
		malformed                       bool
	}{
		{name: "nobody"},
		{name: "password", authorization: basic("jane", "sesame: open"), user: "jane", auth: "password"},
		{name: "name in another case", authorization: basic("JANE", "sesame: open"), user: "jane", auth: "password"},
		{name: "password again", authorization: basic("jane", "sesame: open"), user: "jane", auth: "password"},
		{name: "scheme in another case", authorization: "basic" + basic("jane", "sesame: open")[5:], user: "jane", auth: "password"},
		{name: "wrong password", authorization: basic("jane", "Sesame: open")},
		{name: "empty password", authorization: basic("jane", "")},
		{name: "no name", authorization: basic("", "sesame: open")},
		{name: "nothing at all", authorization: basic("", "")},
		{name: "unknown user", authorization: basic("nobody", "sesame: open")},
		{name: "NUL in the name", authorization: basic("ja\x00ne", "sesame: open")},
		{name: "user without password", authorization: basic("bob", "x")},
		{name: "inactive user", authorization: basic("gone", "pw")},
		{name: "user who may not log in", authorization: basic("guest", "pw")},
		{name: "password of another's length limit", authorization: basic("jane", strings.Repeat("x", 5000))},
		{name: "bearer", authorization: "Bearer " + token, user: "jane", auth: "token:1"},
		{name: "bearer that expires later", authorization: "Bearer " + short, user: "jane", auth: "token:2"},
		{name: "token as password", authorization: basic("jane", token), user: "jane", auth: "token:1"},
		{name: "token for any client", authorization: basic("x-token-auth", token), user: "jane", auth: "token:1"},
		{name: "token under another's name", authorization: basic("bob", token)},
		{name: "token without name", authorization: basic("", token)},
		{name: "token as name", authorization: basic(token, "")},
		{name: "revoked token", authorization: "Bearer " + revoked},
		{name: "token of an inactive user", authorization: "Bearer " + inactive},
		{name: "unknown token", authorization: "Bearer " + stranger},
		{name: "password as bearer", authorization: "Bearer sesame: open"},
		{name: "empty bearer", authorization: "Bearer "},
		{name: "not base64", authorization: "Basic !", malformed: true},
		{name: "without colon", authorization: "Basic " + base64.StdEncoding.EncodeToString([]byte("jane")), malformed: true},
		{name: "other scheme", authorization: "Digest x", malformed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			caller, err := w.try(tt.authorization)
			if tt.user == "" && tt.authorization != "" {
				var refused *credentials.RefusedError
				if !errors.As(err, &refused) || refused.Malformed != tt.malformed || !caller.Anonymous() {
					t.Fatalf("%+v, %v", caller, err)
				}
				return
			}
			if err != nil || caller.User.Name != tt.user || caller.Auth != tt.auth || (caller.Scopes == nil) != (tt.auth == "password" || tt.auth == "") {
				t.Fatalf("%+v, %v", caller, err)
			}
		})
	}
	w.now = soon
	if _, err := w.try("Bearer " + short); err == nil {
		t.Error("an expired token is accepted")
	}
}

func TestRememberedPasswordEndsWithItsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(1, "jane", "old")
	if _, err := w.try(basic("jane", "old")); err != nil {
		t.Fatal(err)
	}
	hash, err := w.HashPassword(t.Context(), "new")
	if err != nil {
		t.Fatal(err)
	}
	w.must("user/1", account.PasswordSet{ID: 1, Secret: account.Secret{Hash: hash}})
	if _, err := w.try(basic("jane", "old")); err == nil {
		t.Error("the old password is accepted")
	}
	if _, err := w.try(basic("jane", "new")); err != nil {
		t.Error(err)
	}
	w.must("user/1", account.Deactivated{ID: 1})
	if _, err := w.try(basic("jane", "new")); err == nil {
		t.Error("a deactivated user is accepted")
	}
}

// The second request with a right password costs no hash. A wrong password and an
// unknown user always cost one, so that time does not tell them apart.
func TestHashIsPaidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(1, "jane", "pw")
	cost := func(name, password string) int64 {
		before := w.HashesComputed()
		for range 3 {
			_, _ = w.try(basic(name, password))
		}
		return w.HashesComputed() - before
	}
	for _, c := range []struct {
		name, password string
		want           int64
	}{{"jane", "pw", 1}, {"jane", "no", 3}, {"nobody", "no", 3}, {"jane", "pw", 0}} {
		if got := cost(c.name, c.password); got != c.want {
			t.Errorf("three requests as %s with %q cost %d hashes, want %d", c.name, c.password, got, c.want)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		scopes []rights.Permission
		need   rights.Permission
		want   bool
	}{
		{nil, rights.SysAdmin, true},
		{[]rights.Permission{}, rights.RepoRead, false},
		{[]rights.Permission{rights.RepoRead}, rights.RepoRead, true},
		{[]rights.Permission{rights.RepoRead}, rights.RepoWrite, false},
		{[]rights.Permission{rights.ProjectWrite}, rights.RepoWrite, true},
		{[]rights.Permission{rights.RepoAdmin}, rights.ProjectRead, false},
		{[]rights.Permission{rights.ProjectAdmin}, rights.ProjectCreate, true},
		{[]rights.Permission{rights.ProjectAdmin, rights.RepoAdmin}, rights.Admin, false},
		{[]rights.Permission{rights.ProjectAdmin, rights.RepoAdmin}, rights.SysAdmin, false},
		{[]rights.Permission{rights.RepoRead}, rights.LicensedUser, true},
	} {
		if got := (credentials.Caller{Scopes: tt.scopes}).Covers(tt.need); got != tt.want {
			t.Errorf("%q covers %s: %v", tt.scopes, tt.need, got)
		}
	}
}

// Many wrong passwords shut out whoever brings them, at all nodes, and nobody else: the owner
// goes on where he has logged in before. What is right is not told to who is shut out.
func TestGuessing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(1, "jane", "sesame: open")
	nodes := []*credentials.Authenticator{w.limited(), w.limited()}
	from := func(address string, node int, name, password string) error {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = address
		r.SetBasicAuth(name, password)
		_, err := nodes[node].Authenticate(r)
		return err
	}
	const home, attacker = "192.0.2.1:4711", "[2001:db8:1:2::3]:4711"
	if err := from(home, 0, "jane", "sesame: open"); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		for _, name := range []string{"jane", "nobody"} {
			if err := from(attacker, i%2, name, fmt.Sprint("guess ", i)); err == nil || err.Error() != new(credentials.RefusedError).Error() {
				t.Fatalf("%s is answered %v", name, err)
			}
		}
	}
	for i, address := range []string{attacker, "[2001:db8:1:2:ffff::9]:1"} { // of the same network
		if err := from(address, i, "jane", "sesame: open"); err == nil {
			t.Error("who has guessed too often is told when he is right")
		}
	}
	for i := range nodes {
		if err := from(home, i, "jane", "sesame: open"); err != nil {
			t.Errorf("node %d: the owner is shut out: %v", i, err)
		}
	}
	if err := from("192.0.2.99:1", 1, "jane", "sesame: open"); err != nil {
		t.Errorf("the owner is shut out at a new address: %v", err)
	}
}

// A right password that many requests bring at once is one attempt.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(1, "jane", "sesame: open")
	node := w.limited()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.SetBasicAuth("jane", "sesame: open")
			if _, err := node.Authenticate(r); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := node.HashesComputed(); n > 3 {
		t.Errorf("%d hashes", n)
	}
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	a := credentials.New(nil, credentials.Options{})
	for _, password := range []string{"", "short", "1234567", "Christopher", "password", "PassWord123", "changeme", "aaaaaaaaaa", "annal_"} {
		var invalid *domain.InvalidError
		if _, err := a.NewPassword(t.Context(), "christopher", password); !errors.As(err, &invalid) || invalid.Field != "password" {
			t.Errorf("%q: %v", password, err)
		}
	}
	for _, password := range []string{"correct horse", "ünïcödé!", "christopher robin"} {
		if _, err := a.NewPassword(t.Context(), "christopher", password); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
	if _, err := credentials.New(nil, credentials.Options{ShortestPassword: 12}).NewPassword(t.Context(), "x", "eleven char"); err == nil {
		t.Error("shorter than the operator allows")
	}
}

func TestHashPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token, _ := credentials.NewToken()
	for _, password := range []string{"", strings.Repeat("x", 2000), "a\x00b", "\xff", token} {
		var invalid *domain.InvalidError
		if _, err := w.HashPassword(t.Context(), password); !errors.As(err, &invalid) || invalid.Field != "password" {
			t.Errorf("%.20q: %v", password, err)
		}
	}
	a, errA := w.HashPassword(t.Context(), "x")
	b, errB := w.HashPassword(t.Context(), "x")
	if errA != nil || errB != nil || a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hashes %q, %q, %v, %v", a, b, errA, errB)
	}
}

func TestTokensDiffer(t *testing.T) {
	a, hashA := credentials.NewToken()
	b, hashB := credentials.NewToken()
	if a == b || string(hashA) == string(hashB) || !strings.HasPrefix(a, "annal_") || len(a) != len("annal_")+43 {
		t.Errorf("tokens %q and %q", a, b)
	}
}
