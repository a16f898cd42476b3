package uploadpack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// kept is a server with a cache of packs over one repository.
type kept struct {
	store  *store.Store
	memory *gitfstest.Memory
	packs  *packcache.Cache // nil without
	*uploadpack.Server
}

func serveKept(t testing.TB, s *store.Store, memory *gitfstest.Memory, with bool) *kept {
	t.Helper()
	k := &kept{store: s, memory: memory}
	if with {
		var err error
		k.packs, err = packcache.Open(packcache.Config{Dir: t.TempDir()})
		require.NoError(t, err)
		t.Cleanup(k.packs.Close)
	}
	k.Server = uploadpack.New(uploadpack.Config{Commits: revwalk.NewCache(1 << 20), Packs: k.packs})
	return k
}

func (k *kept) repository(ctx context.Context) (*uploadpack.Repository, func(), error) {
	snapshot, err := k.memory.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	objects, err := k.store.Objects(ctx, snapshot.Storage, snapshot.Packs)
	if err != nil {
		return nil, nil, err
	}
	return &uploadpack.Repository{Snapshot: snapshot, Objects: objects}, objects.Release, nil
}

// fetch sends a request of version 2 and returns the pack and where history is cut.
func (k *kept) fetch(ctx context.Context, request string) (pack []byte, shallow []string, err error) {
	repo, release, err := k.repository(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	var answer bytes.Buffer
	err = k.Serve(ctx, strings.NewReader(request), &answer, repo, uploadpack.Transport{Version: protocol.V2, Stateless: true})
	if err != nil {
		return nil, nil, err
	}
	lines, packing := pktline.NewReader(&answer), false
	for {
		p, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return pack, shallow, nil
		}
		switch {
		case err != nil:
			return nil, nil, err
		case p.Kind != pktline.Data:
		case packing && p.Payload[0] == 1:
			pack = append(pack, p.Payload[1:]...)
		case packing && p.Payload[0] == 3:
			return nil, nil, errors.New(p.Text())
		case p.Text() == "packfile":
			packing = true
		case strings.HasPrefix(p.Text(), "shallow "):
			shallow = append(shallow, strings.TrimPrefix(p.Text(), "shallow "))
		}
	}
}

// Whatever a client asks for, the pack that is kept and the one that is made for him alone
// are what git takes for whole, the first time and the second.
func TestFetchesOfRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		repository, commits := gitfstest.RandomRepository(t, rt)
		pick := func(label string, least, most int) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(commits), least, min(most, len(commits)), rapid.ID).Draw(rt, label)
		}
		for i, id := range commits { // all can be asked for
			gitfstest.Git(t, repository, "update-ref", fmt.Sprintf("refs/heads/c%d", i), id)
		}
		all := strings.Fields(gitfstest.Git(t, repository, "for-each-ref", "--format=%(objectname)"))
		s, config := gitfstest.NewStore(t)
		packs := gitfstest.InstallPushed(t, config.SharedHome, repository, pick("push", 1, 3), pick("push", 1, 3), all)
		memory := gitfstest.NewMemory(packs, gitfstest.RefsOf(t, repository)...)
		servers := []*kept{serveKept(t, s, memory, true), serveKept(t, s, memory, false)}
		for range 3 {
			wants, haves, depth := pick("wants", 1, 3), pick("haves", 0, 2), rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(rt, "depth")
			if depth > 0 {
				haves = nil
			}
			var lines []string
			for _, id := range wants {
				lines = append(lines, "want "+id)
			}
			for _, id := range haves {
				lines = append(lines, "have "+id)
			}
			if depth > 0 {
				lines = append(lines, fmt.Sprint("deepen ", depth))
			}
			for _, k := range servers {
				if rapid.Bool().Draw(rt, "clone before") { // which leaves what thin packs use
					_, _, err := k.fetch(t.Context(), fetchRequest("want "+rapid.SampledFrom(wants).Draw(rt, "cloned")))
					require.NoError(rt, err)
				}
				var first []byte
				for range 2 {
					pack, shallow, err := k.fetch(t.Context(), fetchRequest(lines...))
					require.NoError(rt, err)
					if first == nil {
						first = pack
						checkFetched(t, repository, wants, haves, shallow, pack)
					} else if k.packs != nil {
						require.True(rt, bytes.Equal(first, pack))
					}
				}
			}
		}
		require.Positive(rt, servers[0].packs.Stats().Hits)
	})
}

// checkFetched has git take in a pack.
func checkFetched(t testing.TB, repository string, wants, haves, shallow []string, pack []byte) {
	t.Helper()
	client := gitfstest.ClientWith(t, repository, haves)
	if len(shallow) > 0 {
		slices.Sort(shallow)
		gitfstest.WriteFile(t, client+"/shallow", strings.Join(shallow, "\n")+"\n")
	}
	if binary.BigEndian.Uint32(pack[8:]) > 0 {
		gitfstest.GitInput(t, client, pack, "index-pack", "--stdin", "--fix-thin")
	}
	for i, id := range wants {
		gitfstest.Git(t, client, "update-ref", fmt.Sprintf("refs/wanted/%d", i), id)
	}
	gitfstest.Git(t, client, "fsck", "--full", "--strict", "--no-dangling")
}

// While refs move, clones that share packs are of the commit that they asked for, and what
// is hot is there before anybody asks.
func TestClonesWhilePushing(t *testing.T) {
	repository := gitfstest.NewRepository(t, 40)
	s, config := gitfstest.NewStore(t)
	var steps [][]string
	for back := 30; back >= 0; back -= 3 {
		steps = append(steps, []string{fmt.Sprintf("main~%d", back)})
	}
	packs := gitfstest.InstallPushed(t, config.SharedHome, repository, steps...)
	require.Len(t, packs, len(steps))
	tip := func(step int) git.ObjectID {
		return git.MustParseObjectID(gitfstest.Git(t, repository, "rev-parse", steps[step][0]))
	}
	k := serveKept(t, s, gitfstest.NewMemory(packs[:1], git.Ref{Name: "refs/heads/main", ID: tip(0)}), true)
	shapes := [][]string{{}, {"deepen 1"}, {"filter blob:none"}}
	for step := range steps {
		k.memory.Move(packs[:step+1], git.Ref{Name: "refs/heads/main", ID: tip(step)})
		repo, release, err := k.repository(t.Context())
		require.NoError(t, err)
		require.NoError(t, k.Warm(t.Context(), repo))
		release()
		before := k.packs.Stats()
		var cloning sync.WaitGroup
		for _, shape := range shapes {
			for range 2 {
				cloning.Go(func() {
					pack, shallow, err := k.fetch(t.Context(), fetchRequest(append([]string{"want " + tip(step).String()}, shape...)...))
					if err != nil {
						t.Error(err)
					} else if len(shape) == 0 || shape[0] == "deepen 1" {
						checkFetched(t, repository, []string{tip(step).String()}, nil, shallow, pack)
					}
				})
			}
		}
		cloning.Wait()
		if step > 0 {
			require.Equal(t, before.Misses, k.packs.Stats().Misses, "step %d", step)
		}
	}
	require.True(t, k.IsHot(0))
}
