package packer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/objectset"
	"github.com/annal-git/annal/gitfs/pack"
	"github.com/annal-git/annal/gitfs/store"
)

// Request says what goes into a pack, and what its reader understands.
type Request struct {
	Objects *objectset.Set
	// Known are objects that the reader has and deltas may be based on, which
	// makes the pack a thin one. Nil makes a pack that stands for itself.
	Known *objectset.Set
	// More, if set, is asked for more of them when a base is not among Known. It may
	// return nil.
	More func() (*objectset.Set, error)
	// OffsetDeltas allows bases to be named by their distance, which is shorter.
	OffsetDeltas bool
}

// Stats tells what was written.
type Stats struct {
	ID      git.ObjectID // checksum in the pack's trailer
	Objects int
	Bytes   int64
	Deltas  int // objects written as deltas
	Reused  int // objects copied as they are stored
}

// level is how hard what is deflated again is compressed: hardly, since it is done
// for one reader.
const level = 1

var errTooMany = errors.New("more objects than a pack can hold")

// Write writes a pack to w as fast as w takes it. The packs of objects are read in
// order, in stretches of up to 2 MiB.
func Write(ctx context.Context, w io.Writer, objects *store.Objects, r Request) (Stats, error) {
	if int64(r.Objects.Len()) > math.MaxUint32 {
		return Stats{}, errTooMany
	}
	pw, err := pack.NewWriter(w, uint32(r.Objects.Len()))
	if err != nil {
		return Stats{}, err
	}
	places := r.Objects.Places()
	p := packing{
		Request: r, ctx: ctx, objects: objects, places: places, out: pw,
		written: make([]placement, len(places.Packs())),
		hoisted: map[objectset.Place]int64{},
	}
	for rank := range places.Packs() {
		if r.Objects.LenIn(rank) == 0 {
			continue
		}
		if err := p.copyPack(rank); err != nil {
			return Stats{}, fmt.Errorf("copy from pack %s: %w", places.Packs()[rank].ID(), err)
		}
	}
	if p.stats.ID, err = pw.Close(); err != nil {
		return Stats{}, err
	}
	p.stats.Bytes = pw.Offset()
	p.stats.Objects = r.Objects.Len()
	return p.stats, nil
}

// packing is a pack being written.
type packing struct {
	Request
	ctx     context.Context // of the one call of Write
	objects *store.Objects
	places  *objectset.Places
	out     *pack.Writer
	written []placement               // by rank of the pack
	hoisted map[objectset.Place]int64 // bases written before their turn, and where
	more    *objectset.Set            // what More has returned

	upcoming []stored // from the batch that is being written on
	ahead    *ahead   // nil until something has lost its base
	stats    Stats
}

// known reports whether the reader has an object.
func (p *packing) known(at objectset.Place) (bool, error) {
	if p.Known == nil {
		return false, nil
	}
	if p.Known.HasAt(at) {
		return true, nil
	}
	if p.More != nil {
		var err error
		if p.more, err = p.More(); err != nil {
			return false, err
		}
		p.More = nil
	}
	return p.more != nil && p.more.HasAt(at), nil
}

// base returns where in the output the object at a place has been written.
func (p *packing) base(at objectset.Place) (offset int64, ok bool) {
	if offset, ok := p.hoisted[at]; ok {
		return offset, true
	}
	return p.written[at.Pack].find(p.places.Packs()[at.Pack].Index().Offset(at.Pos))
}

// placement maps offsets in a stored pack to offsets in the output. Entries that
// follow each other in both are one run.
type placement struct{ runs []run }

type run struct{ from, to, shift int64 } // stored offsets [from, to), output = stored + shift

func (p *placement) add(from, to, output int64) {
	shift := output - from
	if n := len(p.runs); n > 0 && p.runs[n-1].to == from && p.runs[n-1].shift == shift {
		p.runs[n-1].to = to
		return
	}
	p.runs = append(p.runs, run{from, to, shift})
}

func (p *placement) find(offset int64) (int64, bool) {
	lo, hi := 0, len(p.runs)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch r := p.runs[mid]; {
		case offset < r.from:
			hi = mid
		case offset >= r.to:
			lo = mid + 1
		default:
			return offset + r.shift, true
		}
	}
	return 0, false
}
