package store

import (
	"bytes"
	"context"
	"errors"
	"io"
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

// localFile maps a copy. Copies are not synced when they are made; so a crash may
// have left one that is not whole, and each is checked before its use.
func (p *Pack) localFile(ctx context.Context, suffix string) ([]byte, error) {
	dir := filepath.Join(p.store.config.LocalHome, localIndexes, p.storage)
	file := packFile(p.info.ID, suffix)
	name := filepath.Join(dir, file)
	if data, err := p.mapChecked(name); err == nil {
		return data, nil
	}
	content, err := p.readIndex(ctx, suffix)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if err := writeLocal(dir, file, content); err != nil {
		return nil, err
	}
	return p.mapChecked(name)
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
	defer f.Close()
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

// mapChecked maps a file of the local home into memory, if it is whole.
func (p *Pack) mapChecked(name string) ([]byte, error) {
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
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	if err := pack.CheckIndex(data, p.info.ID); err != nil {
		return nil, errors.Join(err, unix.Munmap(data))
	}
	return data, nil
}
