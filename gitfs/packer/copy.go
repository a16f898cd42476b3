package packer

import (
	"cmp"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"slices"

	"github.com/annal-git/annal/gitfs/objectset"
	"github.com/annal-git/annal/gitfs/pack"
	"github.com/annal-git/annal/gitfs/store"
)

const (
	windowSize = 2 << 20  // bytes of a stored pack read at once
	windowGap  = 64 << 10 // bytes not needed that are read rather than skipped
	stretchLen = 4096     // entries among which is looked for what can be deflated ahead
)

// stored is an entry of a pack: its position in the index and where it lies.
type stored struct {
	pos      int
	from, to int64
}

// copyPack writes the objects that lie in one pack, in the order in which they lie
// there.
func (p *packing) copyPack(rank int) error {
	stretch := make([]stored, 0, min(stretchLen, p.Objects.LenIn(rank)))
	for s := range p.selected(rank) {
		if len(stretch) == stretchLen {
			if err := p.copyStretch(rank, stretch); err != nil {
				return err
			}
			stretch = stretch[:0]
		}
		stretch = append(stretch, s)
	}
	return p.copyStretch(rank, stretch)
}

// copyStretch writes entries that follow each other, each lot that lies close together from
// one window.
func (p *packing) copyStretch(rank int, entries []stored) error {
	defer func() {
		if p.ahead != nil {
			p.ahead.stop()
			p.ahead = nil
		}
	}()
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && entries[n].from-entries[n-1].to <= windowGap && entries[n].to-entries[0].from <= windowSize {
			n++
		}
		p.upcoming = entries
		if err := p.copyBatch(rank, p.places.Packs()[rank], entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// selected yields the entries of a pack that are to be written, as they lie.
func (p *packing) selected(rank int) iter.Seq[stored] {
	source := p.places.Packs()[rank]
	index := source.Index()
	end := source.Bytes() - pack.TrailerSize
	next := func(n int) int64 {
		if n+1 < index.Len() {
			return index.Offset(index.ByOffset(n + 1))
		}
		return end
	}
	const sparse = 16 // so few of the entries that sorting them is less work than passing all
	if p.Objects.LenIn(rank) > index.Len()/sparse {
		return func(yield func(stored) bool) {
			from := int64(pack.HeaderSize)
			for n := range index.Len() {
				pos, to := index.ByOffset(n), next(n)
				if p.Objects.HasAt(objectset.Place{Pack: rank, Pos: pos}) && !yield(stored{pos, from, to}) {
					return
				}
				from = to
			}
		}
	}
	return func(yield func(stored) bool) {
		entries := make([]stored, 0, p.Objects.LenIn(rank))
		for pos := range p.Objects.In(rank) {
			entries = append(entries, stored{pos: pos, from: index.Offset(pos)})
		}
		slices.SortFunc(entries, func(a, b stored) int { return cmp.Compare(a.from, b.from) })
		for _, s := range entries {
			_, n, ok := index.PosAtOffset(s.from)
			if !ok {
				s.to = s.from // found to be corrupt when it is read
			} else {
				s.to = next(n)
			}
			if !yield(s) {
				return
			}
		}
	}
}

// copyBatch writes entries that lie close together.
func (p *packing) copyBatch(rank int, source *store.Pack, batch []stored) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	start, end := batch[0].from, batch[len(batch)-1].to
	if end-start > windowSize {
		return p.copyLarge(rank, source, batch[0])
	}
	window, err := source.ReadStored(p.ctx, start, end-start)
	if err != nil {
		return err
	}
	var run struct{ from, to int64 } // entries that go out as they are
	flush := func() error {
		_, err := p.out.Write(window[run.from-start : run.to-start])
		run.from = run.to
		return err
	}
	run.from, run.to = start, start
	for _, s := range batch {
		raw := window[s.from-start : s.to-start]
		if crc32.ChecksumIEEE(raw) != source.Index().CRC(s.pos) {
			return &store.CorruptPackError{Reason: "an entry does not match its checksum"}
		}
		entry, err := pack.ParseEntry(raw, s.from)
		if err != nil {
			return err
		}
		if _, done := p.hoisted[objectset.Place{Pack: rank, Pos: s.pos}]; done {
			continue
		}
		plan, err := p.plan(rank, source, entry, flush)
		if err != nil {
			return err
		}
		target := p.out.Offset() + run.to - run.from
		p.written[rank].add(s.from, s.to, target)
		if plan.verbatim(entry, target) {
			if err := p.out.BeginEntries(1); err != nil {
				return err
			}
			if run.to != s.from {
				if err := flush(); err != nil {
					return err
				}
				run.from = s.from
			}
			run.to = s.to
			p.count(entry.Kind.IsDelta(), true)
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if err := p.writeAs(source, s, plan, raw[entry.DataOffset-s.from:]); err != nil {
			return err
		}
	}
	return flush()
}

// copyLarge writes an entry that is too long to be held.
func (p *packing) copyLarge(rank int, source *store.Pack, s stored) error {
	head, err := source.ReadStored(p.ctx, s.from, min(pack.MaxEntryHeader, s.to-s.from))
	if err != nil {
		return err
	}
	entry, err := pack.ParseEntry(head, s.from)
	if err != nil {
		return err
	}
	if _, done := p.hoisted[objectset.Place{Pack: rank, Pos: s.pos}]; done {
		return nil
	}
	plan, err := p.plan(rank, source, entry, func() error { return nil })
	if err != nil {
		return err
	}
	p.written[rank].add(s.from, s.to, p.out.Offset())
	if plan.whole {
		return p.writeAs(source, s, plan, nil)
	}
	sum := crc32.NewIEEE()
	_, _ = sum.Write(head[:entry.DataOffset-s.from]) // never fails
	if err := p.out.WriteHeader(plan.entry); err != nil {
		return err
	}
	if err := source.CopyStored(p.ctx, io.MultiWriter(p.out, sum), entry.DataOffset, s.to); err != nil {
		return err
	}
	if sum.Sum32() != source.Index().CRC(s.pos) {
		return &store.CorruptPackError{Reason: "an entry does not match its checksum"}
	}
	p.count(plan.entry.Kind.IsDelta(), true)
	return nil
}

// writeAs writes one entry according to plan, from its zlib stream.
func (p *packing) writeAs(source *store.Pack, s stored, plan plan, deflated []byte) error {
	if !plan.whole {
		p.count(true, true)
		return p.out.WriteStored(plan.entry, deflated)
	}
	p.count(false, false)
	if p.ahead == nil {
		// Where one has lost its base, others have as well.
		n := slices.IndexFunc(p.upcoming, func(u stored) bool { return u.pos == s.pos })
		lost, err := p.lost(source, p.upcoming[n:])
		if err != nil {
			return err
		}
		p.ahead = deflateAhead(p.ctx, source, lost)
	}
	if made, ok := p.ahead.take(p.ctx, s.pos); made.err != nil {
		return made.err
	} else if ok {
		defer wholeBuffers.Put(made.deflated)
		return p.out.WriteStored(pack.Entry{Kind: pack.Kind(made.kind), Size: made.size}, *made.deflated)
	}
	t, size, r, err := p.objects.Open(p.ctx, source.Index().ID(s.pos))
	if err != nil {
		return err
	}
	return errors.Join(p.out.WriteStream(t, size, r, level), r.Close())
}

func (p *packing) count(delta, reused bool) {
	if delta {
		p.stats.Deltas++
	}
	if reused {
		p.stats.Reused++
	}
}
