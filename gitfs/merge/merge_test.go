package merge_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/merge"
	"github.com/annal-git/annal/gitfs/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	*merge.Merger
	t        *testing.T
	dir      string
	scratch  string
	store    *store.Store
	snapshot *gitfs.Snapshot
}

// history has branches that merge cleanly, in conflict, through a rename, and not at all.
func history(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "repository.git")
	gitfstest.Git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	var b strings.Builder
	commit := func(branch, from string, changes ...string) {
		fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 1\nx\n", branch)
		if from != "" {
			b.WriteString("from refs/heads/" + from + "\n")
		}
		b.WriteString(strings.Join(changes, ""))
	}
	file := func(name string, changed ...int) string {
		var lines strings.Builder
		for i := range 20 {
			line := fmt.Sprintf("line %d", i)
			for _, c := range changed {
				if c == i {
					line = fmt.Sprintf("changed %d %v", i, changed)
				}
			}
			lines.WriteString(line + "\n")
		}
		return fmt.Sprintf("M 100644 inline %s\ndata %d\n%s\n", name, lines.Len(), lines.String())
	}
	commit("main", "", file("a"), file("folder/b"), file("-option"))
	commit("top", "main", file("a", 1))
	commit("bottom", "main", file("a", 18))
	commit("other", "main", file("a", 1, 2), file("folder/b", 3))
	commit("moved", "main", "R folder/b folder/c\n")
	commit("edited", "main", file("folder/b", 7))
	commit("gone", "main", "D a\n")
	commit("root", "", file("a"))
	b.WriteString("done\n")
	gitfstest.GitInput(t, dir, []byte(b.String()), "fast-import", "--quiet")
	return dir
}

func open(t *testing.T, change ...func(*merge.Config)) fixture {
	t.Helper()
	dir := history(t)
	s, config := gitfstest.NewStore(t)
	snapshot, err := gitfstest.Serve(t, config, dir).Snapshot(t.Context())
	require.NoError(t, err)
	c := merge.Config{Store: s, Dir: filepath.Join(t.TempDir(), "merges")}
	for _, f := range change {
		f(&c)
	}
	m, err := merge.Open(c)
	require.NoError(t, err)
	return fixture{m, t, dir, c.Dir, s, snapshot}
}

func (f fixture) id(rev string) git.ObjectID {
	f.t.Helper()
	return git.MustParseObjectID(gitfstest.Git(f.t, f.dir, "rev-parse", rev))
}

func (f fixture) requireEmpty() {
	f.t.Helper()
	left, err := os.ReadDir(f.scratch)
	require.NoError(f.t, err)
	require.Empty(f.t, left)
}

// The tree and the conflicts are those that git merge-tree finds where it has the refs, and
// the pack of the merge is received like a push.
func TestMerge(t *testing.T) {
	f := open(t)
	for _, c := range []struct {
		ours, theirs string
		conflicts    []string
	}{
		{"top", "bottom", nil}, {"moved", "edited", nil}, {"main", "top", nil}, {"top", "top", nil},
		{"top", "other", []string{"a"}}, {"gone", "top", []string{"a"}},
	} {
		merged, err := f.Merge(t.Context(), f.snapshot, f.id(c.ours), f.id(c.theirs))
		require.NoError(t, err)
		require.Equal(t, c.conflicts, merged.Conflicts, "%s into %s", c.theirs, c.ours)
		want, _ := gitfstest.TryGit(t, f.dir, nil, "merge-tree", "--write-tree", "--name-only", c.ours, c.theirs) // ends with 1 in conflict
		if len(c.conflicts) == 0 {
			require.Equal(t, strings.TrimSpace(want), merged.Tree.String())
			commit := fmt.Sprintf("tree %s\nparent %s\nparent %s\nauthor A <a@example.com> 1700000000 +0000\ncommitter A <a@example.com> 1700000000 +0000\n\nMerge\n",
				merged.Tree, f.id(c.ours), f.id(c.theirs))
			var pack bytes.Buffer
			id, err := merged.Pack(t.Context(), &pack, []byte(commit))
			require.NoError(t, err)
			objects, err := f.store.Objects(t.Context(), f.snapshot.Storage, f.snapshot.Packs)
			require.NoError(t, err)
			received, err := f.store.Receive(t.Context(), f.snapshot.Storage, objects, &pack, store.ReceiveOptions{})
			require.NoError(t, err)
			require.True(t, received.View().Has(id))
			require.True(t, received.View().Has(merged.Tree))
			require.NoError(t, received.Discard())
			objects.Release()
		}
		require.NoError(t, merged.Close())
	}
	f.requireEmpty()
	var conflict *domain.ConflictError
	_, err := f.Merge(t.Context(), f.snapshot, f.id("top"), f.id("root"))
	require.ErrorAs(t, err, &conflict)
	_, err = f.Merge(t.Context(), f.snapshot, f.id("top"), git.MustParseObjectID(strings.Repeat("1", 40)))
	require.Error(t, err)
	require.False(t, strings.Contains(err.Error(), "unrelated"))
	f.requireEmpty()
}

func TestMergeIsBounded(t *testing.T) {
	slow := filepath.Join(t.TempDir(), "git")
	require.NoError(t, os.WriteFile(slow, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700))
	f := open(t, func(c *merge.Config) { c.Git, c.Timeout = slow, 100*time.Millisecond })
	start := time.Now()
	_, err := f.Merge(t.Context(), f.snapshot, f.id("top"), f.id("bottom"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(start), 10*time.Second)
	f.requireEmpty()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Merge(ctx, f.snapshot, f.id("top"), f.id("bottom"))
	require.ErrorIs(t, err, context.Canceled)
	f.requireEmpty()
}
