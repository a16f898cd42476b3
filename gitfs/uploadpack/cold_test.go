package uploadpack_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// fetchRequest is a request of version 2 for a pack, as a stateless client sends it.
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

// BenchmarkFetch times fetches that find nothing in any cache but that of blocks and
// inflated objects (cold), or what earlier ones have left (warm).
func BenchmarkFetch(b *testing.B) {
	for _, bundle := range []string{"go-git.bundle", "git-v1.8.0.bundle"} {
		b.Run(strings.TrimSuffix(bundle, ".bundle"), func(b *testing.B) {
			repository := gitfstest.Bundle(b, bundle)
			config := store.Config{SharedHome: b.TempDir(), LocalHome: b.TempDir(), BlockCacheBytes: 32 << 20, BaseCacheBytes: 24 << 20}
			s, err := store.Open(config)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }() // was only read
			memory := gitfstest.Serve(b, config, repository)
			snapshot, err := memory.Snapshot(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			objects, err := s.Objects(b.Context(), gitfstest.Storage, snapshot.Packs)
			if err != nil {
				b.Fatal(err)
			}
			defer objects.Release()
			tip := strings.TrimSpace(gitfstest.Git(b, repository, "rev-parse", "HEAD"))
			back := func(n int) string {
				return "have " + strings.TrimSpace(gitfstest.Git(b, repository, "rev-parse", fmt.Sprintf("HEAD~%d", n)))
			}
			var all []string
			for ref := range snapshot.Refs.Prefixed("") {
				all = append(all, "want "+ref.ID.String())
			}
			for name, request := range map[string]string{
				"clone":    fetchRequest(all...),
				"branch":   fetchRequest("want " + tip),
				"depth1":   fetchRequest("want "+tip, "deepen 1"),
				"blobless": fetchRequest("want "+tip, "filter blob:none"),
				"incr1":    fetchRequest("want "+tip, back(1)),
				"incr100":  fetchRequest("want "+tip, back(100)),
			} {
				for _, state := range []string{"cold", "cloned", "warm"} {
					b.Run(name+"/"+state, func(b *testing.B) {
						server := func() *uploadpack.Server {
							return uploadpack.New(uploadpack.Config{Commits: revwalk.NewCache(64 << 20)})
						}
						kept := server()
						serve := func(serving *uploadpack.Server, request string) {
							var size counter
							err := serving.Serve(b.Context(), strings.NewReader(request), &size,
								&uploadpack.Repository{Snapshot: snapshot, Objects: objects}, uploadpack.Transport{Version: protocol.V2, Stateless: true})
							if err != nil {
								b.Fatal(err)
							}
							b.SetBytes(int64(size))
						}
						if state == "cloned" {
							serve(kept, fetchRequest("want "+tip))
						}
						before := processorTime(b)
						for b.Loop() {
							serving := kept
							if state == "cold" {
								serving = server()
							}
							serve(serving, request)
						}
						spent := processorTime(b) - before
						b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
					})
				}
			}
		})
	}
}

// processorTime is what this process has used so far. On a machine that does other things at
// the same time it says more than the clock.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
