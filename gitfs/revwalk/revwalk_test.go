package revwalk_test

import (
	"context"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/revwalk"
)

func TestMain(m *testing.M) {
	// Each check starts git some twenty times. -rapid.checks overrides this.
	_ = flag.Set("rapid.checks", "15")
	goleak.VerifyTestMain(m)
}

// lines returns what git prints, sorted.
func lines(t testing.TB, dir string, args ...string) []string {
	t.Helper()
	out := strings.Fields(gitfstest.Git(t, dir, args...))
	slices.Sort(out)
	return out
}

func texts(ids []git.ObjectID) []string {
	out := []string{}
	for _, id := range ids {
		out = append(out, id.String())
	}
	slices.Sort(out)
	return out
}

func parse(hex ...string) []git.ObjectID {
	var ids []git.ObjectID
	for _, h := range hex {
		ids = append(ids, git.MustParseObjectID(h))
	}
	return ids
}

// served packs a repository and opens it.
func served(t testing.TB, repository string) revwalk.Reader {
	t.Helper()
	s, config := gitfstest.NewStore(t)
	return gitfstest.Pin(t, s, gitfstest.Install(t, config.SharedHome, gitfstest.Storage, gitfstest.PackFile(t, repository)))
}

// servedWithGraph is served with a commit-graph of what refs reach.
func servedWithGraph(t testing.TB, repository string) revwalk.Reader {
	t.Helper()
	s, config := gitfstest.NewStore(t, gitfstest.WithGraphs)
	pack := gitfstest.Install(t, config.SharedHome, gitfstest.Storage, gitfstest.PackFile(t, repository))
	gitfstest.InstallGraph(t, config.SharedHome, repository, pack)
	return gitfstest.Pin(t, s, pack)
}

func TestWalksAsGitWalks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		repository, commits := gitfstest.RandomRepository(t, rt)
		for i, id := range commits { // else what no branch holds is not packed
			gitfstest.Git(t, repository, "update-ref", "refs/keep/"+string(rune('a'+i)), id)
		}
		open := served
		if rapid.Bool().Draw(rt, "graph") {
			open = servedWithGraph
		}
		g := revwalk.NewGraph(open(t, repository), revwalk.NewCache(1<<20))
		for range 3 {
			pair := rapid.SliceOfN(rapid.SampledFrom(commits), 2, 2).Draw(rt, "pair")
			a, b := git.MustParseObjectID(pair[0]), git.MustParseObjectID(pair[1])

			_, err := gitfstest.TryGit(t, repository, nil, "merge-base", "--is-ancestor", pair[0], pair[1])
			is, goErr := g.IsAncestor(t.Context(), a, b)
			require.NoError(t, goErr)
			require.Equal(t, err == nil, is, "ancestor")

			bases, err := gitfstest.TryGit(t, repository, nil, "merge-base", "--all", pair[0], pair[1])
			want := []string{}
			if err == nil {
				want = strings.Fields(bases)
				slices.Sort(want)
			}
			have, goErr := g.MergeBases(t.Context(), a, b)
			require.NoError(t, goErr)
			require.Equal(t, want, texts(have), "merge bases")

			between, boundary, goErr := g.Between(t.Context(), parse(pair[0]), parse(pair[1]))
			require.NoError(t, goErr)
			// Where clocks go wrong git stops too early now and then, and lists what it must not.
			had := lines(t, repository, "rev-list", pair[1])
			exact := slices.DeleteFunc(lines(t, repository, "rev-list", pair[0]), func(id string) bool { return slices.Contains(had, id) })
			require.ElementsMatch(t, exact, texts(between), "between")
			if gits := lines(t, repository, "rev-list", pair[0], "^"+pair[1]); len(gits) == len(exact) {
				require.Equal(t, append([]string{}, gits...), texts(between), "order of those between")
			}
			for _, id := range boundary {
				is, goErr := g.IsAncestor(t.Context(), id, b)
				require.NoError(t, goErr)
				require.True(t, is, "the boundary is had")
			}

			all, goErr := g.AllReach(t.Context(), parse(pair[0]), parse(pair[1]))
			require.NoError(t, goErr)
			back, goErr := g.IsAncestor(t.Context(), b, a)
			require.NoError(t, goErr)
			if all {
				require.True(t, back, "what is reached is an ancestor")
			}

			var log []git.ObjectID
			for c, err := range g.Log(t.Context(), a, git.ZeroID, everything) {
				require.NoError(t, err)
				log = append(log, c.ID)
			}
			require.Equal(t, lines(t, repository, "rev-list", pair[0]), texts(log), "log")
		}
	})
}

