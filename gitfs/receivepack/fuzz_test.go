package receivepack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/revwalk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// FuzzServe sends any bytes as a push. Whatever they are, what is committed is
// judged, and an error is the client's.
func FuzzServe(f *testing.F) {
	dir := gitfstest.NewRepository(f, 5)
	s, config := gitfstest.NewStore(f)
	memory := gitfstest.Serve(f, config, dir)
	snapshot, err := memory.Snapshot(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	objects := gitfstest.Pin(f, s, snapshot.Packs...)
	server := receivepack.New(receivepack.Config{Agent: "annal/test", Commits: revwalk.NewCache(1 << 20), Store: s})

	main, old, zero := gitfstest.Git(f, dir, "rev-parse", "main"), gitfstest.Git(f, dir, "rev-parse", "main~2"), git.ZeroID.String()
	empty, err := gitfstest.TryGit(f, dir, nil, "pack-objects", "--stdout", "--quiet")
	if err != nil {
		f.Fatal(empty)
	}
	push := func(capabilities string, commands ...string) string {
		var b strings.Builder
		for i, c := range commands {
			if i == 0 {
				c += "\x00" + capabilities
			}
			fmt.Fprintf(&b, "%04x%s", len(c)+4, c)
		}
		return b.String() + "0000"
	}
	const all = "report-status-v2 side-band-64k object-format=sha1 atomic quiet push-options"
	for _, seed := range []string{
		"", "0000", "0003", push(all, zero+" "+main+" refs/heads/x") + "0000" + empty,
		push("report-status", zero+" "+main+" refs/heads/x", main+" "+old+" refs/heads/main") + empty,
		push("report-status", main+" "+zero+" refs/heads/side", zero+" "+zero+" refs/heads/none"),
		push(all, zero+" "+main+" refs/tags/a", zero+" "+main+" refs/tags/a/b") + "0009o=pt\n" + "0000" + empty,
		push("", zero+" "+main+" refs/pull-requests/1/from") + empty,
	} {
		f.Add(true, []byte(seed))
		f.Add(false, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, stateless bool, input []byte) {
		var out bytes.Buffer
		err := server.Serve(t.Context(), bytes.NewReader(input), &out, &receivepack.Repository{
			Snapshot: snapshot, Objects: objects,
			Commit: func(_ context.Context, push repository.PushRefs) ([]git.RefResult, error) {
				results := make([]git.RefResult, len(push.Updates))
				for i, u := range push.Updates {
					results[i].Name = u.Name
					if err := git.CheckRefName(u.Name); err != nil {
						t.Errorf("committed %q: %v", u.Name, err)
					}
					if !u.IsDelete() && !objects.Has(u.New) {
						t.Errorf("committed %s, which is not there", u.New)
					}
				}
				return results, nil
			},
		}, receivepack.Transport{Stateless: stateless})
		if err != nil && strings.Contains(out.String(), "internal error") {
			t.Fatalf("%q: %v", input, err)
		}
		r := pktline.NewReader(&out)
		for {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("%q is not answered in packets: %v", input, err)
			}
		}
	})
}
