package store

import (
	"context"
	"slices"

	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// Scratch is memory that many reads use in turn. The zero value is ready. It is not safe for
// concurrent use.
type Scratch struct{ object, base, delta []byte }

// ReadAlone returns the content of the object at a position of the pack's index. It is meant
// for those who read many objects that have no bases in common: a cache keeps the object, which
// is asked for again when the same files are sent after the next push, but nothing of what it
// is made from. The content is good until scratch is used again, and must not be changed.
// Errors are those of Objects.Read, but *pack.SizeError if the object, or one that it is made
// from, is larger than max bytes.
func (p *Pack) ReadAlone(ctx context.Context, pos int, max int64, scratch *Scratch) (object.Type, []byte, error) {
	kind, data, cached, chain, err := p.root(ctx, p.index.Offset(pos), max)
	if err != nil {
		return 0, nil, err
	}
	if cached && len(chain) == 0 {
		return kind, data, nil
	}
	if !cached {
		last := chain[len(chain)-1]
		chain = chain[:len(chain)-1]
		if data, err = p.inflateInto(ctx, &scratch.object, last); err != nil {
			return 0, nil, err
		}
	}
	for i := len(chain) - 1; i >= 0; i-- {
		delta, err := p.inflateInto(ctx, &scratch.delta, chain[i])
		if err != nil {
			return 0, nil, err
		}
		made, err := pack.ApplyDeltaInto(scratch.base, data, delta, max)
		if err != nil {
			return 0, nil, err
		}
		// What was made is the next one's base, whose memory then becomes free.
		scratch.base, scratch.object = scratch.object, made
		data = made
	}
	p.store.bases.put(baseKey{p.key, p.index.Offset(pos)}, kind, slices.Clone(data))
	return kind, data, nil
}

// root follows a chain of deltas to an object that is cached, or else to one stored whole,
// whose entry is the last of the chain.
func (p *Pack) root(ctx context.Context, offset, max int64) (kind object.Type, data []byte, cached bool, chain []pack.Entry, err error) {
	chain = make([]pack.Entry, 0, 16)
	for {
		if kind, data, ok := p.store.bases.get(baseKey{p.key, offset}); ok {
			return kind, data, true, chain, nil
		}
		e, err := p.entryAt(ctx, offset)
		switch {
		case err != nil:
			return 0, nil, false, nil, err
		case e.Size > max:
			return 0, nil, false, nil, &pack.SizeError{Size: e.Size, Max: max}
		case len(chain) == maxChain:
			return 0, nil, false, nil, errChain
		}
		chain = append(chain, e)
		if !e.Kind.IsDelta() {
			return e.Kind.Type(), nil, false, chain, nil
		}
		if offset, err = p.baseOffset(e); err != nil {
			return 0, nil, false, nil, err
		}
	}
}

// inflateInto inflates an entry into memory that is used again.
func (p *Pack) inflateInto(ctx context.Context, memory *[]byte, e pack.Entry) ([]byte, error) {
	stored, err := p.ReadStored(ctx, e.DataOffset, e.End-e.DataOffset)
	if err != nil {
		return nil, err
	}
	if int64(cap(*memory)) < e.Size {
		*memory = make([]byte, e.Size+e.Size/4)
	}
	data := (*memory)[:e.Size]
	return data, pack.InflateInto(data, stored)
}
