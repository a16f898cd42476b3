package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// Reader reads objects.
type Reader interface {
	// Has reports whether the object is there.
	Has(id git.ObjectID) bool
	// Header returns an object's type and its size in bytes, without reading
	// its content. Errors: ErrNotFound and those of Read.
	Header(ctx context.Context, id git.ObjectID) (object.Type, int64, error)
	// Read returns an object's content, which must not be changed. Errors:
	// ErrNotFound, *TooLargeError, *UnavailableError, *CorruptPackError.
	Read(ctx context.Context, id git.ObjectID) (object.Type, []byte, error)
}

// Objects is an immutable set of packs, pinned so that they stay open. It may be
// used by many at the same time, until Release.
type Objects struct {
	store    *Store
	packs    []*Pack
	lastHit  atomic.Int64 // index of the pack where Find was lucky last
	released atomic.Bool
	only     func(git.ObjectID) bool // what may be found; nil: everything
}

var _ Reader = (*Objects)(nil)

// Release lets go of the packs. A second call does nothing.
func (o *Objects) Release() {
	if o.released.Swap(true) {
		return
	}
	for _, p := range o.packs {
		if p != nil {
			o.store.unpin(p)
		}
	}
}

// Again pins the same packs once more, for somebody who needs them for longer than the
// one who has pinned these, which must not have been released yet.
func (o *Objects) Again() *Objects {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	for _, p := range o.packs {
		p.pins++
	}
	return &Objects{store: o.store, packs: o.packs}
}

// Only is the same packs for somebody who must not find other objects than those that has
// reports, neither by their ids nor as bases of deltas that he sends. It is good until o is
// released.
func (o *Objects) Only(has func(git.ObjectID) bool) *Objects {
	some := &Objects{store: o.store, packs: o.packs, only: has}
	some.released.Store(true) // the pins are o's
	return some
}

// Packs returns the packs, in the order in which they were given.
func (o *Objects) Packs() []*Pack { return o.packs }

// Count is the sum of the objects of all packs. An object that is in two packs
// counts twice.
func (o *Objects) Count() int {
	n := 0
	for _, p := range o.packs {
		n += p.index.Len()
	}
	return n
}

// Find returns a pack that holds the object, and the object's position in its
// index.
func (o *Objects) Find(id git.ObjectID) (p *Pack, pos int, ok bool) {
	if o.only != nil && !o.only(id) {
		return nil, 0, false
	}
	last := int(o.lastHit.Load())
	if last < len(o.packs) {
		if pos, ok := o.packs[last].index.Find(id); ok {
			return o.packs[last], pos, true
		}
	}
	for i, p := range o.packs {
		if i == last {
			continue
		}
		if pos, ok := p.index.Find(id); ok {
			o.lastHit.Store(int64(i))
			return p, pos, true
		}
	}
	return nil, 0, false
}

// Has reports whether the object is in one of the packs.
func (o *Objects) Has(id git.ObjectID) bool {
	_, _, ok := o.Find(id)
	return ok
}

// WithPrefix returns up to limit different objects whose ids begin with the first
// digits hexadecimal digits of prefix.
func (o *Objects) WithPrefix(prefix git.ObjectID, digits, limit int) []git.ObjectID {
	var found []git.ObjectID
	seen := map[git.ObjectID]bool{}
	for _, p := range o.packs {
		from, to := p.index.WithPrefix(prefix, 4*digits)
		for pos := from; pos < to && len(found) < limit; pos++ {
			if id := p.index.ID(pos); !seen[id] {
				seen[id] = true
				found = append(found, id)
			}
		}
	}
	return found
}

// Header returns an object's type and size in bytes. See Reader.
func (o *Objects) Header(ctx context.Context, id git.ObjectID) (object.Type, int64, error) {
	p, pos, ok := o.Find(id)
	if !ok {
		return 0, 0, ErrNotFound
	}
	return p.header(ctx, p.index.Offset(pos))
}

// Read returns an object's content. See Reader.
func (o *Objects) Read(ctx context.Context, id git.ObjectID) (object.Type, []byte, error) {
	p, pos, ok := o.Find(id)
	if !ok {
		return 0, nil, ErrNotFound
	}
	max := o.store.config.Limits.MemoryObject
	t, data, err := p.read(ctx, p.index.Offset(pos), max)
	var over *pack.SizeError
	if !errors.As(err, &over) {
		return t, data, err
	}
	t, size, err := p.header(ctx, p.index.Offset(pos))
	if err != nil {
		return 0, nil, err
	}
	if size > max {
		return 0, nil, &TooLargeError{ID: id, Size: size}
	}
	// It fits, but what it is made from does not.
	b, err := p.readLarge(ctx, p.index.Offset(pos))
	if err != nil {
		return 0, nil, err
	}
	defer b.close()
	return t, b.data, b.toMemory(max)
}

// Open streams an object's content: from the pack if it is stored whole, else from
// memory, or from a file in the local home if it is too large for that. ctx must
// live for as long as the stream. Errors are those of Read but for *TooLargeError.
func (o *Objects) Open(ctx context.Context, id git.ObjectID) (object.Type, int64, io.ReadCloser, error) {
	p, pos, ok := o.Find(id)
	if !ok {
		return 0, 0, nil, ErrNotFound
	}
	e, err := p.Entry(ctx, pos)
	if err != nil {
		return 0, 0, nil, err
	}
	if !e.Kind.IsDelta() && e.Size > streamFrom {
		r, err := pack.NewStream(p.reader(ctx, e.DataOffset, e.End), e.Size)
		return e.Kind.Type(), e.Size, r, err
	}
	t, data, err := o.Read(ctx, id)
	var tooLarge *TooLargeError
	switch {
	case err == nil:
		return t, int64(len(data)), io.NopCloser(bytes.NewReader(data)), nil
	case !errors.As(err, &tooLarge):
		return 0, 0, nil, err
	}
	if t, _, err = p.header(ctx, e.Offset); err != nil {
		return 0, 0, nil, err
	}
	b, err := p.readLarge(ctx, e.Offset)
	if err != nil {
		return 0, 0, nil, err
	}
	return t, b.size, &bodyReader{b.reader(), &b}, nil
}

// streamFrom is the size in bytes from which an object stored whole is streamed.
const streamFrom = 1 << 20

// bodyReader reads a body and closes it.
type bodyReader struct {
	io.Reader
	body *body
}

func (r *bodyReader) Close() error {
	r.body.close()
	return nil
}
