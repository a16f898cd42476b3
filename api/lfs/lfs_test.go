package lfs_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/lfs"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	domainlfs "github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/gitfs/admission"
	objects "github.com/annal-git/annal/gitfs/lfs"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
	index "github.com/annal-git/annal/projections/lfs"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// Users of every world, each with a token of his own.
const (
	owner    domain.UserID = 1 // REPO_ADMIN on all repositories of PRJ
	writer   domain.UserID = 2 // REPO_WRITE on PRJ/one
	reader   domain.UserID = 3 // REPO_READ on PRJ/one
	stranger domain.UserID = 4
	nobody   domain.UserID = 0
)

// Repositories of every world: one and other are private, open is public.
const (
	one   domain.RepositoryID = 1
	other domain.RepositoryID = 2
	open  domain.RepositoryID = 3
)

var slugs = map[domain.RepositoryID]string{one: "one", other: "other", open: "open"}

const largest = 1 << 20

// world is two nodes that serve Git LFS from one database and shared home.
type world struct {
	testing.TB
	log    *eventstore.Log
	auth   *credentials.Authenticator
	home   string
	nodes  []*lfs.Handler
	urls   []string
	tokens map[domain.UserID]string

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newWorldWith(t, lfs.Config{})
}

// newWorldWith is newWorld with some of the settings of its nodes.
func newWorldWith(t testing.TB, config lfs.Config) *world {
	t.Helper()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{catalog.Projection{}, access.Projection{}, index.Projection{}}})
	users := access.NewReader(pool)
	w := &world{TB: t, log: log, home: t.TempDir(), tokens: map[domain.UserID]string{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.auth = credentials.New(users, credentials.Options{Now: w.clock})
	secret, err := lfs.Secret(filepath.Join(w.home, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	w.must("project/1", project.Created{ID: 1, Settings: project.Settings{Key: "PRJ", Name: "PRJ"}})
	for id, slug := range slugs {
		w.must(domain.RepositoryStream(id), repository.Created{
			ID: id, Project: 1, Name: slug, Slug: slug, Storage: fmt.Sprintf("%08d-0000-0000-0000-000000000000", id),
			DefaultBranch: repository.InitialBranch, Settings: repository.Settings{Public: id == open},
		})
	}
	for id, name := range map[domain.UserID]string{owner: "owner", writer: "writer", reader: "reader", stranger: "stranger"} {
		w.must(domain.UserStream(id), account.Created{ID: id, Type: account.Normal, Profile: account.Profile{Name: name, Slug: name, DisplayName: "The " + name}},
			rights.Granted{User: id, Permission: rights.LicensedUser})
		w.tokens[id] = w.token(id, account.TokenID(id), rights.RepoAdmin)
	}
	w.must("project/1", rights.Granted{User: owner, Permission: rights.ProjectAdmin, Target: rights.Target{Project: 1}})
	w.must("repository/1", rights.Granted{User: writer, Permission: rights.RepoWrite, Target: rights.Target{Repository: one}},
		rights.Granted{User: reader, Permission: rights.RepoRead, Target: rights.Target{Repository: one}})
	for i := range 2 {
		site := echo.New()
		server := httptest.NewServer(site)
		t.Cleanup(server.Close)
		judge := permission.Judge{Catalog: catalog.NewReader(pool), Users: users}
		config.Log, config.Gate, config.Credentials, config.Index = log, permission.NewGate(log, judge, w.clock), w.auth, index.NewReader(pool)
		config.Objects, config.Secret, config.BaseURL, config.Now = objects.Open(w.home, fmt.Sprint("node", i), nil), secret, server.URL, w.clock
		config.MaxObject, config.Logger = cmp.Or(config.MaxObject, largest), slog.New(slog.NewTextHandler(t.Output(), nil))
		node := lfs.New(config)
		node.Register(site.Group("/scm"))
		w.nodes, w.urls = append(w.nodes, node), append(w.urls, server.URL)
	}
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) must(stream domain.Stream, events ...domain.Event) {
	w.Helper()
	if _, err := w.log.Append(w.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) token(user domain.UserID, id account.TokenID, scope rights.Permission) string {
	w.Helper()
	token, hash := credentials.NewToken()
	w.must(domain.UserStream(user), account.TokenCreated{User: user, ID: id, Permissions: []rights.Permission{scope}, Details: account.TokenDetails{Name: "t", Hash: hash}})
	return "Bearer " + token
}

// send sends a request and returns status, body and headers.
func (w *world) send(method, url, authorization string, body []byte, headers ...string) (int, string, http.Header) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/vnd.git-lfs+json")
	r.Header.Set("Accept", "application/vnd.git-lfs+json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

func (w *world) endpoint(id domain.RepositoryID) string {
	return w.urls[0] + "/scm/prj/" + slugs[id] + ".git/info/lfs"
}

// ask sends JSON to the API of a repository, and decodes an answer of the status wanted.
func (w *world) ask(want int, user domain.UserID, method string, id domain.RepositoryID, path, body string, into any) string {
	w.Helper()
	status, text, header := w.send(method, w.endpoint(id)+path, w.tokens[user], []byte(body))
	if status != want {
		w.Errorf("%s %s of %s by %d: %d %s, want %d", method, path, slugs[id], user, status, text, want)
		return text
	}
	if kind := header.Get("Content-Type"); kind != "application/vnd.git-lfs+json" {
		w.Errorf("%s %s: an answer of type %q", method, path, kind)
	}
	if status >= 400 && !strings.Contains(text, `"message":"`) {
		w.Errorf("%s %s: %d without a message: %s", method, path, status, text)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			w.Fatal(err)
		}
	}
	return text
}

type action struct {
	Href      string
	Header    map[string]string
	ExpiresIn int `json:"expires_in"`
}

type object struct {
	OID     string
	Actions map[string]action
	Error   *struct {
		Code    int
		Message string
	}
}

func (o object) code() int {
	if o.Error == nil {
		return 0
	}
	return o.Error.Code
}

type batch struct {
	Transfer string
	Objects  []object
}

func content(n int) (b []byte, oid string) {
	b = bytes.Repeat([]byte("large "), n)
	return b, fmt.Sprintf("%x", sha256.Sum256(b))
}

// batch asks about one object.
func (w *world) batch(user domain.UserID, id domain.RepositoryID, operation, oid string, size int) object {
	w.Helper()
	var answer batch
	w.ask(200, user, "POST", id, "/objects/batch", fmt.Sprintf(`{"operation":%q,"transfers":["tus","basic"],"ref":{"name":"refs/heads/main"},"objects":[{"oid":%q,"size":%d}]}`, operation, oid, size), &answer)
	if answer.Transfer != "basic" || len(answer.Objects) != 1 || answer.Objects[0].OID != oid {
		w.Fatalf("a batch is answered %+v", answer)
	}
	return answer.Objects[0]
}

// follow uses a link.
func (w *world) follow(a action, method string, body []byte, headers ...string) (int, string) {
	w.Helper()
	status, text, _ := w.send(method, a.Href, a.Header["Authorization"], body, headers...)
	return status, text
}

// put uploads an object, and fails if that is not what its user is told to do.
func (w *world) put(user domain.UserID, id domain.RepositoryID, b []byte, oid string) {
	w.Helper()
	o := w.batch(user, id, "upload", oid, len(b))
	if status, text := w.follow(o.Actions["upload"], "PUT", b); status != 200 {
		w.Fatalf("upload: %d %s", status, text)
	}
	if status, text := w.follow(o.Actions["verify"], "POST", fmt.Appendf(nil, `{"oid":%q,"size":%d}`, oid, len(b))); status != 200 {
		w.Fatalf("verify: %d %s", status, text)
	}
}

func TestUploadAndDownload(t *testing.T) {
	w := newWorld(t)
	b, oid := content(50_000)
	if o := w.batch(reader, one, "download", oid, len(b)); o.code() != 404 || len(o.Actions) > 0 {
		t.Errorf("before it was uploaded: %+v", o)
	}
	o := w.batch(writer, one, "upload", oid, len(b))
	verify := fmt.Appendf(nil, `{"oid":%q,"size":%d}`, oid, len(b))
	if status, _ := w.follow(o.Actions["verify"], "POST", verify); status != 404 {
		t.Errorf("verified before it was uploaded: %d", status)
	}
	for _, wrong := range [][]byte{b[1:], append(bytes.Clone(b), 'x'), bytes.Repeat([]byte("x"), len(b))} {
		if status, text := w.follow(o.Actions["upload"], "PUT", wrong); status != 422 {
			t.Errorf("another object under its name: %d %s", status, text)
		}
	}
	w.put(writer, one, b, oid)
	if o := w.batch(writer, one, "upload", oid, len(b)); len(o.Actions) > 0 || o.Error != nil {
		t.Errorf("once it is there: %+v", o)
	}
	for _, size := range []int{0, len(b) + 1} {
		if o := w.batch(writer, one, "upload", oid, size); o.code() != 422 {
			t.Errorf("under another size: %+v", o)
		}
	}
	link := w.batch(reader, one, "download", oid, len(b)).Actions["download"]
	if link.ExpiresIn <= 0 || link.ExpiresIn > 3600 {
		t.Errorf("a link lives for %d seconds", link.ExpiresIn)
	}
	if status, text := w.follow(link, "GET", nil); status != 200 || text != string(b) {
		t.Errorf("downloaded %d bytes, status %d", len(text), status)
	}
	// Broken off, it goes on; and at the other node, too.
	link.Href = strings.Replace(link.Href, w.urls[0], w.urls[1], 1)
	if status, text := w.follow(link, "GET", nil, "Range", "bytes=299990-"); status != 206 || text != string(b[299_990:]) {
		t.Errorf("the rest: %d %q", status, text)
	}
	if status, _ := w.follow(link, "GET", nil, "Range", "bytes=300000-"); status != 416 {
		t.Errorf("behind the end: %d", status)
	}
	empty, none := content(0)
	w.put(writer, one, empty, none)
	if status, text := w.follow(w.batch(reader, one, "download", none, 0).Actions["download"], "GET", nil); status != 200 || text != "" {
		t.Errorf("an empty object: %d %q", status, text)
	}
}

// Case F1: what cannot be an object is refused for itself, without a link.
func TestObjectsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	_, oid := content(1)
	for _, wrong := range []string{"", oid[1:], oid + "0", strings.ToUpper(oid), "../" + oid[3:], "%2f" + oid[3:], "g" + oid[1:], oid[:62] + `é`} {
		for _, operation := range []string{"download", "upload"} {
			if o := w.batch(writer, one, operation, wrong, 1); o.code() != 422 || len(o.Actions) > 0 {
				t.Errorf("%s of %q: %+v", operation, wrong, o)
			}
		}
	}
	for _, size := range []string{"-1", "9223372036854775808", "1e3", "1.5", `"6"`, "null", "true", fmt.Sprint(largest + 1)} {
		var answer batch
		w.ask(200, writer, "POST", one, "/objects/batch", fmt.Sprintf(`{"operation":"upload","objects":[{"oid":%q,"size":%s},{"oid":%q}]}`, oid, size, oid), &answer)
		for _, o := range answer.Objects {
			if o.code() != 422 || len(o.Actions) > 0 {
				t.Errorf("size %s: %+v", size, o)
			}
		}
	}
	for _, path := range []string{"/storage/" + oid[1:], "/storage/..%2f" + oid[3:], "/storage/%2e%2e", "/storage/" + strings.ToUpper(oid)} {
		if status, text, _ := w.send("GET", w.endpoint(one)+path, w.batchLink(writer, "upload").Header["Authorization"], nil); status != 403 && status != 404 {
			t.Errorf("GET %s: %d %s", path, status, text)
		}
	}
}

// batchLink is a link to an object of PRJ/one that is there, or may be uploaded.
func (w *world) batchLink(user domain.UserID, operation string) action {
	w.Helper()
	b, oid := content(map[string]int{"download": 10, "upload": 11}[operation])
	if operation == "download" && w.batch(user, one, operation, oid, len(b)).Error != nil {
		w.put(writer, one, b, oid)
	}
	return w.batch(user, one, operation, oid, len(b)).Actions[operation]
}

// Case F3: knowing the hash of what others have gives nothing.
func TestHashesGiveNothing(t *testing.T) {
	w := newWorld(t)
	b, oid := content(1000)
	w.put(owner, other, b, oid)
	if o := w.batch(writer, one, "download", oid, len(b)); o.code() != 404 {
		t.Errorf("a private object of others: %+v", o)
	}
	o := w.batch(writer, one, "upload", oid, len(b))
	if status, _ := w.follow(o.Actions["upload"], "PUT", nil); status != 422 {
		t.Errorf("an upload without the bytes: %d", status)
	}
	if status, _ := w.follow(o.Actions["verify"], "POST", fmt.Appendf(nil, `{"oid":%q,"size":%d}`, oid, len(b))); status != 404 {
		t.Errorf("verified what was not uploaded: %d", status)
	}
	if o := w.batch(writer, one, "download", oid, len(b)); o.code() != 404 {
		t.Errorf("after an upload without the bytes: %+v", o)
	}
	w.put(writer, one, b, oid)

	// A fork has what its origin had, and the origin not what the fork has.
	w.must("repository/4", repository.Created{ID: 4, Project: 1, Name: "fork", Slug: "fork", Storage: "00000004", DefaultBranch: repository.InitialBranch},
		repository.Forked{ID: 4, Origin: one, OriginVersion: 1}, rights.Granted{User: stranger, Permission: rights.RepoWrite, Target: rights.Target{Repository: 4}})
	slugs := w.urls[0] + "/scm/prj/fork.git/info/lfs/objects/batch"
	ask := func(operation, oid string, size int) (o batch) {
		status, text, _ := w.send("POST", slugs, w.tokens[stranger], fmt.Appendf(nil, `{"operation":%q,"objects":[{"oid":%q,"size":%d}]}`, operation, oid, size))
		if err := json.Unmarshal([]byte(text), &o); status != 200 || err != nil {
			t.Fatal(status, text)
		}
		return o
	}
	if status, text := w.follow(ask("download", oid, len(b)).Objects[0].Actions["download"], "GET", nil); status != 200 || text != string(b) {
		t.Errorf("of a fork: %d", status)
	}
	mine, secret := content(77)
	if status, text := w.follow(ask("upload", secret, len(mine)).Objects[0].Actions["upload"], "PUT", mine); status != 200 {
		t.Errorf("to a fork: %d %s", status, text)
	}
	if o := w.batch(reader, one, "download", secret, len(mine)); o.code() != 404 {
		t.Errorf("an object of a private fork: %+v", o)
	}
}

// Case F5: a link is for one object of one repository, one operation and one hour, and only
// as long as its holder may.
func TestLinks(t *testing.T) {
	w := newWorld(t)
	link, up := w.batchLink(owner, "download"), w.batchLink(owner, "upload")
	b, oid := content(10)
	forbidden := func(what string, a action, method string, body []byte) {
		t.Helper()
		if status, text := w.follow(a, method, body); status != 403 {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	moved := func(a action, old, new string) action {
		a.Href = strings.Replace(a.Href, old, new, 1)
		return a
	}
	w.put(owner, other, b, oid)
	forbidden("at another repository", moved(link, "/one.git", "/other.git"), "GET", nil)
	forbidden("at a public repository", moved(link, "/one.git", "/open.git"), "GET", nil)
	forbidden("at none", moved(link, "/one.git", "/none.git"), "GET", nil)
	forbidden("another object", moved(link, oid[:8], "00000000"), "GET", nil)
	forbidden("another operation", link, "PUT", b)
	forbidden("another operation", moved(link, oid, oid+"/verify"), "POST", []byte("{}"))
	forbidden("an upload's for a download", up, "GET", nil)
	for name, change := range map[string]func(string) string{
		"cut": func(s string) string { return s[:len(s)-1] },
		"another key": func(s string) string {
			return s[:strings.LastIndex(s, ".")+1] + base64.RawURLEncoding.EncodeToString(make([]byte, 32))
		},
		"no key":      func(s string) string { return s[:strings.LastIndex(s, ".")] },
		"nothing":     func(string) string { return "Bearer annal-lfs-1." },
		"other words": func(s string) string { return strings.Replace(s, "annal-lfs-1.e", "annal-lfs-1.f", 1) },
		"his token":   func(string) string { return w.tokens[owner] },
		"long":        func(s string) string { return s + strings.Repeat("A", 5000) },
	} {
		forged := link
		forged.Header = map[string]string{"Authorization": change(link.Header["Authorization"])}
		forbidden(name, forged, "GET", nil)
	}
	if status, _, header := w.send("GET", link.Href, "", nil); status != 401 || header.Get("LFS-Authenticate") == "" {
		t.Errorf("without anything: %d", status)
	}
	// The link is no credential for anything else.
	if status, _, _ := w.send("POST", w.endpoint(one)+"/objects/batch", link.Header["Authorization"], []byte(`{"operation":"download"}`)); status != 403 {
		t.Errorf("a batch by a link: %d", status)
	}
	if status, _, _ := w.send("GET", w.endpoint(one)+"/locks", link.Header["Authorization"], nil); status != 403 {
		t.Errorf("locks by a link: %d", status)
	}

	// Who may no longer, or whose token is gone, has no use of it, at once and on both nodes.
	given := w.batchLink(reader, "download")
	other := moved(given, w.urls[0], w.urls[1])
	for _, a := range []action{given, other, given, other} {
		if status, text := w.follow(a, "GET", nil); status != 200 {
			t.Errorf("%d %s", status, text)
		}
	}
	w.must("repository/1", rights.Revoked{User: reader, Permission: rights.RepoRead, Target: rights.Target{Repository: one}})
	forbidden("without the permission", given, "GET", nil)
	forbidden("without the permission", other, "GET", nil)
	w.must("user/2", account.TokenRevoked{User: writer, ID: account.TokenID(writer)})
	w.must("user/1", account.Deactivated{ID: owner})
	forbidden("of somebody who is gone", link, "GET", nil)
	forbidden("of somebody who is gone", up, "PUT", b)
	w.must("user/1", account.Activated{ID: owner})
	if status, _ := w.follow(link, "GET", nil); status != 200 {
		t.Errorf("of somebody who is back: %d", status)
	}
	w.pass(time.Hour)
	forbidden("after an hour", link, "GET", nil)
}

// Case F5, again: who may only read does not upload, by whatever he comes.
func TestWhoMayWhat(t *testing.T) {
	w := newWorld(t)
	_, oid := content(1)
	w.tokens[99] = w.token(writer, 50, rights.RepoRead)
	w.tokens[98] = "Basic " + base64.StdEncoding.EncodeToString([]byte("x-token-auth:"+strings.TrimPrefix(w.tokens[writer], "Bearer ")))
	w.tokens[97] = "Bearer wrong"
	for _, tt := range []struct {
		user             domain.UserID
		id               domain.RepositoryID
		download, upload int
	}{
		{nobody, one, 401, 401}, {nobody, open, 200, 401}, {stranger, one, 404, 404}, {stranger, open, 200, 403}, {reader, one, 200, 403},
		{writer, one, 200, 200}, {writer, other, 404, 404}, {owner, other, 200, 200}, {99, one, 200, 403}, {98, one, 200, 200}, {97, open, 401, 401},
	} {
		for operation, want := range map[string]int{"download": tt.download, "upload": tt.upload} {
			w.ask(want, tt.user, "POST", tt.id, "/objects/batch", fmt.Sprintf(`{"operation":%q,"objects":[{"oid":%q,"size":1}]}`, operation, oid), nil)
		}
		w.ask(tt.download, tt.user, "GET", tt.id, "/locks", "", nil)
		w.ask(tt.upload, tt.user, "POST", tt.id, "/locks/verify", "{}", nil)
	}
	w.ask(403, reader, "POST", one, "/locks", `{"path":"a"}`, nil)
	w.must("repository/1", domainlfs.SettingsChanged{Target: domainlfs.Target{Repository: one}, Settings: domainlfs.Settings{Off: true}})
	w.ask(403, owner, "POST", one, "/objects/batch", `{"operation":"download"}`, nil)
	w.ask(403, owner, "GET", one, "/locks", "", nil)
}

// Case F9.
func TestBatchesThatCannotBe(t *testing.T) {
	w := newWorld(t)
	_, oid := content(1)
	one1 := fmt.Sprintf(`{"oid":%q,"size":1}`, oid)
	for body, want := range map[string]int{
		``:                                      422,
		`[]`:                                    422,
		`{"operation":`:                         422,
		`{"operation":"steal"}`:                 422,
		`{"objects":[]}`:                        422,
		`{"operation":"download","objects":{}}`: 422,
		`{"operation":"download","objects":[{"oid":1}]}`:                                                         422,
		`{"operation":"download","hash_algo":"sha512"}`:                                                          409,
		`{"operation":"download","hash_algo":"sha256"}`:                                                          200,
		`{"operation":"download","transfers":["x"]}`:                                                             200,
		`{"operation":"download","ref":{"name":"` + strings.Repeat("x", 2000) + `"}}`:                            422,
		`{"operation":"download","objects":[` + strings.Repeat(one1+",", 999) + one1 + `]}`:                      200,
		`{"operation":"download","objects":[` + strings.Repeat(one1+",", 1000) + one1 + `]}`:                     413,
		`{"operation":"download","objects":[` + strings.Repeat(one1+",", 20_000) + one1 + `]}`:                   413,
		`{"operation":"download","objects":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`: 422,
	} {
		w.ask(want, writer, "POST", one, "/objects/batch", body, nil)
	}
	if status, _, _ := w.send("POST", w.endpoint(one)+"/objects/batch", w.tokens[writer], []byte(`{"operation":"download"}`), "Content-Type", "text/plain"); status != 415 {
		t.Errorf("as plain text: %d", status)
	}
}

// A quota keeps out what does not fit, before anything is sent and when it is there.
func TestQuota(t *testing.T) {
	w := newWorld(t)
	b, oid := content(100)
	c, second := content(101)
	o := w.batch(writer, one, "upload", second, len(c))
	w.must("repository/1", domainlfs.SettingsChanged{Target: domainlfs.Target{Repository: one}, Settings: domainlfs.Settings{Quota: 1000}})
	w.put(writer, one, b, oid)
	if o := w.batch(writer, one, "upload", second, len(c)); o.code() != 507 || !strings.Contains(o.Error.Message, "600 are in use") {
		t.Errorf("what does not fit: %+v", o.Error)
	}
	if status, text := w.follow(o.Actions["upload"], "PUT", c); status != 507 {
		t.Errorf("by a link from before: %d %s", status, text)
	}
	if o := w.batch(writer, one, "download", oid, len(b)); o.Error != nil {
		t.Errorf("what is there: %+v", o)
	}
	if n := len(w.files()); n != 1 {
		t.Errorf("%d files are there", n)
	}
}

// files lists the objects on the shared home, and what is left of others.
func (w *world) files() (names []string) {
	w.Helper()
	err := filepath.WalkDir(filepath.Join(w.home, "repos"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return names
}

// Case F8: the same object from two nodes at once, each several times.
func TestOneObjectFromTwoNodes(t *testing.T) {
	w := newWorld(t)
	b, oid := content(10_000)
	link := w.batch(writer, one, "upload", oid, len(b)).Actions["upload"]
	var wg sync.WaitGroup
	for i := range 8 {
		a := link
		a.Href = strings.Replace(a.Href, w.urls[0], w.urls[i%2], 1)
		wg.Go(func() {
			if status, text := w.follow(a, "PUT", b); status != 200 {
				t.Errorf("%d %s", status, text)
			}
		})
	}
	wg.Wait()
	if names := w.files(); len(names) != 1 {
		t.Errorf("there are %q", names)
	}
	events, err := w.log.ReadStream(t.Context(), domainlfs.Stream(one), 0, 100)
	if err != nil || len(events) != 1 {
		t.Errorf("%d events, %v", len(events), err)
	}
	if status, text := w.follow(w.batch(reader, one, "download", oid, len(b)).Actions["download"], "GET", nil); status != 200 || text != string(b) {
		t.Errorf("%d", status)
	}
}

type lock struct {
	ID    string
	Path  string
	Owner struct{ Name string }
}

// Case F4, and the life of a lock.
func TestLocks(t *testing.T) {
	w := newWorld(t)
	var made struct{ Lock lock }
	w.ask(201, writer, "POST", one, "/locks", `{"path":"art/logo.psd","ref":{"name":"refs/heads/main"}}`, &made)
	if made.Lock.Path != "art/logo.psd" || made.Lock.Owner.Name != "The writer" || made.Lock.ID == "" {
		t.Errorf("%+v", made)
	}
	if text := w.ask(409, owner, "POST", one, "/locks", `{"path":"art/logo.psd"}`, nil); !strings.Contains(text, made.Lock.ID) || !strings.Contains(text, "The writer") {
		t.Errorf("a second lock: %s", text)
	}
	for _, path := range []string{"", "/a", "../a", `a\u0000`, strings.Repeat("x", 2000)} {
		w.ask(422, writer, "POST", one, "/locks", `{"path":"`+path+`"}`, nil)
	}
	unlock := "/locks/" + made.Lock.ID + "/unlock"
	w.ask(404, owner, "POST", other, unlock, `{"force":true}`, nil)
	w.ask(404, writer, "POST", other, unlock, `{}`, nil)
	w.ask(403, reader, "POST", one, unlock, `{"force":true}`, nil)
	w.must("repository/1", rights.Granted{User: stranger, Permission: rights.RepoWrite, Target: rights.Target{Repository: one}})
	w.ask(403, stranger, "POST", one, unlock, `{}`, nil)
	w.ask(403, stranger, "POST", one, unlock, `{"force":true}`, nil)
	w.ask(403, owner, "POST", one, unlock, `{}`, nil)
	for _, id := range []string{"0", "-1", "x", "99999", "9223372036854775808"} {
		w.ask(404, owner, "POST", one, "/locks/"+id+"/unlock", `{"force":true}`, nil)
	}
	var verified struct{ Ours, Theirs []lock }
	w.ask(200, owner, "POST", one, "/locks/verify", `{}`, &verified)
	if len(verified.Ours) != 0 || len(verified.Theirs) != 1 {
		t.Errorf("%+v", verified)
	}
	w.ask(200, owner, "POST", one, unlock, `{"force":true}`, nil)
	w.ask(404, writer, "POST", one, unlock, `{}`, nil)

	for i := range 5 {
		w.ask(201, writer, "POST", one, "/locks", fmt.Sprintf(`{"path":"%d"}`, i), nil)
	}
	var paths []string
	for cursor := ""; ; {
		var page struct {
			Locks []lock
			Next  string `json:"next_cursor"`
		}
		w.ask(200, reader, "GET", one, "/locks?limit=2&cursor="+cursor, "", &page)
		for _, l := range page.Locks {
			paths = append(paths, l.Path)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if strings.Join(paths, " ") != "0 1 2 3 4" {
		t.Errorf("page by page: %q", paths)
	}
	for query, want := range map[string]string{"?path=3": `"path":"3"`, "?path=9": `"locks":[]`, "?id=x": `"locks":[]`} {
		if text := w.ask(200, reader, "GET", one, "/locks"+query, "", nil); !strings.Contains(text, want) {
			t.Errorf("%s: %s", query, text)
		}
	}
	for _, query := range []string{"?cursor=x", "?cursor=-1", "?limit=x", "?limit=-1", "?path=%00"} {
		w.ask(422, reader, "GET", one, "/locks"+query, "", nil)
	}
	verified.Ours = nil
	w.ask(200, writer, "POST", one, "/locks/verify", `{"limit":3,"ref":{"name":"refs/heads/x"}}`, &verified)
	if len(verified.Ours) != 3 {
		t.Errorf("%+v", verified)
	}
}

// What git-lfs-authenticate gives is for one repository and operation, and ends with the key.
func TestAuthenticate(t *testing.T) {
	w := newWorld(t)
	w.must("user/2", account.SSHKeyAdded{User: writer, ID: 7, Algorithm: "Ed25519", Bits: 256, Details: account.SSHKeyDetails{Key: []byte("key")}})
	asker := permission.Asker{Kind: "ssh", Proof: "key", Find: func(ctx context.Context) (credentials.Caller, error) {
		caller, _, err := w.auth.SSHKey(ctx, []byte("key"))
		return caller, err
	}}
	give := func(operation string) string {
		t.Helper()
		a, user, known, err := w.nodes[0].Authenticate(t.Context(), asker, gitserver.Name{Project: "PRJ", Repo: "one"}, operation)
		if err != nil || !known || user != "writer" || a.Href != w.urls[0]+"/scm/PRJ/one.git/info/lfs" || a.ExpiresIn > 3600 {
			t.Fatalf("%+v, %v", a, err)
		}
		return a.Header["Authorization"]
	}
	if _, _, known, _ := w.nodes[0].Authenticate(t.Context(), asker, gitserver.Name{Project: "PRJ", Repo: "one"}, "delete"); known {
		t.Error("any operation is known")
	}
	if _, _, _, err := w.nodes[0].Authenticate(t.Context(), asker, gitserver.Name{Project: "PRJ", Repo: "other"}, "download"); err == nil {
		t.Error("another repository is given")
	}
	w.tokens[90], w.tokens[91] = give("download"), give("upload")
	b, oid := content(9)
	ask := func(want int, user domain.UserID, id domain.RepositoryID, operation string) {
		t.Helper()
		w.ask(want, user, "POST", id, "/objects/batch", fmt.Sprintf(`{"operation":%q,"objects":[{"oid":%q,"size":%d}]}`, operation, oid, len(b)), nil)
	}
	ask(200, 90, one, "download")
	ask(403, 90, one, "upload")
	ask(200, 91, one, "upload")
	ask(403, 90, open, "download")
	ask(403, 91, other, "upload")
	w.ask(403, 90, "POST", one, "/locks", `{"path":"a"}`, nil)
	w.ask(201, 91, "POST", one, "/locks", `{"path":"a"}`, nil)
	w.put(91, one, b, oid)
	link := w.batch(90, one, "download", oid, len(b)).Actions["download"]
	if status, _, _ := w.send("GET", link.Href, w.tokens[90], nil); status != 403 {
		t.Errorf("an object without its link: %d", status)
	}
	w.must("user/2", account.SSHKeyRemoved{User: writer, ID: 7})
	ask(403, 90, one, "download")
	if status, _ := w.follow(link, "GET", nil); status != 403 {
		t.Errorf("a link from before the key was removed: %d", status)
	}
}

// Who neither sends nor goes away is told so after a while, and nothing of his object stays;
// and of those who wait only so many are let in.
func TestIdleClients(t *testing.T) {
	t.Parallel()
	turns := admission.New(admission.Config{Running: 1, PerUser: 1, Patience: time.Minute})
	w := newWorldWith(t, lfs.Config{Idle: 100 * time.Millisecond, Admission: turns})
	b, oid := content(1000)
	link := w.batch(writer, one, "upload", oid, len(b)).Actions["upload"]
	for _, sent := range [][]byte{nil, b[:10], b[:len(b)-1]} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.urls[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(link.Href, w.urls[0])
		_, err = fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", path, link.Header["Authorization"], len(b), sent)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || answer.StatusCode != http.StatusBadRequest {
			t.Errorf("after %d bytes: %v, %v", len(sent), answer, err)
		}
		_ = answer.Body.Close()
		_ = conn.Close()
	}
	if names := w.files(); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
	w.put(writer, one, b, oid) // the turn has been given back
	if running, waiting := turns.Load(); running+waiting > 0 {
		t.Errorf("%d and %d are under way", running, waiting)
	}
}

// BenchmarkTransfers moves objects of 64 MiB.
func BenchmarkTransfers(b *testing.B) {
	const size = 64 << 20
	w := newWorldWith(b, lfs.Config{MaxObject: size})
	text := make([]byte, size)
	number := 0
	up := func() (string, action) {
		number++
		copy(text, fmt.Sprint(number))
		oid := fmt.Sprintf("%x", sha256.Sum256(text))
		return oid, w.batch(writer, one, "upload", oid, size).Actions["upload"]
	}
	b.Run("upload", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			b.StopTimer()
			_, link := up()
			b.StartTimer()
			if status, text := w.follow(link, "PUT", text); status != 200 {
				b.Fatal(status, text)
			}
		}
	})
	b.Run("download", func(b *testing.B) {
		oid, link := up()
		if status, text := w.follow(link, "PUT", text); status != 200 {
			b.Fatal(status, text)
		}
		link = w.batch(reader, one, "download", oid, size).Actions["download"]
		b.SetBytes(size)
		for b.Loop() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, link.Href, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Authorization", link.Header["Authorization"])
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, answer.Body); err != nil || n != size {
				b.Fatal(n, err)
			}
			_ = answer.Body.Close()
		}
	})
}
