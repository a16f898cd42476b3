package gitfstest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// RandomRepository makes a bare repository with a random history: some branches,
// merges of up to three parents, clocks that go wrong, files that move, come back
// and are deleted, tags and tags of tags. Commits carry the marks that the
// returned slice maps to ids.
func RandomRepository(t testing.TB, rt *rapid.T) (dir string, commits []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "random.git")
	Git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	n := rapid.IntRange(1, 25).Draw(rt, "commits")
	marks := filepath.Join(t.TempDir(), "marks")
	GitInput(t, dir, randomHistory(rt, n), "fast-import", "--quiet", "--force", "--export-marks="+marks)
	byMark := map[int]string{}
	for line := range strings.Lines(ReadFile(t, marks)) {
		var mark int
		var id string
		if _, err := fmt.Sscanf(line, ":%d %s", &mark, &id); err != nil {
			t.Fatal(err)
		}
		byMark[mark] = id
	}
	for i := 1; i <= n; i++ {
		commits = append(commits, byMark[i])
	}
	return dir, commits
}

func randomHistory(rt *rapid.T, commits int) []byte {
	var b bytes.Buffer
	data := func(s string) { fmt.Fprintf(&b, "data %d\n%s\n", len(s), s) }
	paths := []string{"a", "b", "d/a", "d/b", "d/e/a", "d/e/f/a", "g/a", "g/d/a"}
	for i := 1; i <= commits; i++ {
		when := 1_600_000_000 + 60*i + rapid.SampledFrom([]int{0, 0, 0, 0, -500, 500}).Draw(rt, "skew")
		fmt.Fprintf(&b, "commit refs/heads/b%d\nmark :%d\n", rapid.IntRange(0, 3).Draw(rt, "branch"), i)
		fmt.Fprintf(&b, "committer Cleo <cleo@example.com> %d +0000\n", when)
		data(fmt.Sprintf("Change %d\n", i))
		keyword := "from"
		seen := map[int]bool{}
		for _, back := range rapid.SliceOfN(rapid.IntRange(1, 6), 0, 3).Draw(rt, "parents") {
			if parent := i - back; parent > 0 && !seen[parent] {
				seen[parent] = true
				fmt.Fprintf(&b, "%s :%d\n", keyword, parent)
				keyword = "merge"
			}
		}
		for range rapid.IntRange(0, 3).Draw(rt, "changes") {
			path := rapid.SampledFrom(paths).Draw(rt, "path")
			if rapid.IntRange(0, 5).Draw(rt, "action") == 0 {
				fmt.Fprintf(&b, "D %s\n", path)
				continue
			}
			version := rapid.IntRange(0, 12).Draw(rt, "content")
			fmt.Fprintf(&b, "M 100644 inline %s\n", path)
			data(strings.Repeat("the same line again\n", 20) + strings.Repeat(fmt.Sprintf("version %d\n", version), version*version%7))
		}
	}
	for i := range rapid.IntRange(0, 3).Draw(rt, "tags") {
		fmt.Fprintf(&b, "tag t%d\nmark :%d\nfrom :%d\ntagger Ada <ada@example.com> 1700000000 +0000\n",
			i, commits+1+i, rapid.IntRange(1, commits+i).Draw(rt, "tagged"))
		data("Tagged\n")
	}
	b.WriteString("done\n")
	return b.Bytes()
}
