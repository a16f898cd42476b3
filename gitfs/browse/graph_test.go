package browse_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

// A commit-graph makes no difference but in time.
func TestGraphMakesNoDifference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		repository, commits := gitfstest.RandomRepository(t, rt)
		for i, id := range commits {
			gitfstest.Git(t, repository, "update-ref", "refs/keep/"+string(rune('a'+i)), id)
		}
		with, without := open(t, repository), openPlain(t, repository)
		for range 3 {
			commit := with.id(rapid.SampledFrom(commits).Draw(rt, "commit"))
			path := rapid.SampledFrom([]string{"", "a", "d", "d/a", "d/e", "d/e/f/a", "g"}).Draw(rt, "path")
			q := browse.LogQuery{Until: commit, Path: path, Size: 100}
			have, _, err := with.Log(t.Context(), with.snapshot, q)
			require.NoError(t, err)
			want, _, err := without.Log(t.Context(), without.snapshot, q)
			require.NoError(t, err)
			require.Equal(t, want, have, "log of %q", path)

			have, _, err = with.Follow(t.Context(), with.snapshot, q)
			require.NoError(t, err)
			want, _, err = without.Follow(t.Context(), without.snapshot, q)
			require.NoError(t, err)
			require.Equal(t, want, have, "%q followed", path)

			entries, newest, haveErr := with.LastModified(t.Context(), with.snapshot, commit, path)
			wantEntries, wantNewest, wantErr := without.LastModified(t.Context(), without.snapshot, commit, path)
			require.Equal(t, wantErr, haveErr)
			require.Equal(t, wantEntries, entries, "last changes in %q", path)
			require.Equal(t, wantNewest, newest)
		}
	})
}
