package packer

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
	"github.com/annal-git/annal/gitfs/store"
)

const (
	aheadObjects = 16      // that may be deflated and not written yet
	aheadBytes   = 1 << 20 // larger objects are not made ahead of their turn
	aheadWorkers = 4       // at most, of one pack
)

// ahead deflates what has lost its base before its turn comes to be written, on the other
// processors. Who starts one stops it.
type ahead struct {
	source   *store.Pack
	list     []int // positions in the index, in the order in which they are taken
	results  []chan whole
	taken    int
	next     atomic.Int64
	slots    chan struct{} // one for each result on its way
	cancel   context.CancelFunc
	finished sync.WaitGroup
}

// whole is an object deflated as no delta.
type whole struct {
	kind     object.Type
	size     int64
	deflated *[]byte // nil if the object is too large to be made ahead
	err      error
}

var wholeBuffers = sync.Pool{New: func() any { return new([]byte) }}

func deflateAhead(ctx context.Context, source *store.Pack, list []int) *ahead {
	if len(list) == 1 { // its turn is now
		list = nil
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{source: source, list: list, slots: make(chan struct{}, aheadObjects), cancel: cancel}
	for range list {
		a.results = append(a.results, make(chan whole, 1))
	}
	for range min(aheadWorkers, runtime.GOMAXPROCS(0), len(list)) {
		a.finished.Go(func() { a.work(ctx) })
	}
	return a
}

func (a *ahead) work(ctx context.Context) {
	var scratch store.Scratch
	for {
		// The slot comes first: so whoever has one works at what is taken next.
		select {
		case a.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		i := int(a.next.Add(1)) - 1
		if i >= len(a.list) {
			return
		}
		a.results[i] <- deflate(ctx, a.source, a.list[i], &scratch)
	}
}

func deflate(ctx context.Context, source *store.Pack, pos int, scratch *store.Scratch) whole {
	kind, data, err := source.ReadAlone(ctx, pos, aheadBytes, scratch)
	var over *pack.SizeError
	if errors.As(err, &over) {
		return whole{}
	}
	if err != nil {
		return whole{err: err}
	}
	buffer := wholeBuffers.Get().(*[]byte)
	*buffer, err = pack.AppendDeflated((*buffer)[:0], data, level)
	return whole{kind, int64(len(data)), buffer, err}
}

// take waits for the object at a position of the index, if it is the one whose turn it is.
func (a *ahead) take(ctx context.Context, pos int) (w whole, ok bool) {
	if a.taken == len(a.list) || a.list[a.taken] != pos {
		return whole{}, false
	}
	select {
	case w = <-a.results[a.taken]: // somebody works at it, or is about to
	case <-ctx.Done():
		return whole{err: context.Cause(ctx)}, true
	}
	a.taken++
	<-a.slots
	return w, w.err != nil || w.deflated != nil
}

// stop waits for the workers to end.
func (a *ahead) stop() {
	a.cancel()
	a.finished.Wait()
}

// lost returns which of the entries have a base that is neither sent nor known.
func (p *packing) lost(source *store.Pack, entries []stored) (lost []int, err error) {
	for _, s := range entries {
		e, err := source.Entry(p.ctx, s.pos)
		if err != nil {
			return nil, err
		}
		if !e.Kind.IsDelta() {
			continue
		}
		id := e.BaseID
		if e.Kind == pack.OfsDelta {
			pos, _, ok := source.Index().PosAtOffset(e.BaseOffset)
			if !ok {
				continue // found to be corrupt in its turn
			}
			id = source.Index().ID(pos)
		}
		at, ok := p.places.Find(id)
		if !ok || p.Objects.HasAt(at) {
			continue
		}
		if known, err := p.known(at); err != nil {
			return nil, err
		} else if !known {
			lost = append(lost, s.pos)
		}
	}
	return lost, nil
}
