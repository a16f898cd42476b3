package gitfstest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain/git"
)

// NewRepository makes a bare repository with a history of the given number of
// commits on main, each with a change to one of a few files, some merges, folders,
// an executable, a symbolic link, a gitlink, an annotated tag and a tag of a tag.
// Its content is the same each time.
func NewRepository(t testing.TB, commits int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository.git")
	Git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	GitInput(t, dir, history(commits), "fast-import", "--quiet", "--force")
	Git(t, dir, "repack", "--quiet", "-a", "-d", "-f") // fast-import makes few deltas
	return dir
}

// history writes what git fast-import reads.
func history(commits int) []byte {
	var b bytes.Buffer
	data := func(s string) { fmt.Fprintf(&b, "data %d\n%s\n", len(s), s) }
	file := func(mode, name, content string) {
		fmt.Fprintf(&b, "M %s inline %s\n", mode, name)
		data(content)
	}
	for i := 1; i <= commits; i++ {
		when := 1_600_000_000 + 60*i
		fmt.Fprintf(&b, "commit refs/heads/main\nmark :%d\n", i)
		fmt.Fprintf(&b, "author Ada <ada@example.com> %d +0100\ncommitter Cleo <cleo@example.com> %d -0330\n", when, when+7)
		data(fmt.Sprintf("Change %d\n\nWhy: because of %d.\n", i, i%13))
		if i > 1 {
			fmt.Fprintf(&b, "from :%d\n", i-1)
		}
		if i%10 == 0 {
			fmt.Fprintf(&b, "merge :%d\n", i-5)
		}
		if i == 1 {
			file("100755", "build.sh", "#!/bin/sh\nexit 0\n")
			file("120000", "latest", "docs/notes-1.txt")
			fmt.Fprintf(&b, "M 160000 %040d vendor/other\n", 7)
			file("100644", "empty", "")
		}
		var lines strings.Builder
		for line := range 80 {
			fmt.Fprintf(&lines, "line %d of file %d, last touched by change %d\n", line, i%7, i-(line*i)%11)
		}
		file("100644", fmt.Sprintf("docs/notes-%d.txt", i%7), lines.String())
		file("100644", fmt.Sprintf("src/a/b/c%d/code.go", i%5), fmt.Sprintf("package c\n\nconst version = %d\n", i))
	}
	fmt.Fprintf(&b, "tag v1\nmark :%d\nfrom :%d\ntagger Ada <ada@example.com> 1700000000 +0000\n", commits+1, commits)
	data("Version one\n")
	fmt.Fprintf(&b, "reset refs/heads/side\nfrom :%d\n\n", (commits+1)/2)
	fmt.Fprintf(&b, "tag v1-again\nfrom :%d\ntagger Ada <ada@example.com> 1700000001 +0000\n", commits+1)
	data("Version one, again\n")
	b.WriteString("done\n")
	return b.Bytes()
}

// longBundle is the history that is too large for every run of the tests.
const longBundle = "git-v1.8.0.bundle"

// Bundle clones one of the real histories that lie beside the checkout, in
// ../shared/repos. It skips the test if the history is not there, under -short, and,
// if it is the large one, unless ANNAL_LONG is 1.
func Bundle(t testing.TB, name string) string {
	t.Helper()
	switch {
	case testing.Short():
		t.Skipf("SKIPPED, NOT TESTED: real histories such as %s are not for -short", name)
	case name == longBundle && os.Getenv("ANNAL_LONG") != "1":
		t.Skipf("SKIPPED, NOT TESTED: %s takes minutes; 'go tool task test:long' tests it", name)
	}
	_, here, _, _ := runtime.Caller(0)
	path := bundlePath(filepath.Dir(here), name)
	if path == "" {
		t.Skipf("SKIPPED, NOT TESTED: the bundle %s is not in ../shared/repos beside the checkout", name)
	}
	dir := filepath.Join(t.TempDir(), "repository.git")
	Git(t, "", "-c", "pack.writeReverseIndex=true", "clone", "--quiet", "--mirror", path, dir)
	return dir
}

// bundlePath looks beside the module and, for a work tree, one folder further up.
func bundlePath(dir, name string) string {
	for {
		path := filepath.Join(dir, "shared", "repos", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// PackFile packs all of a repository into one pack and returns the path of the
// .pack file. Its .idx and .rev lie beside it.
func PackFile(t testing.TB, repository string) string {
	t.Helper()
	folder := filepath.Join(repository, "objects", "pack")
	counts := Git(t, repository, "count-objects", "-v")
	if !strings.HasPrefix(counts, "count: 0\n") || !strings.Contains(counts, "\npacks: 1\n") {
		Git(t, repository, "-c", "pack.writeReverseIndex=true", "repack", "--quiet", "-a", "-d")
	}
	packs, err := filepath.Glob(filepath.Join(folder, "pack-*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("one pack expected, not %q (%v)", packs, err)
	}
	rev := strings.TrimSuffix(packs[0], ".pack") + ".rev"
	if _, err := os.Stat(rev); err != nil {
		Git(t, repository, "index-pack", "--rev-index", packs[0])
	}
	return packs[0]
}

// Install copies a pack with its .idx and .rev to where a store of the shared home
// looks for the packs of a storage.
func Install(t testing.TB, sharedHome, storage, packFile string) git.Pack {
	t.Helper()
	dir := filepath.Join(sharedHome, "repos", storage[:2], storage, "objects", "pack")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	base := strings.TrimSuffix(packFile, ".pack")
	for _, suffix := range []string{".pack", ".rev", ".idx"} {
		copyFile(t, filepath.Join(dir, filepath.Base(base)+suffix), base+suffix)
	}
	return DescribePack(t, packFile)
}

// DescribePack reads from a pack file what a registry would hold about it.
func DescribePack(t testing.TB, packFile string) git.Pack {
	t.Helper()
	data, err := os.ReadFile(packFile)
	if err != nil {
		t.Fatal(err)
	}
	objects := int64(data[8])<<24 | int64(data[9])<<16 | int64(data[10])<<8 | int64(data[11])
	return git.Pack{ID: git.ObjectID(data[len(data)-20:]), Objects: objects, Bytes: int64(len(data))}
}

func copyFile(t testing.TB, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
