package store

import (
	"io"
	"os"
	"path/filepath"
)

// Files is what the store asks of the shared home, so that tests can let each of
// its calls fail. Names are relative, with slashes. Errors are those of package
// os: fs.ErrNotExist, fs.ErrExist, syscall.ESTALE and so on can be recognised.
type Files interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create makes a file that must not exist.
	Create(name string) (NewFile, error)
	// Mkdir makes a folder that must not exist, in one that does.
	Mkdir(name string) error
	// Rename gives a file another name, on which nothing must stand.
	Rename(from, to string) error
	// Stat returns a file's size in bytes.
	Stat(name string) (int64, error)
	// ReadDir returns the names in a folder.
	ReadDir(name string) ([]string, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
}

// File is an open file of the shared home.
type File interface {
	io.ReaderAt
	io.Closer
}

// NewFile is a file being written. It is durable once both Sync and Close have
// returned nil. After a failed Sync its content is unknown.
type NewFile interface {
	io.Writer
	Sync() error
	io.Closer
}

// DirFiles is a folder of the operating system as Files.
func DirFiles(root string) Files { return dirFiles(root) }

type dirFiles string

func (d dirFiles) path(name string) string { return filepath.Join(string(d), filepath.FromSlash(name)) }

func (d dirFiles) Open(name string) (File, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err // not f, which would be a File that is not nil
	}
	return f, nil
}

func (d dirFiles) Create(name string) (NewFile, error) {
	f, err := os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d dirFiles) Mkdir(name string) error { return os.Mkdir(d.path(name), 0o777) }

func (d dirFiles) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d dirFiles) Stat(name string) (int64, error) {
	info, err := os.Stat(d.path(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d dirFiles) ReadDir(name string) ([]string, error) {
	f, err := os.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.Readdirnames(-1)
}

func (d dirFiles) SyncDir(name string) error {
	f, err := os.Open(d.path(name))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

func (d dirFiles) Remove(name string) error { return os.Remove(d.path(name)) }
