package packer

import (
	"github.com/annal-git/annal/gitfs/objectset"
	"github.com/annal-git/annal/gitfs/pack"
	"github.com/annal-git/annal/gitfs/store"
)

// plan is how an entry is written.
type plan struct {
	whole bool       // deflated again, as no delta
	entry pack.Entry // else: its header in the output
}

// verbatim reports whether the entry at the target needs no other header.
func (p plan) verbatim(stored pack.Entry, target int64) bool {
	if p.whole || p.entry.Kind != stored.Kind {
		return false
	}
	switch stored.Kind {
	case pack.OfsDelta:
		return target-p.entry.BaseOffset == stored.Offset-stored.BaseOffset
	case pack.RefDelta:
		return p.entry.BaseID == stored.BaseID
	}
	return true
}

// plan decides how an entry is written. A base that has not gone out yet is, if it
// is no delta itself, written first; flush sends what has to go before it.
func (p *packing) plan(rank int, source *store.Pack, e pack.Entry, flush func() error) (plan, error) {
	if !e.Kind.IsDelta() {
		return plan{entry: e}, nil
	}
	if e.Kind == pack.OfsDelta && p.OffsetDeltas {
		// The common case: the base is in the same pack and went out from there.
		if offset, ok := p.written[rank].find(e.BaseOffset); ok {
			return plan{entry: pack.Entry{Kind: pack.OfsDelta, Size: e.Size, BaseOffset: offset}}, nil
		}
	}
	id := e.BaseID
	if e.Kind == pack.OfsDelta {
		pos, _, ok := source.Index().PosAtOffset(e.BaseOffset)
		if !ok {
			return plan{}, &store.CorruptPackError{Reason: "a delta has no base"}
		}
		id = source.Index().ID(pos)
	}
	at, ok := p.places.Find(id)
	if !ok {
		return plan{}, &store.CorruptPackError{Reason: "a delta has no base"}
	}
	reference := plan{entry: pack.Entry{Kind: pack.RefDelta, Size: e.Size, BaseID: id}}
	switch {
	case !p.Objects.HasAt(at):
		if known, err := p.known(at); known || err != nil {
			return reference, err
		}
		return plan{whole: true}, nil
	default:
		offset, ok := p.base(at)
		if !ok {
			var err error
			if offset, ok, err = p.hoist(at, flush); err != nil {
				return plan{}, err
			}
		}
		switch {
		case !ok:
			return plan{whole: true}, nil
		case !p.OffsetDeltas:
			return reference, nil
		}
		return plan{entry: pack.Entry{Kind: pack.OfsDelta, Size: e.Size, BaseOffset: offset}}, nil
	}
}

// hoist writes a base before its turn, if it is stored whole.
func (p *packing) hoist(at objectset.Place, flush func() error) (offset int64, ok bool, err error) {
	source := p.places.Packs()[at.Pack]
	e, err := source.Entry(p.ctx, at.Pos)
	if err != nil || e.Kind.IsDelta() {
		return 0, false, err
	}
	if err := flush(); err != nil {
		return 0, false, err
	}
	offset = p.out.Offset()
	if err := p.out.WriteHeader(e); err != nil {
		return 0, false, err
	}
	if err := source.CopyStored(p.ctx, p.out, e.DataOffset, e.End); err != nil {
		return 0, false, err
	}
	p.hoisted[at] = offset
	p.count(false, true)
	return offset, true, nil
}
