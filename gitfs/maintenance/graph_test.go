package maintenance_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/commitgraph"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/maintenance"
)

// A full repack brings a commit-graph that knows the paths which commits change, and readers
// use it.
func TestFullWithGraph(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 400, 20)
	s := w.snapshot()
	s.Refs = gitfstest.NewRefs(git.Ref{Name: "refs/heads/main", ID: w.id("main")})
	w.run(maintenance.Plan{Kind: maintenance.Full, Packs: w.packs}, s)
	var large git.Pack
	for _, p := range w.packs {
		if p.Objects > large.Objects {
			large = p
		}
	}
	content, err := os.ReadFile(w.store.PackPath(gitfstest.Storage, large.ID, "graph"))
	require.NoError(t, err)
	require.NoError(t, commitgraph.Check(content))
	graph, err := commitgraph.Parse(content)
	require.NoError(t, err)
	objects := gitfstest.Pin(t, w.store, w.packs...)
	path, _ := commitgraph.NewPath("no/such/path")
	unchanged := 0
	for pos := range graph.Len() {
		id := graph.ID(pos)
		want, err := graph.Commit(pos)
		require.NoError(t, err)
		have, ok := objects.Commit(t.Context(), id)
		require.True(t, ok)
		require.Equal(t, want, have)
		if objects.Unchanged(t.Context(), id, path) {
			unchanged++
		}
	}
	require.NotZero(t, unchanged)
	_, ok := objects.Commit(t.Context(), git.ObjectID{1})
	require.False(t, ok)
}
