package store

import (
	"context"
	"errors"
	"io"

	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// maxChain is more deltas than any object of a registered pack is built from.
const maxChain = 10_000

var errChain = &CorruptPackError{Reason: "an object is built from too many deltas"}

// read returns the object whose entry starts at offset, through the cache of
// bases. It holds no more than three objects at a time; none of them may be larger
// than max bytes, else it returns *pack.SizeError.
func (p *Pack) read(ctx context.Context, offset, max int64) (object.Type, []byte, error) {
	var chain []pack.Entry // deltas still to be applied, the outermost first
	var t object.Type
	var data []byte
	for {
		if cachedType, cached, ok := p.store.bases.get(baseKey{p.key, offset}); ok {
			t, data = cachedType, cached
			break
		}
		e, err := p.entryAt(ctx, offset)
		if err != nil {
			return 0, nil, err
		}
		if e.Size > max {
			return 0, nil, &pack.SizeError{Size: e.Size, Max: max}
		}
		if !e.Kind.IsDelta() {
			if data, err = p.inflate(ctx, e); err != nil {
				return 0, nil, err
			}
			t = e.Kind.Type()
			p.store.bases.put(baseKey{p.key, offset}, t, data)
			break
		}
		if len(chain) == maxChain {
			return 0, nil, errChain
		}
		chain = append(chain, e)
		if offset, err = p.baseOffset(e); err != nil {
			return 0, nil, err
		}
	}
	for i := len(chain) - 1; i >= 0; i-- {
		delta, err := p.inflate(ctx, chain[i])
		if err != nil {
			return 0, nil, err
		}
		if data, err = pack.ApplyDelta(data, delta, max); err != nil {
			return 0, nil, err
		}
		p.store.bases.put(baseKey{p.key, chain[i].Offset}, t, data)
	}
	return t, data, nil
}

func (p *Pack) inflate(ctx context.Context, e pack.Entry) ([]byte, error) {
	stored, err := p.ReadStored(ctx, e.DataOffset, e.End-e.DataOffset)
	if err != nil {
		return nil, err
	}
	return pack.Inflate(stored, e.Size)
}

// header returns the type and size of the object whose entry starts at offset. Of
// a delta only the first bytes are read, which say how large the result is; its
// type is that of the last base.
func (p *Pack) header(ctx context.Context, offset int64) (object.Type, int64, error) {
	if t, data, ok := p.store.bases.get(baseKey{p.key, offset}); ok {
		return t, int64(len(data)), nil
	}
	e, err := p.entryAt(ctx, offset)
	if err != nil {
		return 0, 0, err
	}
	size := e.Size
	if e.Kind.IsDelta() {
		if size, err = p.resultSize(ctx, e); err != nil {
			return 0, 0, err
		}
	}
	for n := 0; e.Kind.IsDelta(); n++ {
		if n == maxChain {
			return 0, 0, errChain
		}
		base, err := p.baseOffset(e)
		if err != nil {
			return 0, 0, err
		}
		if t, _, ok := p.store.bases.get(baseKey{p.key, base}); ok {
			return t, size, nil
		}
		if e, err = p.entryAt(ctx, base); err != nil {
			return 0, 0, err
		}
	}
	return e.Kind.Type(), size, nil
}

// resultSize reads how large the object becomes that a delta makes.
func (p *Pack) resultSize(ctx context.Context, e pack.Entry) (int64, error) {
	stored := e.End - e.DataOffset
	for n := min(stored, 512); ; n = stored {
		start, err := p.ReadStored(ctx, e.DataOffset, n)
		if err != nil {
			return 0, err
		}
		sizes, err := pack.InflatePrefix(start, pack.MaxDeltaHeader)
		if err != nil {
			return 0, err
		}
		_, size, _, err := pack.ParseDeltaHeader(sizes)
		if err == nil || n == stored {
			return size, err
		}
	}
}

// readLarge makes an object that, or whose bases, memory may not hold, in files of
// the local home.
func (p *Pack) readLarge(ctx context.Context, offset int64) (b body, err error) {
	var chain []pack.Entry
	e, err := p.entryAt(ctx, offset)
	for err == nil && e.Kind.IsDelta() {
		if len(chain) == maxChain {
			return body{}, errChain
		}
		chain = append(chain, e)
		if offset, err = p.baseOffset(e); err == nil {
			e, err = p.entryAt(ctx, offset)
		}
	}
	if err != nil {
		return body{}, err
	}
	scratch := p.store.newScratch()
	defer func() { err = errors.Join(err, scratch.remove()) }() // the file lives on without its name
	f, err := scratch.anonymous()
	if err != nil {
		return body{}, err
	}
	b = body{file: f, size: e.Size}
	r, err := pack.NewStream(p.reader(ctx, e.DataOffset, e.End), e.Size)
	if err == nil {
		_, err = io.Copy(f, r)
	}
	for i := len(chain) - 1; i >= 0 && err == nil; i-- {
		base, e := b, chain[i]
		b, err = patch(scratch, &base, p.reader(ctx, e.DataOffset, e.End), e.Size, func(size int64) error {
			if size > p.store.config.Limits.ObjectBytes {
				return &LimitError{What: "size of an object", Limit: p.store.config.Limits.ObjectBytes, Unit: "bytes"}
			}
			return nil
		})
		base.close()
	}
	if err != nil {
		b.close()
	}
	return b, err
}
