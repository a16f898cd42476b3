package nativegit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ScratchFolder makes a folder of the local home for scratch repositories, which is for one
// process alone, and removes what an earlier one has left in it. It returns the absolute
// path.
func ScratchFolder(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return path, errors.Join(os.RemoveAll(path), os.MkdirAll(path, 0o700))
}

// Scratch is a bare repository that git works in. It has no objects of its own at first;
// packs are linked into it, so that git sees those which the log lists and no others, and
// has nothing to delete.
type Scratch struct{ Dir string } // absolute path

const scratchConfig = `[core]
	repositoryformatversion = 0
	bare = true
	filemode = false
[gc]
	auto = 0
[pack]
	threads = 1
`

// NewScratch makes a repository in a folder made by ScratchFolder. config is more of its
// configuration, in the format of git-config(1). The caller must Remove it.
func NewScratch(folder, config string) (*Scratch, error) {
	dir, err := os.MkdirTemp(folder, "scratch-")
	if err != nil {
		return nil, err
	}
	s := &Scratch{Dir: dir}
	for _, inner := range []string{"objects/pack", "objects/info", "refs"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(dir, filepath.FromSlash(inner)), 0o700))
	}
	if err = errors.Join(err,
		os.WriteFile(filepath.Join(dir, "config"), []byte(scratchConfig+config), 0o600),
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o600),
	); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// Packs is the folder of the repository's packs.
func (s *Scratch) Packs() string { return filepath.Join(s.Dir, "objects", "pack") }

// Link makes a file visible to git as part of a pack. One of the same name that is there
// already is the same: packs are named by what they hold.
func (s *Scratch) Link(file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	err = os.Symlink(file, filepath.Join(s.Packs(), filepath.Base(file)))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// Remove removes the repository; the packs that were linked stay where they are.
func (s *Scratch) Remove() error { return os.RemoveAll(s.Dir) }
