package packer_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/packer"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

func TestMain(m *testing.M) {
	// Each check starts git some thirty times. -rapid.checks overrides this.
	_ = flag.Set("rapid.checks", "10")
	goleak.VerifyTestMain(m)
}

// selection is what a client asks for.
type selection struct {
	wants, haves  []string
	thin, offsets bool
}

// checkPack packs a selection and has git judge the pack: complete, strict, and
// with what git rev-list names. More may be in it only if the client had it.
func checkPack(t testing.TB, repository string, objects *store.Objects, s selection) {
	t.Helper()
	cache := revwalk.NewCache(1 << 20)
	found, err := revwalk.NewGraph(objects, cache).Enumerate(t.Context(), objects, revwalk.Selection{Wants: ids(s.wants), Haves: ids(s.haves)})
	require.NoError(t, err)
	request := packer.Request{Objects: found.Send, OffsetDeltas: s.offsets}
	if s.thin {
		request.Known = found.Known
	}
	var pack bytes.Buffer
	stats, err := packer.Write(t.Context(), &pack, objects, request)
	require.NoError(t, err)
	require.EqualValues(t, pack.Len(), stats.Bytes)
	require.Equal(t, found.Send.Len(), stats.Objects)

	sent := map[string]bool{}
	for id := range found.Send.All() {
		sent[id.String()] = true
	}
	want := revList(t, repository, s.wants, s.haves)
	for id := range want {
		require.True(t, sent[id], "git sends %s", id)
	}
	if len(s.haves) == 0 {
		require.Len(t, sent, len(want))
	} else {
		had := revList(t, repository, s.haves, nil)
		for id := range sent {
			require.True(t, want[id] || had[id], "%s was not asked for", id)
		}
	}

	client := gitfstest.ClientWith(t, repository, s.haves)
	args := []string{"index-pack", "--strict", "--stdin"}
	if s.thin {
		args = append(args, "--fix-thin")
	}
	if stats.Objects > 0 {
		gitfstest.GitInput(t, client, pack.Bytes(), args...)
	}
	for i, id := range s.wants {
		gitfstest.Git(t, client, "update-ref", fmt.Sprintf("refs/wanted/%d", i), id)
	}
	gitfstest.Git(t, client, "fsck", "--full", "--strict", "--no-dangling")
}

func revList(t testing.TB, repository string, wants, haves []string) map[string]bool {
	t.Helper()
	revs := strings.Join(wants, "\n") + "\n"
	for _, have := range haves {
		revs += "^" + have + "\n"
	}
	listed := map[string]bool{}
	for line := range strings.Lines(gitfstest.GitInput(t, repository, []byte(revs), "rev-list", "--objects", "--stdin")) {
		id, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		listed[id] = true
	}
	return listed
}

func ids(hex []string) []git.ObjectID {
	var ids []git.ObjectID
	for _, h := range hex {
		ids = append(ids, git.MustParseObjectID(h))
	}
	return ids
}

func TestPacksOfRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		repository, commits := gitfstest.RandomRepository(t, rt)
		all := slices.Clone(commits)
		for line := range strings.Lines(gitfstest.Git(t, repository, "for-each-ref", "--format=%(objectname)", "refs/tags")) {
			all = append(all, strings.TrimSpace(line))
		}
		pick := func(label string, least int) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(all), least, 4, rapid.ID).Draw(rt, label)
		}
		s, config := gitfstest.NewStore(t)
		var steps [][]string
		for range rapid.IntRange(0, 3).Draw(rt, "pushes") {
			steps = append(steps, pick("push", 1))
		}
		steps = append(steps, all)
		objects := gitfstest.Pin(t, s, gitfstest.InstallPushed(t, config.SharedHome, repository, steps...)...)
		for range 3 {
			checkPack(t, repository, objects, selection{
				wants: pick("wants", 1), haves: pick("haves", 0),
				thin: rapid.Bool().Draw(rt, "thin"), offsets: rapid.Bool().Draw(rt, "offsets"),
			})
		}
	})
}

