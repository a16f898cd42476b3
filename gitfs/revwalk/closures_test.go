package revwalk_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/revwalk"
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
		closures := revwalk.NewClosures(rapid.SampledFrom([]int64{0, 1 << 10, 1 << 20}).Draw(rt, "bytes"))
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
