package commitgraph_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/commitgraph"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

func write(t testing.TB, repository string) []byte {
	t.Helper()
	gitfstest.Git(t, repository, "commit-graph", "write", "--reachable", "--changed-paths")
	content, err := os.ReadFile(filepath.Join(repository, "objects", "info", "commit-graph"))
	require.NoError(t, err)
	return content
}

// Commits are what git says of them, and no filter denies a change.
func TestGraph(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		repository, _ := gitfstest.RandomRepository(t, rt)
		content := write(t, repository)
		require.NoError(t, commitgraph.Check(content))
		g, err := commitgraph.Parse(content)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(gitfstest.Git(t, repository, "log", "--all", "--format=%H %T %ct %P")), "\n")
		require.Equal(t, len(lines), g.Len())
		denied := 0
		for _, line := range lines {
			fields := strings.Fields(line)
			pos, ok := g.Find(git.MustParseObjectID(fields[0]))
			require.True(t, ok)
			c, err := g.Commit(pos)
			require.NoError(t, err)
			parents := []string{}
			for _, p := range c.Parents {
				parents = append(parents, p.String())
			}
			require.Equal(t, fields[1:], append([]string{c.Tree.String(), strconv.FormatInt(c.Time, 10)}, parents...))

			var changed []string
			if len(parents) == 0 {
				changed = strings.Fields(gitfstest.Git(t, repository, "ls-tree", "-r", "-t", "--name-only", fields[0]))
			} else {
				changed = strings.Fields(gitfstest.Git(t, repository, "diff-tree", "-r", "-t", "--name-only", "--no-renames", parents[0], fields[0]))
			}
			for _, path := range []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/f/a", "g/a", "g/d/a", "nothing/that/is/there"} {
				p, ok := commitgraph.NewPath(path)
				require.True(t, ok)
				if g.Unchanged(pos, p) {
					denied++
					require.False(t, slices.Contains(changed, path), "%s changes %s", fields[0], path)
				}
			}
		}
		require.NotZero(t, denied, "no filter says anything")
		_, ok := g.Find(git.ObjectID{1})
		require.False(t, ok)
	})
}

func TestNewPath(t *testing.T) {
	for _, path := range []string{"", "ä", "a/\xff"} {
		_, ok := commitgraph.NewPath(path)
		require.False(t, ok, "%q", path)
	}
}

func TestCheck(t *testing.T) {
	content := write(t, gitfstest.NewRepository(t, 20))
	var corrupt *commitgraph.CorruptError
	for at := range content {
		damaged := slices.Clone(content)
		damaged[at] ^= 1
		require.True(t, errors.As(commitgraph.Check(damaged), &corrupt), "byte %d", at)
	}
	require.True(t, errors.As(commitgraph.Check(content[:20]), &corrupt))
}

// Whatever a file holds, it is read within its bounds.
func FuzzParse(f *testing.F) {
	f.Add(write(f, gitfstest.NewRepository(f, 20)))
	f.Fuzz(func(t *testing.T, content []byte) {
		g, err := commitgraph.Parse(content)
		if err != nil {
			return
		}
		path, _ := commitgraph.NewPath("a/b")
		for pos := range g.Len() {
			g.Find(g.ID(pos))
			g.Unchanged(pos, path)
			if c, err := g.Commit(pos); err == nil && len(c.Parents) > len(content) {
				t.Errorf("%d parents", len(c.Parents))
			}
		}
	})
}
