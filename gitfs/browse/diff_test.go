package browse_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/diff"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

// histories are a made one and, where it is at hand, a real one.
func histories(t *testing.T, test func(t *testing.T, f fixture, commits []string)) {
	for _, name := range []string{"made", "go-git.bundle"} {
		t.Run(name, func(t *testing.T) {
			var repository string
			step := 1
			if name == "made" {
				repository = gitfstest.NewRepository(t, 60)
			} else {
				repository, step = gitfstest.Bundle(t, name), 130
			}
			all := strings.Fields(gitfstest.Git(t, repository, "rev-list", "HEAD"))
			var commits []string
			for i := 0; i < len(all); i += step {
				commits = append(commits, all[i])
			}
			test(t, open(t, repository), commits)
		})
	}
}

// Each commit is compared with one some way before it: the paths and renames are those that
// git diff finds.
func TestChanges(t *testing.T) {
	histories(t, func(t *testing.T, f fixture, commits []string) {
		total, same := 0, 0
		for i := 0; i+1 < len(commits); i++ {
			q := browse.ChangeQuery{From: f.id(commits[i+1]), To: f.id(commits[i])}
			list, truncated, err := f.Changes(t.Context(), f.snapshot, q)
			require.NoError(t, err)
			require.False(t, truncated)
			require.Equal(t, gitfstest.Git(t, f.dir, "diff-tree", "-r", "--no-renames", commits[i+1], commits[i]), raw(list))
			q.Renames = true
			list, _, err = f.Changes(t.Context(), f.snapshot, q)
			require.NoError(t, err)
			want := strings.Split(gitfstest.Git(t, f.dir, "diff-tree", "-r", "-M", "-l0", commits[i+1], commits[i]), "\n")
			have := strings.Split(raw(list), "\n")
			total += len(want)
			for _, line := range have {
				for _, other := range want {
					if line == other {
						same++
						break
					}
				}
			}
		}
		t.Logf("%d of %d changes with renames are as git has them", same, total)
		require.GreaterOrEqual(t, same*1000, total*995) // of equally good pairs any may be taken
	})
}

// raw writes changes as git diff-tree does.
func raw(list []browse.Change) string {
	var lines []string
	for _, c := range list {
		kind := map[browse.ChangeKind]string{browse.Added: "A", browse.Deleted: "D", browse.Modified: "M", browse.Renamed: fmt.Sprintf("R%03d", c.Similarity)}[c.Kind]
		if c.Kind == browse.Modified && c.Mode&0o170000 != c.OldMode&0o170000 {
			kind = "T"
		}
		line := fmt.Sprintf(":%s %s %s %s %s\t%s", c.OldMode, c.Mode, c.OldID, c.ID, kind, c.OldPath)
		if c.Kind == browse.Renamed {
			line += "\t" + c.Path
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (f fixture) patch(q browse.DiffQuery) []byte {
	f.t.Helper()
	var out bytes.Buffer
	_, err := f.Diff(f.t.Context(), f.snapshot, q, func(d browse.FileDiff) error { return browse.WritePatch(&out, d) })
	require.NoError(f.t, err)
	return out.Bytes()
}

// Every patch turns the tree of before into the one of after, for git apply, and is no
// larger than git's smallest.
func TestPatches(t *testing.T) {
	histories(t, func(t *testing.T, f fixture, commits []string) {
		same := 0
		for i := 0; i+1 < len(commits); i++ {
			q := browse.DiffQuery{ChangeQuery: browse.ChangeQuery{From: f.id(commits[i+1]), To: f.id(commits[i]), Renames: i%2 == 0}, Context: 3}
			patch := f.patch(q)
			args := []string{"diff", "--full-index", "--no-renames", "--minimal", commits[i+1], commits[i]}
			if i%2 == 0 {
				args[2] = "-M"
			}
			want := gitfstest.Git(t, f.dir, args...) + "\n"
			if string(patch) == want || len(patch) == 0 && want == "\n" {
				same++
			}
			if strings.Contains(want, "\nBinary files") || len(patch) == 0 {
				continue
			}
			gitfstest.Git(t, f.dir, "read-tree", commits[i+1])
			gitfstest.GitInput(t, f.dir, patch, "apply", "--cached", "--whitespace=nowarn", "-")
			require.Equal(t, gitfstest.Git(t, f.dir, "rev-parse", commits[i]+"^{tree}"), gitfstest.Git(t, f.dir, "write-tree"))
			require.LessOrEqual(t, changed(string(patch)), changed(want))
		}
		t.Logf("%d of %d patches are git's to the byte", same, len(commits)-1)
	})
}

func changed(patch string) (lines int) {
	for line := range strings.Lines(patch) {
		if line[0] == '+' && !strings.HasPrefix(line, "+++ ") || line[0] == '-' && !strings.HasPrefix(line, "--- ") {
			lines++
		}
	}
	return lines
}

// Differences of one path: of a file, of a folder, of a file that was elsewhere before.
func TestDiffOfPath(t *testing.T) {
	f := open(t, gitfstest.NewRepository(t, 40))
	from, to := f.id("main~9"), f.id("main")
	for _, path := range []string{"docs", "docs/notes-3.txt", "src/a", "build.sh", "nothing"} {
		for whitespace, flag := range map[diff.Whitespace]string{diff.ExactWhitespace: "--no-renames", diff.IgnoreWhitespace: "-w"} {
			patch := f.patch(browse.DiffQuery{ChangeQuery: browse.ChangeQuery{From: from, To: to, Path: path}, Context: 1, Whitespace: whitespace})
			want := gitfstest.Git(t, f.dir, "diff", "--full-index", "--minimal", "-U1", flag, "main~9", "main", "--", path)
			require.Equal(t, want, strings.TrimSuffix(string(patch), "\n"))
		}
	}
	list, _, err := f.Changes(t.Context(), f.snapshot, browse.ChangeQuery{From: from, To: to, Path: "docs/notes-3.txt", OldPath: "docs/notes-2.txt"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, browse.Renamed, list[0].Kind)
	require.Equal(t, f.id("main~9:docs/notes-2.txt"), list[0].OldID)
	list, _, err = f.Changes(t.Context(), f.snapshot, browse.ChangeQuery{To: to})
	require.NoError(t, err)
	require.Equal(t, len(strings.Split(gitfstest.Git(t, f.dir, "ls-tree", "-r", "main"), "\n")), len(list))
}
