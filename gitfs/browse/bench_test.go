package browse_test

import (
	"os/exec"
	"testing"

	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

// BenchmarkBrowse answers questions about a real history, and native asks git the same.
func BenchmarkBrowse(b *testing.B) {
	f := open(b, gitfstest.Bundle(b, "go-git.bundle"))
	head := f.id("HEAD")
	native := func(b *testing.B, args ...string) {
		for b.Loop() {
			if err := exec.CommandContext(b.Context(), "git", append([]string{"-C", f.dir}, args...)...).Run(); err != nil {
				b.Fatal(err)
			}
		}
	}
	fail := func(b *testing.B, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("blame/annal", func(b *testing.B) {
		for b.Loop() {
			_, err := f.Blame(b.Context(), f.snapshot, head, "repository.go", 0, 1<<20)
			fail(b, err)
		}
	})
	b.Run("blame/native", func(b *testing.B) { native(b, "blame", "--porcelain", "HEAD", "--", "repository.go") })
	for name, f := range map[string]fixture{"annal": f, "without-graph": openPlain(b, f.dir)} {
		b.Run("last-modified/"+name, func(b *testing.B) {
			for b.Loop() {
				_, _, err := f.LastModified(b.Context(), f.snapshot, head, "")
				fail(b, err)
			}
		})
		b.Run("log-of-path/"+name, func(b *testing.B) {
			for b.Loop() {
				_, _, err := f.Log(b.Context(), f.snapshot, browse.LogQuery{Until: head, Path: "plumbing/object/commit.go", Size: 1000})
				fail(b, err)
			}
		})
	}
	b.Run("log-of-path/native", func(b *testing.B) {
		native(b, "log", "--format=%H", "HEAD", "--", "plumbing/object/commit.go")
	})
	old := f.id("HEAD~300")
	b.Run("changes-with-renames/annal", func(b *testing.B) {
		for b.Loop() {
			_, _, err := f.Changes(b.Context(), f.snapshot, browse.ChangeQuery{From: old, To: head, Renames: true})
			fail(b, err)
		}
	})
	b.Run("changes-with-renames/native", func(b *testing.B) { native(b, "diff-tree", "-r", "-M", "-l0", "HEAD~300", "HEAD") })
}
