package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/api/credentials"
	limiter "github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/api/rest"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	domainrules "github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/annotate"
	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/restore"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/gpgkeys"
	"github.com/annal-git/annal/projections/lfs"
	"github.com/annal-git/annal/projections/ratelimit"
	"github.com/annal-git/annal/projections/refs"
	"github.com/annal-git/annal/projections/rules"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// Users of every world. Each one's password is his name.
const (
	admin    = "admin"    // SYS_ADMIN
	manager  = "manager"  // ADMIN
	owner    = "owner"    // PROJECT_CREATE, has made the project PRJ
	writer   = "writer"   // REPO_WRITE on PRJ/repo
	reader   = "reader"   // REPO_READ on PRJ/repo
	outsider = "outsider" // LICENSED_USER
	nobody   = ""         // not logged in
)

var globals = map[string]rights.Permission{
	admin: rights.SysAdmin, manager: rights.Admin, owner: rights.ProjectCreate,
	writer: rights.LicensedUser, reader: rights.LicensedUser, outsider: rights.LicensedUser,
}

// hashes are those of the users' passwords, made once: they are meant to be slow.
var hashes = sync.OnceValue(func() map[string]string {
	made := map[string]string{}
	for name := range globals {
		hash, err := credentials.New(nil, credentials.Options{}).HashPassword(context.Background(), name)
		if err != nil {
			panic(err)
		}
		made[name] = hash
	}
	return made
})

// world is an installation with a project PRJ, a private repository PRJ/repo and the
// users above, and short words to send requests.
type world struct {
	t    *testing.T
	log  *eventstore.Log
	pool *pgxpool.Pool
	api  *rest.API
	home string // the shared home

	limiter *limiter.Limiter
	tree    tree.Config
	now     time.Time
	named   int // tokens that were given a name
}

// snapshots shows the refs projection's snapshots as the Git room's.
type snapshots struct{ *refs.Reader }

func (s snapshots) Snapshot(ctx context.Context, id domain.RepositoryID) (*gitfs.Snapshot, error) {
	found, err := s.Reader.Snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	now := shown(found)
	now.Demanded = func(ctx context.Context) (*domainrules.Effective, error) { return s.Demanded(ctx, found) }
	return now, nil
}

func (s snapshots) At(ctx context.Context, id domain.RepositoryID, moment string) (*gitfs.Snapshot, error) {
	when, err := domain.ParseMoment(moment)
	if err != nil {
		return nil, err
	}
	found, err := s.Reader.At(ctx, id, when.Position)
	if err != nil {
		return nil, err
	}
	return shown(found), nil
}

