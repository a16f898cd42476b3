package browse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

func TestLastModified(t *testing.T) {
	histories(t, func(t *testing.T, f fixture, commits []string) {
		paths := []string{"", "docs", "src/a", "src/a/b/c1"}
		if len(commits) != 60 {
			paths = []string{"", "plumbing", "plumbing/object"}
		}
		for _, path := range paths {
			list, newest, err := f.LastModified(t.Context(), f.snapshot, f.id("HEAD"), path)
			require.NoError(t, err)
			require.NotEmpty(t, list)
			log := func(path string) string {
				return gitfstest.Git(t, f.dir, "log", "-1", "--format=%H", "HEAD", "--", path)
			}
			for _, e := range list {
				require.Equal(t, log(strings.TrimPrefix(path+"/"+e.Name, "/")), e.Commit.ID.String(), e.Name)
				require.NotNil(t, e.Commit.Commit)
			}
			if path == "" {
				path = "."
			}
			require.Equal(t, log(path), newest.ID.String())
		}
		_, _, err := f.LastModified(t.Context(), f.snapshot, f.id("HEAD"), "nothing")
		requireNotFound(t, "path", err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err = f.LastModified(ctx, f.snapshot, f.id("HEAD"), paths[1])
		require.Error(t, err)
	})
}

// renamed makes a history in which a file moves twice, once with a change.
func renamed(t *testing.T) string {
	dir := gitfstest.NewRepository(t, 3)
	var b strings.Builder
	content := func(changed int) string {
		var lines strings.Builder
		for i := range 30 {
			if i < changed {
				fmt.Fprintf(&lines, "changed line %d\n", i)
			} else {
				fmt.Fprintf(&lines, "first line %d\n", i)
			}
		}
		return lines.String()
	}
	step := func(n int, from string, changes ...string) {
		fmt.Fprintf(&b, "commit refs/heads/moved\nmark :%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nx\n", n, 1_600_100_000+n*60)
		if from != "" {
			b.WriteString("from " + from + "\n")
		}
		for _, change := range changes {
			b.WriteString(change)
		}
	}
	file := func(name, content string) string {
		return fmt.Sprintf("M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
	}
	step(1, "refs/heads/main", file("one.txt", content(0)))
	step(2, "", file("one.txt", content(2)))
	step(3, "", "R one.txt folder/two.txt\n", file("other.txt", content(1)))
	step(4, "", file("folder/two.txt", content(4)))
	step(5, "", "D folder/two.txt\n", file("three.txt", content(6)))
	step(6, "", file("unrelated", "x"))
	b.WriteString("done\n")
	gitfstest.GitInput(t, dir, []byte(b.String()), "fast-import", "--quiet", "--force")
	gitfstest.Git(t, dir, "symbolic-ref", "HEAD", "refs/heads/moved")
	gitfstest.Git(t, dir, "repack", "-q", "-a", "-d")
	return dir
}

func TestFollow(t *testing.T) {
	f := open(t, renamed(t))
	for _, path := range []string{"three.txt", "other.txt", "unrelated", "docs/notes-1.txt", "nothing"} {
		want := strings.Fields(gitfstest.Git(t, f.dir, "log", "--follow", "--format=%H", "HEAD", "--", path))
		list, more, err := f.Follow(t.Context(), f.snapshot, browse.LogQuery{Until: f.id("HEAD"), Path: path, Size: 100})
		require.NoError(t, err)
		require.False(t, more)
		require.ElementsMatch(t, want, names(list), path)
		page, _, err := f.Follow(t.Context(), f.snapshot, browse.LogQuery{Until: f.id("HEAD"), Path: path, Start: 1, Size: 2})
		require.NoError(t, err)
		require.Equal(t, names(list)[min(1, len(list)):min(3, len(list))], names(page))
	}
	real := open(t, gitfstest.Bundle(t, "go-git.bundle"))
	for _, path := range []string{"plumbing/object/commit.go", "README.md", "worktree_commit.go", "plumbing/transport/http/common.go"} {
		want := strings.Fields(gitfstest.Git(t, real.dir, "log", "--follow", "--format=%H", "HEAD", "--", path))
		list, _, err := real.Follow(t.Context(), real.snapshot, browse.LogQuery{Until: real.id("HEAD"), Path: path, Size: 10000})
		require.NoError(t, err)
		require.ElementsMatch(t, want, names(list), path)
	}
}

// blamed writes for each line the commit, its place there and the file, as git blame says.
func blamed(list []browse.BlameLines) (lines []string) {
	for _, l := range list {
		for i := range l.Lines {
			lines = append(lines, fmt.Sprintf("%s %d %d %s", l.Commit.ID, l.SourceLine+i, l.Line+i, l.Path))
		}
	}
	return lines
}

func nativeBlame(f fixture, path string) (lines []string) {
	f.t.Helper()
	current := ""
	for line := range strings.Lines(gitfstest.Git(f.t, f.dir, "blame", "--line-porcelain", "--minimal", "HEAD", "--", path)) {
		switch fields := strings.Fields(line); {
		case line[0] == '\t':
			lines = append(lines, current)
		case len(fields) >= 3 && len(fields[0]) == 40:
			current = strings.Join(fields[:3], " ")
		case fields[0] == "filename":
			current += " " + strings.TrimSpace(strings.TrimPrefix(line, "filename "))
		}
	}
	return lines
}

func TestBlame(t *testing.T) {
	for name, c := range map[string]struct {
		repository string
		paths      []string
	}{
		"made":  {gitfstest.NewRepository(t, 60), []string{"docs/notes-3.txt", "docs/notes-0.txt", "build.sh", "src/a/b/c1/code.go"}},
		"moved": {renamed(t), []string{"three.txt", "other.txt", "docs/notes-1.txt"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, c.repository)
			for _, path := range c.paths {
				list, err := f.Blame(t.Context(), f.snapshot, f.id("HEAD"), path, 0, 1<<20)
				require.NoError(t, err)
				want := nativeBlame(f, path)
				require.Equal(t, want, blamed(list), path)
				page, err := f.Blame(t.Context(), f.snapshot, f.id("HEAD"), path, 1, 3)
				require.NoError(t, err)
				require.Equal(t, want[min(1, len(want)):min(4, len(want))], append([]string{}, blamed(page)...), path)
			}
			for _, path := range []string{"nothing", "docs", ""} {
				_, err := f.Blame(t.Context(), f.snapshot, f.id("HEAD"), path, 0, 10)
				requireNotFound(t, "path", err)
			}
			list, err := f.Blame(t.Context(), f.snapshot, f.id("HEAD"), "empty", 0, 10)
			require.NoError(t, err)
			require.Empty(t, list)
		})
	}
	t.Run("real", func(t *testing.T) {
		f := open(t, gitfstest.Bundle(t, "go-git.bundle"))
		same, total := 0, 0
		for _, path := range []string{"plumbing/object/commit.go", "README.md", "repository.go", "go.mod", "worktree.go"} {
			list, err := f.Blame(t.Context(), f.snapshot, f.id("HEAD"), path, 0, 1<<20)
			require.NoError(t, err)
			want, have := nativeBlame(f, path), blamed(list)
			require.Equal(t, len(want), len(have))
			for i := range want {
				total++
				if want[i] == have[i] {
					same++
				}
			}
		}
		t.Logf("%d of %d lines are blamed as git does", same, total)
		require.GreaterOrEqual(t, same*100, total*97) // of equally good comparisons any may be taken
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := f.Blame(ctx, f.snapshot, f.id("HEAD"), "repository.go", 0, 10)
		require.Error(t, err)
		var invalid *domain.InvalidError
		require.False(t, err == nil || fmt.Sprint(err) == fmt.Sprint(invalid))
	})
}

func TestCompare(t *testing.T) {
	histories(t, func(t *testing.T, f fixture, commits []string) {
		for i := 0; i+3 < len(commits); i += 3 {
			a, b := commits[i], commits[i+3]
			base, ok, err := f.MergeBase(t.Context(), f.snapshot, f.id(a), f.id(b))
			require.NoError(t, err)
			require.True(t, ok)
			require.Contains(t, gitfstest.Git(t, f.dir, "merge-base", "--all", a, b), base.String())
			ahead, behind, err := f.AheadBehind(t.Context(), f.snapshot, f.id(a), f.id(b))
			require.NoError(t, err)
			require.Equal(t, gitfstest.Git(t, f.dir, "rev-list", "--left-right", "--count", a+"..."+b), fmt.Sprintf("%d\t%d", ahead, behind))
		}
	})
}
