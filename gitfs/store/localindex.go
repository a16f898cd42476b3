package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pack"
)

// localIndex reads the .idx and .rev files of a pack from the local home, where
// they are copied first if need be. release lets go of them.
func (p *Pack) localIndex(ctx context.Context) (idx, rev localFile, err error) {
	if idx, err = p.localFile(ctx, "idx"); err != nil {
		return localFile{}, localFile{}, err
	}
	if p.info.Objects < reverseFrom {
		return idx, localFile{}, nil
	}
	if rev, err = p.localFile(ctx, "rev"); err != nil {
		return localFile{}, localFile{}, errors.Join(err, idx.release())
	}
	return idx, rev, nil
}

// errNotSmall says that a pack must have an index of its own.
var errNotSmall = errors.New("store: the pack is not small")

// ownIndex makes the index of a small pack from the pack.
func (p *Pack) ownIndex(ctx context.Context) (idx []byte, err error) {
	if p.info.Bytes > smallPack {
		return nil, errNotSmall
	}
	content, err := p.block(ctx, 0)
	if err != nil {
		return nil, err
	}
	idx, err = pack.MakeIndex(content, smallObjects)
	var large *pack.SizeError
	if errors.As(err, &large) {
		return nil, errNotSmall
	}
	return idx, err
}

// localFile is the content of a file of the local home: small ones in memory, for
// a process cannot map very many files, and large ones mapped.
type localFile struct {
	content []byte
	mapped  bool
}

// mapFrom is the size in bytes from which files are mapped.
const mapFrom = 64 << 10

func (f localFile) release() error {
	if !f.mapped {
		return nil
	}
	return unix.Munmap(f.content)
}

// localFile opens a copy. Copies are not synced when they are made; so a crash may
// have left one that is not whole, and each is checked before its use.
func (p *Pack) localFile(ctx context.Context, suffix string) (localFile, error) {
	dir := filepath.Join(p.store.config.LocalHome, localIndexes, p.storage)
	file := packFile(p.info.ID, suffix)
	name := filepath.Join(dir, file)
	if f, err := p.openChecked(name); err == nil {
		return f, nil
	}
	content, err := p.readIndex(ctx, suffix)
	if err != nil {
		return localFile{}, err
	}
	err = os.MkdirAll(dir, 0o777)
	if err == nil {
		err = writeLocal(dir, file, content)
	}
	switch {
	case err == nil:
		return p.openChecked(name)
	case len(content) < mapFrom: // it would be in memory anyway, so a full disk does no harm
		return localFile{content: content}, nil
	}
	return localFile{}, err
}

// readIndex reads a file of the shared home whole. When it goes stale between open
// and read, it is opened again, once.
func (p *Pack) readIndex(ctx context.Context, suffix string) ([]byte, error) {
	content, err := p.readIndexOnce(ctx, suffix)
	if isGone(err) {
		content, err = p.readIndexOnce(ctx, suffix)
	}
	if err != nil {
		return nil, p.unavailable(err)
	}
	return content, pack.CheckIndex(content, p.info.ID)
}

func (p *Pack) readIndexOnce(ctx context.Context, suffix string) ([]byte, error) {
	f, err := p.openShared(ctx, suffix)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var content bytes.Buffer
	err = p.store.useShared(ctx, func() error {
		_, err := content.ReadFrom(io.NewSectionReader(f, 0, pack.MaxIndexBytes(p.info.Objects)))
		return err
	})
	return content.Bytes(), err
}

// writeLocal writes a file of the local home so that its name appears at once with
// all of its content.
func writeLocal(dir, name string, content []byte) (err error) {
	f, err := os.CreateTemp(dir, "copy-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, name))
}

// forgetIndex removes the copies of a pack's indexes that nobody will ask for again.
func (s *Store) forgetIndex(storage string, id git.ObjectID) {
	for _, suffix := range []string{"idx", "rev", "graph"} {
		_ = os.Remove(filepath.Join(s.config.LocalHome, localIndexes, storage, packFile(id, suffix))) // else they stay until the home is emptied
	}
}

// openChecked opens a file of the local home, if it is whole.
func (p *Pack) openChecked(name string) (localFile, error) {
	f, err := openLocal(name)
	if err != nil {
		return localFile{}, err
	}
	if err := pack.CheckIndex(f.content, p.info.ID); err != nil {
		return localFile{}, errors.Join(err, f.release())
	}
	return f, nil
}

func openLocal(name string) (localFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return localFile{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return localFile{}, err
	}
	if info.Size() < mapFrom {
		content, err := io.ReadAll(f)
		return localFile{content: content}, err
	}
	content, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	return localFile{content: content, mapped: true}, err
}
