package maintenance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/nativegit"
)

// scratch is a bare repository in the local home that native git works in.
type scratch struct {
	config *Config
	dir    string
}

const scratchConfig = `[core]
	repositoryformatversion = 0
	bare = true
	filemode = false
	logAllRefUpdates = false
[gc]
	auto = 0
[pack]
	threads = 1
	windowMemory = 256m
	deltaCacheSize = 64m
	writeReverseIndex = true
	writeBitmapHashCache = true
`

// newScratch makes a repository without objects and refs.
func (m *Maintainer) newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp(m.config.Dir, "scratch-")
	if err != nil {
		return nil, err
	}
	s := &scratch{config: &m.config, dir: dir}
	for _, folder := range []string{"objects/pack", "objects/info", "refs", "out"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(folder)), 0o700); err != nil {
			return nil, errors.Join(err, s.remove())
		}
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "config"), []byte(scratchConfig), 0o600),
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o600),
	); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *scratch) remove() error { return os.RemoveAll(s.dir) }

func (s *scratch) packFolder() string { return filepath.Join(s.dir, "objects", "pack") }

// link makes a file visible to git as part of a pack of the scratch repository.
func (s *scratch) link(file string) error {
	return os.Symlink(file, filepath.Join(s.packFolder(), filepath.Base(file)))
}

// writeRefs makes refs, which come sorted by name and, except those of keep, are none of
// them below refs/keep/.
func (s *scratch) writeRefs(refs []git.Ref) error {
	f, err := os.Create(filepath.Join(s.dir, "packed-refs"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, _ = w.WriteString("# pack-refs with: sorted \n")
	for _, ref := range refs {
		_, _ = fmt.Fprintf(w, "%s %s\n", ref.ID, ref.Name) // the writer keeps its error
	}
	return errors.Join(w.Flush(), f.Close())
}

// git runs native git in the scratch repository and returns what it prints.
func (s *scratch) git(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	git := nativegit.Runner{Program: s.config.Git, Timeout: s.config.Timeout, Memory: s.config.Memory, Output: 1 << 30, Patient: true}
	out, err := git.Run(ctx, s.dir, stdin, args...)
	return out.Text, err
}
