package revwalk_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

func TestClosuresAsGitLists(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		repository, commits := gitfstest.RandomRepository(t, rt)
		all := slices.Clone(commits)
		for line := range strings.Lines(gitfstest.Git(t, repository, "for-each-ref", "--format=%(objectname)", "refs/tags")) {
			all = append(all, strings.TrimSpace(line))
		}
		var steps [][]string
		for range 3 {
			steps = append(steps, rapid.SliceOfN(rapid.SampledFrom(all), 1, 3).Draw(rt, "push"))
		}
		s, config := gitfstest.NewStore(t)
		packs := gitfstest.InstallPushed(t, config.SharedHome, repository, append(steps, all)...)
		closures := revwalk.NewClosures(rapid.SampledFrom([]int64{0, 1 << 10, 1 << 20}).Draw(rt, "bytes"), "")
		cache := revwalk.NewCache(1 << 20)
		for i := range packs {
			objects := gitfstest.Pin(t, s, packs[:i+1]...)
			for range 2 {
				// Often more than before, sometimes less, and what is not there yet is left out.
				tips := slices.DeleteFunc(rapid.SliceOfN(rapid.SampledFrom(all), 1, 5).Draw(rt, "tips"), func(id string) bool {
					return !objects.Has(git.MustParseObjectID(id))
				})
				if len(tips) == 0 {
					continue
				}
				found, err := closures.Reachable(t.Context(), revwalk.NewGraph(objects, cache), objects, gitfstest.Storage, parse(tips...), nil)
				require.NoError(t, err)
				want := strings.Fields(gitfstest.Git(t, repository, append([]string{"rev-list", "--objects", "--no-object-names"}, tips...)...))
				slices.Sort(want)
				require.Equal(t, want, texts(slices.Collect(found.Objects.All())))
				require.Equal(t, found.Objects.Len(), len(want))
				require.Equal(t, blobs(t, repository, want), texts(slices.Collect(found.Blobs.All())))
			}
		}
	})
}

// TestClosuresAreKept has a process begin with what an earlier one has walked through, and do
// without what it finds damaged.
func TestClosuresAreKept(t *testing.T) {
	repository := gitfstest.Bundle(t, "go-git.bundle")
	s, config := gitfstest.NewStore(t)
	packs := gitfstest.InstallPushed(t, config.SharedHome, repository, []string{"HEAD~5"}, []string{"HEAD"})
	objects := gitfstest.Pin(t, s, packs...)
	tips := parse(strings.TrimSpace(gitfstest.Git(t, repository, "rev-parse", "HEAD~5")))
	dir := t.TempDir()
	first := revwalk.NewClosures(1<<20, dir)
	want, err := first.Reachable(t.Context(), revwalk.NewGraph(objects, nil), objects, gitfstest.Storage, tips, nil)
	require.NoError(t, err)
	_, ok := revwalk.NewClosures(1<<20, t.TempDir()).Known(objects, gitfstest.Storage, tips)
	require.False(t, ok)

	// The last push had not come yet when this was kept, and is no harm.
	for _, objects := range []*store.Objects{objects, gitfstest.Pin(t, s, packs[:1]...)} {
		next := revwalk.NewClosures(1<<20, dir)
		got, ok := next.Known(objects, gitfstest.Storage, tips)
		require.True(t, ok, "kept")
		require.Equal(t, texts(slices.Collect(want.Objects.All())), texts(slices.Collect(got.Objects.All())))
		require.Equal(t, texts(slices.Collect(want.Blobs.All())), texts(slices.Collect(got.Blobs.All())))
		_, ok = next.Known(objects, "another", tips)
		require.False(t, ok, "of another repository")
	}
	_, ok = revwalk.NewClosures(1<<20, dir).Known(gitfstest.Pin(t, s, packs[1:]...), gitfstest.Storage, tips)
	require.False(t, ok, "its pack is gone")

	files, err := filepath.Glob(filepath.Join(dir, gitfstest.Storage, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	content := gitfstest.ReadFile(t, files[0])
	for _, damaged := range []string{"", content[:len(content)/2], content[:100] + "x" + content[101:], content + "x"} {
		require.NoError(t, os.WriteFile(files[0], []byte(damaged), 0o600))
		_, ok := revwalk.NewClosures(1<<20, dir).Known(objects, gitfstest.Storage, tips)
		require.False(t, ok)
		require.NoFileExists(t, files[0])
	}
}

// blobs picks the files among objects.
func blobs(t *testing.T, repository string, ids []string) []string {
	t.Helper()
	picked := []string{}
	for line := range strings.Lines(gitfstest.GitInput(t, repository, []byte(strings.Join(ids, "\n")), "cat-file", "--batch-check=%(objectname) %(objecttype)")) {
		if id, blob := strings.CutSuffix(strings.TrimSpace(line), " blob"); blob {
			picked = append(picked, id)
		}
	}
	return picked
}
