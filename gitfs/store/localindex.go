package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/annal-git/annal/gitfs/pack"
)

// localIndex maps the .idx and .rev files of a pack from the local home, where
// they are copied first if need be.
func (p *Pack) localIndex(ctx context.Context) (idx, rev []byte, unmap func() error, err error) {
	idx, err = p.localFile(ctx, "idx")
	if err != nil {
		return nil, nil, nil, err
	}
	rev, err = p.localFile(ctx, "rev")
	if err != nil {
		return nil, nil, nil, errors.Join(err, unix.Munmap(idx))
	}
	return idx, rev, func() error { return errors.Join(unix.Munmap(idx), unix.Munmap(rev)) }, nil
}

func (p *Pack) localFile(ctx context.Context, suffix string) ([]byte, error) {
	dir := filepath.Join(p.store.config.LocalHome, localIndexes, p.storage)
	name := filepath.Join(dir, packFile(p.info.ID, suffix))
	data, err := mapFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if err := p.copyIndex(ctx, suffix, dir, name); err != nil {
		return nil, err
	}
	return mapFile(name)
}

// copyIndex copies a file of the shared home and gives it its name once it is
// known to be whole, for it will never be checked again.
func (p *Pack) copyIndex(ctx context.Context, suffix, dir, name string) (err error) {
	from, err := p.openShared(ctx, suffix)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, "copy-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(to.Name())
		}
	}()
	copyErr := p.store.readShared(ctx, func() error {
		_, err := io.Copy(to, io.NewSectionReader(from, 0, maxIndexBytes))
		return err
	})
	// A crash must not leave a name on blocks that were never written.
	if err := errors.Join(copyErr, to.Sync(), to.Close()); err != nil {
		return &UnavailableError{Pack: p.info.ID, Err: err}
	}
	data, err := mapFile(to.Name())
	if err != nil {
		return err
	}
	if err := errors.Join(pack.CheckIndex(data, p.info.ID), unix.Munmap(data)); err != nil {
		return err
	}
	return os.Rename(to.Name(), name)
}

// maxIndexBytes is more than the index of any pack can have.
const maxIndexBytes = 256 << 30

// mapFile maps a file of the local home into memory.
func mapFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, &CorruptPackError{Reason: "its index is empty"}
	}
	return unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
}
