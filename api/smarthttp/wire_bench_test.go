package smarthttp_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/store"
)

// BenchmarkWire times fetches over HTTP that nobody has asked for before, each beside the same
// request to git's http-backend. Cold is a server that knows nothing; moved is one where the
// branch is one commit further each time, and where it was cloned at the commit before.
// Refs and accounts are in memory. What the client does counts as the processor time of this
// side only.
func BenchmarkWire(b *testing.B) {
	for _, bundle := range []string{"go-git.bundle", "git-v1.8.0.bundle"} {
		b.Run(strings.TrimSuffix(bundle, ".bundle"), func(b *testing.B) {
			w := newWire(b, gitfstest.Bundle(b, bundle))
			for _, scenario := range []struct {
				name     string
				haves    int // commits behind the tip that the client has
				argument string
			}{
				{"clone", 0, ""},
				{"depth 1", 0, "deepen 1"},
				{"blobless", 0, "filter blob:none"},
				{"1 commit", 1, ""},
				{"100 commits", 100, ""},
			} {
				for _, cold := range []bool{true, false} {
					name := scenario.name + ", moved"
					if cold {
						name = scenario.name + ", cold"
					}
					b.Run(name, func(b *testing.B) {
						w.compare(b, cold, func(tip int) string {
							lines := []string{"want " + w.line[tip]}
							if scenario.haves > 0 {
								lines = append(lines, "have "+w.line[tip+scenario.haves])
							}
							if scenario.argument != "" {
								lines = append(lines, scenario.argument)
							}
							return fetchRequest(lines...)
						})
					})
				}
			}
		})
	}
}

// wire is one repository, served twice.
type wire struct {
	repository string
	config     store.Config
	packs      []git.Pack
	line       []string // commits, newest first
	native     string   // URL
}

func newWire(b *testing.B, repository string) *wire {
	b.Helper()
	w := &wire{repository: repository, config: store.Config{SharedHome: b.TempDir()}}
	w.packs = []git.Pack{gitfstest.Install(b, w.config.SharedHome, gitfstest.Storage, gitfstest.PackFile(b, repository))}
	w.line = strings.Fields(gitfstest.Git(b, repository, "rev-list", "--first-parent", "HEAD"))
	gitfstest.Git(b, repository, "config", "uploadpack.allowFilter", "true")
	gitfstest.Git(b, repository, "config", "uploadpack.allowReachableSHA1InWant", "true")
	gitfstest.Git(b, repository, "config", "uploadpack.allowTipSHA1InWant", "true")
	native := httptest.NewServer(&cgi.Handler{
		Path:   filepath.Join(gitfstest.Git(b, "", "--exec-path"), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + filepath.Dir(repository), "GIT_HTTP_EXPORT_ALL=1"},
		Stderr: io.Discard,
	})
	b.Cleanup(native.Close)
	w.native = native.URL + "/" + filepath.Base(repository)
	return w
}

// serve starts a server that knows nothing.
func (w *wire) serve(b *testing.B) (s *site, stop func()) {
	b.Helper()
	config := w.config
	config.LocalHome = b.TempDir()
	config.BlockCacheBytes, config.BaseCacheBytes = 32<<20, 24<<20
	objects, err := store.Open(config)
	if err != nil {
		b.Fatal(err)
	}
	s = serveMemory(b, objects, gitfstest.NewMemory(w.packs))
	return s, func() {
		s.Close()
		if err := objects.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// movable is how often a branch moves on before it starts anew.
const movable = 100

// compare times a request, and the same one to git, in turn.
func (w *wire) compare(b *testing.B, cold bool, request func(tip int) string) {
	var ours, native []spent
	var s *site
	stop := func() {}
	tip := 0
	for b.Loop() {
		b.StopTimer()
		switch tip--; {
		case cold:
			stop()
			s, stop = w.serve(b)
			tip = 0
		case tip < 0:
			stop()
			s, stop = w.serve(b)
			tip = movable
			w.move(b, s, tip)
			post(b, s.url(), fetchRequest("want "+w.line[tip]))
			tip--
		}
		w.move(b, s, tip)
		asked := request(tip)
		native = append(native, measure(b, syscall.RUSAGE_CHILDREN, func() { post(b, w.native, asked) }))
		b.StartTimer()
		ours = append(ours, measure(b, syscall.RUSAGE_SELF, func() { post(b, s.url(), asked) }))
	}
	stop()
	a, n := sum(ours), sum(native)
	each := float64(b.N) * 1000
	b.ReportMetric(float64(n.wall)/float64(a.wall), "speed")
	b.ReportMetric(float64(a.cpu)/float64(n.cpu), "cpu")
	b.ReportMetric(float64(a.cpu.Microseconds())/each, "cpu-ms/op")
	b.ReportMetric(float64(n.wall.Microseconds())/each, "git-ms/op")
	b.ReportMetric(float64(n.cpu.Microseconds())/each, "git-cpu-ms/op")
}

// move has the branch name a commit. A clone of it is what there was before.
func (w *wire) move(b *testing.B, s *site, tip int) {
	b.Helper()
	s.memory.Move(w.packs, git.Ref{Name: "refs/heads/main", ID: git.MustParseObjectID(w.line[tip])})
}

type spent struct{ wall, cpu time.Duration }

// sum adds up what the faster half took: the others were disturbed by something else.
func sum(all []spent) (total spent) {
	slices.SortFunc(all, func(a, b spent) int { return int(a.wall - b.wall) })
	for _, one := range all[:(len(all)+1)/2] {
		total.wall += one.wall
	}
	for _, one := range all {
		total.cpu += one.cpu
	}
	return total
}

// measure times what is done, and what processor time this process or its children take.
func measure(b *testing.B, who int, do func()) spent {
	b.Helper()
	before, start := cpuTime(b, who), time.Now()
	do()
	return spent{time.Since(start), cpuTime(b, who) - before}
}

func cpuTime(b *testing.B, who int) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// post asks for a pack and reads it.
func post(b *testing.B, url, request string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url+"/git-upload-pack", strings.NewReader(request))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	r.Header.Set("Git-Protocol", "version=2")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	begin := make([]byte, 64)
	if _, err := io.ReadFull(response.Body, begin); err != nil || response.StatusCode != http.StatusOK || strings.Contains(string(begin), "ERR") {
		b.Fatalf("%s: %q, %v", response.Status, begin, err)
	}
	if n, err := io.Copy(io.Discard, response.Body); err != nil || n < 100 {
		b.Fatalf("%d bytes, %v", n, err)
	}
}

// fetchRequest is a request of version 2 for a pack.
func fetchRequest(lines ...string) string {
	var b strings.Builder
	line := func(s string) { fmt.Fprintf(&b, "%04x%s\n", len(s)+5, s) }
	line("command=fetch")
	b.WriteString("0001")
	for _, l := range append([]string{"thin-pack", "no-progress", "include-tag", "ofs-delta"}, lines...) {
		line(l)
	}
	line("done")
	b.WriteString("0000")
	return b.String()
}