func everything(_ context.Context, _ git.ObjectID, c revwalk.Commit) ([]git.ObjectID, bool, error) {
	return c.Parents, true, nil
}

func TestPeel(t *testing.T) {
	repository := gitfstest.NewRepository(t, 5)
	g := revwalk.NewGraph(served(t, repository), nil)
	id := func(rev string) git.ObjectID {
		return git.MustParseObjectID(gitfstest.Git(t, repository, "rev-parse", rev))
	}

	target, kind, tags, err := g.Peel(t.Context(), id("v1-again"))
	require.NoError(t, err)
	require.Equal(t, id("main"), target)
	require.Equal(t, object.TypeCommit, kind)
	require.Equal(t, []git.ObjectID{id("v1-again"), id("v1")}, tags)

	_, kind, tags, err = g.Peel(t.Context(), id("main:build.sh"))
	require.NoError(t, err)
	require.Equal(t, object.TypeBlob, kind)
	require.Empty(t, tags)

	_, err = g.Commit(t.Context(), id("main^{tree}"))
	var other *revwalk.TypeError
	require.ErrorAs(t, err, &other)
}

func TestCacheIsBounded(t *testing.T) {
	repository := gitfstest.NewRepository(t, 200)
	head := git.MustParseObjectID(gitfstest.Git(t, repository, "rev-parse", "main"))
	for _, size := range []int64{0, 100, 2000, 1 << 20} {
		g := revwalk.NewGraph(served(t, repository), revwalk.NewCache(size))
		for range 2 {
			n := 0
			for _, err := range g.Log(t.Context(), head, git.ZeroID, everything) {
				require.NoError(t, err)
				n++
			}
			require.Equal(t, 200, n)
		}
	}
}

func TestWalksEndWithTheirContext(t *testing.T) {
	repository := gitfstest.NewRepository(t, 50)
	head := parse(gitfstest.Git(t, repository, "rev-parse", "main"))
	root := parse(gitfstest.Git(t, repository, "rev-list", "--max-parents=0", "main"))
	g := revwalk.NewGraph(served(t, repository), revwalk.NewCache(1<<20))
	_, err := g.IsAncestor(t.Context(), root[0], head[0])
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = g.IsAncestor(ctx, root[0], head[0])
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = g.Between(ctx, head, root)
	require.ErrorIs(t, err, context.Canceled)
	_, err = g.MergeBases(ctx, head[0], root[0])
	require.ErrorIs(t, err, context.Canceled)
}

func TestParseFilter(t *testing.T) {
	for _, spec := range []string{"blob:none", "blob:limit=0", "blob:limit=10k", "blob:limit=3G", "tree:0", "tree:7", "combine:blob:none+tree:3", "combine:blob%3Anone+tree:3"} {
		f, err := revwalk.ParseFilter(spec)
		require.NoError(t, err, spec)
		require.False(t, f.IsZero(), spec)
	}
	for _, spec := range []string{"", "blob", "blob:some", "blob:limit=", "blob:limit=-1", "blob:limit=k", "blob:limit=99999999999g", "tree:", "tree:-1", "sparse:oid=main", "combine:", "combine:combine:tree:1", "tree:99999999999", strings.Repeat("x", 5000)} {
		_, err := revwalk.ParseFilter(spec)
		var refused *revwalk.FilterError
		require.ErrorAs(t, err, &refused, spec)
	}
}
