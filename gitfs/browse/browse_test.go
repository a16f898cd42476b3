package browse_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fixture struct {
	*browse.Browser
	t        testing.TB
	dir      string
	snapshot *gitfs.Snapshot
}

// open serves a repository with a commit-graph.
func open(t testing.TB, repository string) fixture {
	t.Helper()
	f, shared := openIn(t, repository, gitfstest.WithGraphs)
	gitfstest.InstallGraph(t, shared, repository, f.snapshot.Packs[0])
	return f
}

// openPlain serves one without.
func openPlain(t testing.TB, repository string) fixture {
	t.Helper()
	f, _ := openIn(t, repository)
	return f
}

func openIn(t testing.TB, repository string, change ...func(*store.Config)) (f fixture, shared string) {
	t.Helper()
	s, config := gitfstest.NewStore(t, change...)
	snapshot, err := gitfstest.Serve(t, config, repository).Snapshot(t.Context())
	require.NoError(t, err)
	return fixture{browse.New(s, revwalk.NewCache(1<<20)), t, repository, snapshot}, config.SharedHome
}

func (f fixture) id(rev string) git.ObjectID {
	f.t.Helper()
	return git.MustParseObjectID(gitfstest.Git(f.t, f.dir, "rev-parse", rev))
}

func requireNotFound(t testing.TB, what string, err error) {
	t.Helper()
	var missing *domain.NotFoundError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, what, missing.What)
}

func TestFind(t *testing.T) {
	repository := gitfstest.NewRepository(t, 40)
	// What no ref reaches is stored but must not be found.
	hidden := gitfstest.Git(t, repository, "commit-tree", "-m", "hidden", "main^{tree}")
	gitfstest.Git(t, repository, "update-ref", "refs/keep/hidden", hidden)
	f := open(t, repository)
	var visible []git.Ref
	for ref := range f.snapshot.Refs.Prefixed("") {
		if ref.Name != "refs/keep/hidden" {
			visible = append(visible, ref)
		}
	}
	f.snapshot.Refs = gitfstest.NewRefs(visible...)

	for _, rev := range []string{"main", "main~20", "v1", "side"} {
		id := f.id(rev)
		for _, n := range []int{7, 12, 40} {
			found, err := f.Find(t.Context(), f.snapshot, id.String()[:n])
			require.NoError(t, err)
			require.Equal(t, id, found)
		}
	}
	tree := f.id("main^{tree}").String()
	for _, digits := range []string{
		hidden, hidden[:7], tree, "", "abc", strings.Repeat("0", 40), strings.Repeat("f", 41), "--output=x", "main", "HEAD", strings.ToUpper(f.id("main").String()), "abcg",
	} {
		_, err := f.Find(t.Context(), f.snapshot, digits)
		requireNotFound(t, "commit", err)
	}

	id, err := f.Peel(t.Context(), f.snapshot, f.id("v1-again"))
	require.NoError(t, err)
	require.Equal(t, f.id("main"), id)
	_, err = f.Peel(t.Context(), f.snapshot, f.id("main^{tree}"))
	requireNotFound(t, "commit", err)
}

func TestTrees(t *testing.T) {
	f := open(t, gitfstest.NewRepository(t, 40))
	head := f.id("main")
	for _, path := range []string{"", "docs", "src/a/b", "build.sh", "latest", "vendor/other", "src/a/b/c1/code.go"} {
		entry, err := f.Entry(t.Context(), f.snapshot, head, path)
		require.NoError(t, err, path)
		require.Equal(t, f.id("main:"+path), entry.ID)
		require.Equal(t, path[strings.LastIndex(path, "/")+1:], entry.Name)
		if !entry.Mode.IsTree() {
			continue
		}
		entries, err := f.Tree(t.Context(), f.snapshot, entry.ID)
		require.NoError(t, err)
		var listed []string
		for _, e := range entries {
			listed = append(listed, fmt.Sprintf("%s %s %s\t%s", e.Mode, e.Mode.Type(), e.ID, e.Name))
		}
		require.Equal(t, gitfstest.Git(t, f.dir, "ls-tree", "main:"+path), strings.Join(listed, "\n"))
	}
	for _, path := range []string{"nothing", "docs/", "/docs", "docs//notes-1.txt", "./docs", "docs/../src", "build.sh/x", "-h", strings.Repeat("a/", 10000) + "a"} {
		_, err := f.Entry(t.Context(), f.snapshot, head, path)
		requireNotFound(t, "path", err)
	}
	_, err := f.Entry(t.Context(), f.snapshot, f.id("main:build.sh"), "")
	requireNotFound(t, "commit", err)
	_, err = f.Tree(t.Context(), f.snapshot, head)
	requireNotFound(t, "path", err)
}

