package lfs_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/annal-git/annal/api/lfs"
)

// Nodes that start at once have one key, and one that others may read is none.
func TestSecret(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	secrets := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = lfs.Secret(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if len(s) != 32 || !bytes.Equal(s, secrets[0]) {
			t.Errorf("%x and %x", s, secrets[0])
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	file := filepath.Join(dir, files[0].Name())
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := lfs.Secret(dir); err == nil {
		t.Error("a key that everybody can read is taken")
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lfs.Secret(dir); err == nil {
		t.Error("a short key is taken")
	}
}
