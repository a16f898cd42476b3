package lfs

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secretBytes is the size of the key that links are signed with.
const secretBytes = 32

// Secret loads the key that links are signed with from a folder of the shared home, so that
// every node believes what another has signed, and makes it if it is not there. Of two nodes
// that do so at once, one makes it and both load it. A file that others may read is an error.
func Secret(dir string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("key of LFS links: %w", err)
	}
	file := filepath.Join(dir, "lfs-links.key")
	secret, err := loadSecret(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeSecret(file); err == nil {
			secret, err = loadSecret(file)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key of LFS links %s: %w", file, err)
	}
	return secret, nil
}

func loadSecret(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, errors.New("others may read it: remove it, and another is made")
	}
	secret, err := os.ReadFile(file)
	if err == nil && len(secret) != secretBytes {
		err = fmt.Errorf("it has %d bytes, and not %d: remove it, and another is made", len(secret), secretBytes)
	}
	return secret, err
}

// makeSecret leaves a key alone that is there meanwhile: a link, unlike a renaming, never
// replaces one.
func makeSecret(file string) error {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret)                                     // never fails: it ends the program instead
	temporary, err := os.CreateTemp(filepath.Dir(file), ".new-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(secret)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	folder, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