func TestFiles(t *testing.T) {
	f := open(t, gitfstest.NewRepository(t, 40))
	var want []string
	for line := range strings.Lines(gitfstest.Git(t, f.dir, "ls-tree", "-r", "main")) {
		info, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if !strings.Contains(info, "commit") {
			want = append(want, name)
		}
	}
	for _, size := range []int{1, 3, len(want), 1000} {
		var have []string
		for more := true; more; {
			var page []string
			var err error
			page, more, err = f.Files(t.Context(), f.snapshot, f.id("main^{tree}"), len(have), size)
			require.NoError(t, err)
			have = append(have, page...)
		}
		require.Equal(t, want, have)
	}
}

func TestBlob(t *testing.T) {
	f := open(t, gitfstest.NewRepository(t, 40))
	for _, path := range []string{"build.sh", "empty", "docs/notes-3.txt", "latest"} {
		id := f.id("main:" + path)
		size, content, err := f.Blob(t.Context(), f.snapshot, id)
		require.NoError(t, err)
		data, err := io.ReadAll(content)
		require.NoError(t, err)
		require.NoError(t, content.Close())
		require.Equal(t, strings.TrimSuffix(string(data), "\n"), gitfstest.Git(t, f.dir, "cat-file", "blob", id.String()))
		require.EqualValues(t, len(data), size)
		known, err := f.Size(t.Context(), f.snapshot, id)
		require.NoError(t, err)
		require.Equal(t, size, known)
	}
	_, _, err := f.Blob(t.Context(), f.snapshot, f.id("main^{tree}"))
	requireNotFound(t, "path", err)
	_, _, err = f.Blob(t.Context(), f.snapshot, git.ZeroID)
	requireNotFound(t, "path", err)
	_, err = f.Size(t.Context(), f.snapshot, f.id("main"))
	requireNotFound(t, "path", err)
	require.True(t, browse.IsBinary([]byte("a\x00b")))
	require.False(t, browse.IsBinary([]byte(strings.Repeat("a", 8000)+"\x00")))
	require.False(t, browse.IsBinary(nil))
}

func TestLog(t *testing.T) {
	for _, name := range []string{"made", "go-git.bundle"} {
		t.Run(name, func(t *testing.T) {
			head, paths := "main", []string{"", "docs", "docs/notes-3.txt", "src/a/b/c1", "build.sh", "nothing"}
			var repository string
			if name == "made" {
				repository = gitfstest.NewRepository(t, 60)
			} else {
				repository = gitfstest.Bundle(t, name)
				head, paths = "HEAD", []string{"", "plumbing/object", "README.md", "go.mod"}
			}
			f := open(t, repository)
			since := gitfstest.Git(t, repository, "rev-list", "--skip=25", "-1", head)
			for _, path := range paths {
				for flag, merges := range map[string]browse.Merges{"--date-order": browse.IncludeMerges, "--no-merges": browse.ExcludeMerges, "--merges": browse.OnlyMerges} {
					for _, from := range []string{"", since} {
						args := []string{"rev-list", flag, head}
						q := browse.LogQuery{Until: f.id(head), Path: path, Merges: merges, Size: 1 << 20}
						if from != "" {
							args = append(args, "^"+from)
							q.Since = f.id(from)
						}
						if path != "" {
							args = append(args, "--", path)
						}
						want := strings.Fields(gitfstest.Git(t, repository, args...))
						list, more, err := f.Log(t.Context(), f.snapshot, q)
						require.NoError(t, err)
						require.False(t, more)
						require.ElementsMatch(t, want, names(list), "%q", args)

						q.Start, q.Size = 2, 3
						page, more, err := f.Log(t.Context(), f.snapshot, q)
						require.NoError(t, err)
						all := names(list)
						require.Equal(t, all[min(2, len(all)):min(5, len(all))], names(page))
						require.Equal(t, len(all) > 5, more)
					}
				}
			}
		})
	}
}

func names(list []browse.LoggedCommit) []string {
	out := []string{}
	for _, c := range list {
		out = append(out, c.ID.String())
	}
	return out
}

func TestCommit(t *testing.T) {
	f := open(t, gitfstest.NewRepository(t, 5))
	c, err := f.Commit(t.Context(), f.snapshot, f.id("main"))
	require.NoError(t, err)
	require.Equal(t, f.id("main^{tree}"), c.Tree)
	require.Equal(t, []git.ObjectID{f.id("main~1")}, c.Parents)
	require.Equal(t, "Ada", c.Author.Name)
	for _, id := range []git.ObjectID{git.ZeroID, f.id("main^{tree}")} {
		_, err = f.Commit(t.Context(), f.snapshot, id)
		requireNotFound(t, "commit", err)
	}
	_, _, err = f.Log(t.Context(), f.snapshot, browse.LogQuery{Until: git.MustParseObjectID(strings.Repeat("1", 40)), Size: 1})
	requireNotFound(t, "commit", err)
	require.Equal(t, object.ModeTree.Type(), object.TypeTree)
}
