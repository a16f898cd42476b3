package archive_test

import (
	"io"
	"os/exec"
	"testing"

	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

// BenchmarkTar archives a real tree, and native does the same with git archive.
func BenchmarkTar(b *testing.B) {
	f := open(b, gitfstest.Bundle(b, "go-git.bundle"))
	r := archive.Request{Format: archive.Tar, Commit: f.id("HEAD")}
	b.Run("annal", func(b *testing.B) {
		for b.Loop() {
			prepared, err := f.Prepare(b.Context(), f.snapshot, r)
			if err != nil {
				b.Fatal(err)
			}
			if err := prepared.Write(b.Context(), io.Discard); err != nil {
				b.Fatal(err)
			}
			prepared.Close()
		}
	})
	b.Run("native", func(b *testing.B) {
		for b.Loop() {
			if err := exec.CommandContext(b.Context(), "git", "-C", f.dir, "archive", "--format=tar", "HEAD").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
