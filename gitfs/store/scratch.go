package store

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/google/uuid"
)

// scratch is a folder of the local home for one task, made when the first file is
// needed. What a crash leaves of it is removed by the next Open.
type scratch struct {
	parent string
	mu     sync.Mutex
	path   string // "" until made
}

func (s *Store) newScratch() *scratch {
	return &scratch{parent: filepath.Join(s.config.LocalHome, localQuarantine)}
}

// newName makes a name that nobody else makes, and that sorts by time.
func newName() string { return uuid.Must(uuid.NewV7()).String() }

func (d *scratch) folder() (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path != "" {
		return d.path, nil
	}
	path := filepath.Join(d.parent, newName())
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", err
	}
	d.path = path
	return path, nil
}

// anonymous makes a file that is gone once it is closed.
func (d *scratch) anonymous() (*os.File, error) {
	dir, err := d.folder()
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "body-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (d *scratch) remove() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.path == "" {
		return nil
	}
	return os.RemoveAll(d.path)
}
