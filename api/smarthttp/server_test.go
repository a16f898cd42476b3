package smarthttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"
	"go.uber.org/goleak"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/smarthttp"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site serves one repository, PRJ/repo, which anybody may read and the user
// "writer" with the password "secret" may write.
type site struct {
	*httptest.Server
	memory *gitfstest.Memory
	access atomic.Pointer[func(*gitserver.Access)] // may change what is allowed
}

// allow has change decide what is allowed from now on.
func (s *site) allow(change func(*gitserver.Access)) { s.access.Store(&change) }

func (s *site) Open(r *http.Request, project, repo string, write bool) (*gitserver.Access, error) {
	user, password, given := r.BasicAuth()
	if given && (user != "writer" && user != "reader" || password != "secret") {
		return nil, gitserver.ErrUnauthenticated
	}
	if !strings.EqualFold(project, "PRJ") && project != "~user" || !strings.EqualFold(repo, "repo") {
		return nil, domain.NotFound("repository", "There is no such repository.")
	}
	if write && !given {
		return nil, gitserver.ErrUnauthenticated
	}
	if write && user != "writer" {
		return nil, gitserver.ErrForbidden
	}
	access := &gitserver.Access{Snapshot: s.memory.Snapshot, Commit: s.memory.Commit}
	if change := s.access.Load(); change != nil {
		(*change)(access)
	}
	return access, nil
}

// url is where a client finds the repository.
func (s *site) url() string {
	return strings.Replace(s.URL, "http://", "http://writer:secret@", 1) + "/scm/prj/repo.git"
}

// serve starts a site with the repository on disk, or an empty one.
func serve(t testing.TB, repository string) *site {
	t.Helper()
	objects, config := gitfstest.NewStore(t)
	memory := gitfstest.NewMemory(nil)
	if repository != "" {
		memory = gitfstest.Serve(t, config, repository)
	}
	return serveMemory(t, objects, memory)
}

func serveMemory(t testing.TB, objects *store.Store, memory *gitfstest.Memory, change ...func(*smarthttp.Config)) *site {
	t.Helper()
	s := &site{memory: memory}
	commits := revwalk.NewCache(8 << 20)
	packs, err := packcache.Open(packcache.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(packs.Close)
	config := smarthttp.Config{
		Repositories: s,
		Engine: gitserver.Engine{
			Store:    objects,
			Upload:   uploadpack.New(uploadpack.Config{Agent: "annal/test", Commits: commits, Packs: packs}),
			Archives: archive.NewArchiver(objects),
			Receive:  receivepack.New(receivepack.Config{Agent: "annal/test", Commits: commits, Store: objects}),
		},
	}
	for _, f := range change {
		f(&config)
	}
	e := echo.New()
	smarthttp.New(config).Register(e.Group("/scm"))
	s.Server = httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s
}
