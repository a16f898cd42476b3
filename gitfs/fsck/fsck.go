// Package fsck compares what the log says of a repository with what lies on the shared
// home: every pack that is listed must be there and be what its name says, every object
// whole, every link and every ref must lead to an object.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/store"
)

// Finding is something that is not as it should be.
type Finding struct {
	Pack   git.ObjectID // zero if it is about a ref
	Ref    string
	Detail string
}

func (f Finding) String() string {
	if f.Ref != "" {
		return fmt.Sprintf("ref %s: %s", f.Ref, f.Detail)
	}
	return fmt.Sprintf("pack %s: %s", f.Pack, f.Detail)
}

// Checker checks repositories. Its store must have a local home of its own, which is
// empty: a copy of an index that another process keeps there says nothing about the
// shared home.
type Checker struct {
	Store    *store.Store
	Found    func(Finding)
	Progress func(done, total int64) // bytes of packs; may be nil
}

// unlimited are limits that no pack is refused by: it was received long ago.
var unlimited = store.Limits{
	PackBytes: 1 << 50, Objects: 1 << 31, ObjectBytes: 1 << 50, InflatedBytes: 1 << 60, DeltaDepth: 1 << 20, TreeDepth: 1 << 20, TagDepth: 1 << 20,
}

// Check checks one repository and tells all findings. The error is that of a check that
// could not be made.
func (c *Checker) Check(ctx context.Context, s *gitfs.Snapshot) error {
	var total, done int64
	for _, p := range s.Packs {
		total += p.Bytes
	}
	var readable []git.Pack
	for _, p := range s.Packs {
		objects, err := c.Store.Objects(ctx, s.Storage, []git.Pack{p})
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			c.Found(Finding{Pack: p.ID, Detail: "its index cannot be read: " + cause(err)})
			continue
		}
		objects.Release()
		readable = append(readable, p)
	}
	all, err := c.Store.Objects(ctx, s.Storage, readable)
	if err != nil {
		return err
	}
	defer all.Release()
	for _, p := range all.Packs() {
		if err := c.pack(ctx, s.Storage, all, p); err != nil {
			return err
		}
		if done += p.Bytes(); c.Progress != nil {
			c.Progress(done, total)
		}
	}
	for ref := range s.Refs.Prefixed("") {
		if !all.Has(ref.ID) {
			c.Found(Finding{Ref: ref.Name, Detail: fmt.Sprintf("object %s is in no pack", ref.ID)})
		}
	}
	return nil
}

// pack reads a pack as if somebody pushed it, which looks at everything, and compares the
// index that comes of it with the one that is there.
func (c *Checker) pack(ctx context.Context, storage string, all *store.Objects, p *store.Pack) error {
	reader, writer := io.Pipe()
	copied := make(chan error, 1)
	go func() { // ends when the pack is read or the reader closed
		err := p.CopyStored(ctx, writer, 0, p.Bytes())
		_ = writer.CloseWithError(err)
		copied <- err
	}()
	q, err := c.Store.Receive(ctx, storage, all, reader, store.ReceiveOptions{Limits: unlimited, ToEnd: true})
	_ = reader.Close()
	copyErr := <-copied
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var corrupt *store.CorruptPackError
	var unavailable *store.UnavailableError
	if errors.As(copyErr, &corrupt) || errors.As(copyErr, &unavailable) {
		err = copyErr
	}
	if err != nil {
		c.Found(Finding{Pack: p.ID(), Detail: cause(err)})
		return nil
	}
	defer func() { _ = q.Discard() }() // files of the local home
	c.compare(q, p)
	return nil
}

// compare says how what was read differs from what is registered and indexed.
func (c *Checker) compare(q *store.Quarantine, p *store.Pack) {
	switch info := q.Pack(); {
	case info.ID != p.ID():
		c.Found(Finding{Pack: p.ID(), Detail: fmt.Sprintf("it holds pack %s", info.ID)})
		return
	case info.Objects != int64(p.Index().Len()):
		c.Found(Finding{Pack: p.ID(), Detail: fmt.Sprintf("it has %d objects, its index %d", info.Objects, p.Index().Len())})
		return
	}
	ours, theirs := q.View().Packs()[0].Index(), p.Index()
	for pos := range ours.Len() {
		if ours.ID(pos) != theirs.ID(pos) || ours.Offset(pos) != theirs.Offset(pos) || ours.CRC(pos) != theirs.CRC(pos) || ours.ByOffset(pos) != theirs.ByOffset(pos) {
			c.Found(Finding{Pack: p.ID(), Detail: fmt.Sprintf("its index is wrong about object %s", ours.ID(pos))})
			return
		}
	}
}

// cause is an error with what is behind it: for operators, who may see paths.
func cause(err error) string {
	var unavailable *store.UnavailableError
	if errors.As(err, &unavailable) && unavailable.Err != nil {
		return unavailable.Err.Error()
	}
	return err.Error()
}