func shown(s *refs.Snapshot) *gitfs.Snapshot {
	return &gitfs.Snapshot{
		Repository: s.Repository, Storage: s.Storage, Position: s.Position, Version: s.Version,
		Head: s.Head, Refs: s.Refs, Packs: s.Packs(), Fork: s.Fork,
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{
		Inline: []eventstore.Inline{catalog.Projection{}, access.Projection{}, rules.Projection{}, gpgkeys.Projection{}, lfs.Projection{}, ratelimit.Projection{}},
	})
	current := refs.NewReader(pool, log, 1<<20)
	log.Arbitrate(refs.NewArbiter(current))
	w := &world{t: t, log: log, pool: pool, now: time.Now()}
	users := access.NewReader(pool)
	base, _ := url.Parse("https://git.example.com/annal")
	auth := credentials.New(users, credentials.Options{
		Now:      func() time.Time { return w.now },
		Sessions: credentials.Sessions{Store: access.NewSessions(pool), BaseURL: base},
	})
	for i, name := range []string{admin, manager, owner, writer, reader, outsider} {
		id := domain.UserID(100 + i)
		w.append(domain.UserStream(id),
			account.Created{ID: id, Type: account.Normal, Profile: account.Profile{
				Name: name, Slug: name, DisplayName: "The " + name, Email: name + "@example.com",
			}},
			account.PasswordSet{ID: id, Secret: account.Secret{Hash: hashes()[name]}},
			rights.Granted{User: id, Permission: globals[name]})
	}
	w.limiter = limiter.New(limiter.Config{Log: log, Rules: ratelimit.NewReader(pool), Ledger: ratelimit.NewLedger(pool), Now: func() time.Time { return w.now }})
	ssh, _ := url.Parse("ssh://git@git.example.com:7999")
	objects, config := gitfstest.NewStore(t)
	w.home = config.SharedHome
	w.tree = tree.Config{Log: log, Table: tree.NewTable(pool), Dir: w.home + "/log", KeyFile: w.home + "/keys/key.pem", Logger: slog.New(slog.DiscardHandler)}
	w.api = rest.New(rest.Config{
		Log: log, Receipts: tree.NewReceipts(w.tree), Catalog: catalog.NewReader(pool), Users: users, Credentials: auth,
		Snapshots: snapshots{current}, Contents: browse.New(objects, revwalk.NewCache(1<<20)), Restores: restore.NewPlanner(objects, nil), Archives: archive.NewArchiver(objects), Tagger: annotate.New(objects), BaseURL: base, SSHURL: ssh,
		Version: "9.4.16", DisplayName: "Annal", BuildNumber: "9004016", BuildDate: time.Unix(1700000000, 0),
		ServerID: "server",
		Now:      func() time.Time { return w.now }, Rules: rules.NewReader(pool), GPGKeys: gpgkeys.NewReader(pool), LFS: lfs.NewReader(pool),
		RateLimits: ratelimit.NewReader(pool), Limiter: w.limiter,
	})
	w.ok(owner, "POST", "/rest/api/1.0/projects", `{"key":"prj","name":"Project"}`, 201)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"repo","scmId":"git"}`, 201)
	w.ok(owner, "PUT", "/rest/api/1.0/projects/PRJ/repos/repo/permissions/users?name=writer&permission=REPO_WRITE", "", 204)
	w.ok(owner, "PUT", "/rest/api/1.0/projects/PRJ/repos/repo/permissions/users?name=reader&permission=REPO_READ", "", 204)
	return w
}

func (w *world) append(stream domain.Stream, events ...domain.Event) {
	w.t.Helper()
	if _, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events}); err != nil {
		w.t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

// send sends a request as a user, whose password may follow a colon, or with a token if the name
// starts with "annal_".
func (w *world) send(user, method, target, body string, headers ...string) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://evil.example.net/", strings.NewReader(body))
	u, err := url.Parse(target)
	if err != nil {
		w.t.Fatal(err)
	}
	r.URL = u
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case strings.HasPrefix(user, "annal_"):
		r.Header.Set("Authorization", "Bearer "+user)
	case user != nobody:
		name, password, given := strings.Cut(user, ":")
		if !given {
			password = name
		}
		r.SetBasicAuth(name, password)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	w.api.ServeHTTP(recorder, r)
	return answer{recorder, w.t}
}

// ok sends a request and expects a status.
func (w *world) ok(user, method, target, body string, status int) answer {
	w.t.Helper()
	a := w.send(user, method, target, body)
	if a.Code != status {
		w.t.Fatalf("%s %s as %q: %d, want %d: %s", method, target, user, a.Code, status, a.Body)
	}
	return a
}

// is compares the body with JSON that is written with ' for ".
func (a answer) is(want string) {
	a.t.Helper()
	var got, wanted any
	if err := json.Unmarshal(a.Body.Bytes(), &got); err != nil {
		a.t.Fatalf("%v in %s", err, a.Body)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(want, "'", `"`)), &wanted); err != nil {
		a.t.Fatalf("%v in %s", err, want)
	}
	if !reflect.DeepEqual(got, wanted) {
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(strings.ReplaceAll(want, "'", `"`)))
		a.t.Errorf("got  %s\nwant %s", strings.TrimSpace(a.Body.String()), compact.String())
	}
	if kind := a.Header().Get("Content-Type"); kind != "application/json;charset=UTF-8" {
		a.t.Errorf("content type %q", kind)
	}
}

// values picks a field from each of a page's values.
func (a answer) values(path ...string) []string {
	a.t.Helper()
	var p struct {
		Values []map[string]any `json:"values"`
	}
	if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil {
		a.t.Fatalf("%v in %s", err, a.Body)
	}
	list := []string{}
	for _, v := range p.Values {
		for _, step := range path[:len(path)-1] {
			v, _ = v[step].(map[string]any)
		}
		text, _ := v[path[len(path)-1]].(string)
		list = append(list, text)
	}
	return list
}

// exception is the name of the error's exception, or "" if there is none.
func (a answer) exception() (context, name string) {
	a.t.Helper()
	var e struct {
		Errors []struct {
			Context       *string
			Message       string
			ExceptionName *string
		}
	}
	if err := json.Unmarshal(a.Body.Bytes(), &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Message == "" {
		a.t.Fatalf("no error in %d %s", a.Code, a.Body)
	}
	if e.Errors[0].Context != nil {
		context = *e.Errors[0].Context
	}
	if e.Errors[0].ExceptionName != nil {
		name = *e.Errors[0].ExceptionName
	}
	return context, name
}

func (w *world) head() int64 {
	w.t.Helper()
	head, err := w.log.Head(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return head
}