func TestPacksOfRealHistories(t *testing.T) {
	for _, name := range []string{"made", "go-git.bundle"} {
		t.Run(name, func(t *testing.T) {
			var repository string
			if name == "made" {
				repository = gitfstest.NewRepository(t, 120)
			} else {
				repository = gitfstest.Bundle(t, name)
			}
			var tips []string
			for line := range strings.Lines(gitfstest.Git(t, repository, "for-each-ref", "--format=%(objectname)")) {
				tips = append(tips, strings.TrimSpace(line))
			}
			commits := strings.Fields(gitfstest.Git(t, repository, "rev-list", "--all"))
			at := func(n int) string { return commits[n*(len(commits)-1)/100] }
			tree := func(commit string) string {
				return strings.TrimSpace(gitfstest.Git(t, repository, "rev-parse", commit+"^{tree}"))
			}
			s, config := gitfstest.NewStore(t)
			objects := gitfstest.Pin(t, s, gitfstest.InstallPushed(t, config.SharedHome, repository,
				[]string{at(60)}, []string{at(30)}, []string{at(20)}, tips)...)
			for _, s := range []selection{
				{wants: tips, offsets: true},
				{wants: tips},
				{wants: []string{at(50)}, offsets: true},
				{wants: []string{at(0)}, haves: []string{at(3)}, thin: true, offsets: true},
				{wants: []string{at(0)}, haves: []string{at(40)}, thin: true},
				{wants: tips, haves: []string{at(10), at(90)}, offsets: true},
				{wants: []string{at(80)}, haves: []string{at(20)}, thin: true, offsets: true},
				// The files of one commit, most of which are deltas of others that are not sent.
				{wants: []string{tree(at(50))}, offsets: true},
				{wants: []string{tree(at(0))}},
			} {
				checkPack(t, repository, objects, s)
			}
		})
	}
}

// TestReaderGoesAway has readers give up in many places; what is being deflated for them ends.
func TestReaderGoesAway(t *testing.T) {
	repository := gitfstest.NewRepository(t, 120)
	s, config := gitfstest.NewStore(t)
	objects := gitfstest.Pin(t, s, gitfstest.Install(t, config.SharedHome, gitfstest.Storage, gitfstest.PackFile(t, repository)))
	old := strings.TrimSpace(gitfstest.Git(t, repository, "rev-parse", "HEAD~60^{tree}"))
	found, err := revwalk.NewGraph(objects, nil).Enumerate(t.Context(), objects, revwalk.Selection{Wants: ids([]string{old})})
	require.NoError(t, err)
	stats, err := packer.Write(t.Context(), io.Discard, objects, packer.Request{Objects: found.Send})
	require.NoError(t, err)
	require.Less(t, stats.Reused, stats.Objects, "something has lost its base")
	for left := int64(0); left < stats.Bytes; left += 1 + stats.Bytes/50 {
		_, err := packer.Write(t.Context(), &leaving{left}, objects, packer.Request{Objects: found.Send})
		require.ErrorIs(t, err, io.ErrClosedPipe)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = packer.Write(ctx, io.Discard, objects, packer.Request{Objects: found.Send})
	require.ErrorIs(t, err, context.Canceled)
}

// leaving reads so many bytes and no more.
type leaving struct{ left int64 }

func (l *leaving) Write(p []byte) (int, error) {
	if l.left -= int64(len(p)); l.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestOnePackGoesOutAsItIs(t *testing.T) {
	repository := gitfstest.NewRepository(t, 50)
	s, config := gitfstest.NewStore(t)
	path := gitfstest.PackFile(t, repository)
	objects := gitfstest.Pin(t, s, gitfstest.Install(t, config.SharedHome, gitfstest.Storage, path))
	var tips []string
	for line := range strings.Lines(gitfstest.Git(t, repository, "for-each-ref", "--format=%(objectname)")) {
		tips = append(tips, strings.TrimSpace(line))
	}
	found, err := revwalk.NewGraph(objects, nil).Enumerate(t.Context(), objects, revwalk.Selection{Wants: ids(tips)})
	require.NoError(t, err)
	var pack bytes.Buffer
	stats, err := packer.Write(t.Context(), &pack, objects, packer.Request{Objects: found.Send, OffsetDeltas: true})
	require.NoError(t, err)
	require.Equal(t, stats.Objects, stats.Reused)
	require.True(t, gitfstest.ReadFile(t, path) == pack.String(), "the pack is the one that is stored")
}
