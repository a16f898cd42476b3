package store

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/faultpoint"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// ReceiveOptions are the circumstances of one push.
type ReceiveOptions struct {
	// Limits of this push. Zero fields take those of the store.
	Limits Limits

	// Progress is told, now and then and by one goroutine at a time, how many
	// objects of how many a phase ("receiving", "resolving") has done.
	Progress func(phase string, done, total int64)

	// ToEnd says that nothing may follow the pack: the stream is read to its
	// end. Else nothing is read beyond what came together with the pack's last
	// bytes, since a peer may wait for an answer.
	ToEnd bool

	// Inspector, if set, is shown the commits and blobs of the pack.
	Inspector Inspector
}

// Receive reads a pack that somebody pushes, into quarantine, and checks it whole:
// format, checksum, limits, the ids of objects and what git fsck would say of
// them, and that everything they link to is there. base is what the repository
// has, nil if that is nothing; deltas may be based on it. It must stay pinned for
// as long as the Quarantine is used.
//
// Memory does not grow with the contents of the pack, only with the number of its
// objects. Errors for the one who pushes are *CorruptPackError, *LimitError,
// *MissingError, *object.CheckError and object.ErrCollision; after any error
// nothing is left.
func (s *Store) Receive(ctx context.Context, storage string, base *Objects, r io.Reader, opts ReceiveOptions) (_ *Quarantine, err error) {
	if err := checkStorage(storage); err != nil {
		return nil, err
	}
	q := s.newQuarantine(storage, base)
	defer func() {
		if err != nil {
			_ = q.Discard()
		}
	}()
	rc := &receiver{
		q: q, ctx: ctx, limits: opts.Limits.withDefaults(s.config.Limits),
		progress: progress{report: opts.Progress}, inspector: opts.Inspector,
	}
	if err := rc.read(r, opts.ToEnd); err != nil {
		return nil, err
	}
	faultpoint.Reach(QuarantineReceived)
	if len(rc.table.entries) == 0 {
		return q, nil
	}
	if err := rc.resolve(); err != nil {
		return nil, err
	}
	if err := rc.complete(); err != nil {
		return nil, err
	}
	if err := q.index(&rc.table, rc.id, rc.inflated); err != nil {
		return nil, err
	}
	if err := rc.checkSpecialFiles(); err != nil {
		return nil, err
	}
	faultpoint.Reach(QuarantineIndexed)
	return q, nil
}

// receiver is one Receive under way.
type receiver struct {
	q        *Quarantine
	ctx      context.Context // of the call to Receive
	limits   Limits
	table    table
	links    *connectivity
	resolver *resolver
	id       git.ObjectID // of the pack, as it will be stored
	progress progress
	inflated int64 // bytes of all objects

	inspector Inspector // nil if nobody looks
}

// read is the first pass: it takes the stream apart while it arrives. Objects that
// are whole and not too large to be looked at in passing are checked at once.
func (rc *receiver) read(r io.Reader, toEnd bool) error {
	tools := passTools.Get().(*passTool)
	defer tools.putBack()
	in := tools.input.begin(r, &rc.q.spool, sha1.New(), rc.limits.PackBytes)
	header := make([]byte, pack.HeaderSize)
	if _, err := io.ReadFull(in, header); err != nil {
		return err
	}
	count, err := pack.ParseHeader(header)
	if err != nil {
		return err
	}
	if int64(count) > rc.limits.Objects {
		return &LimitError{What: "number of objects in the pack", Limit: rc.limits.Objects, Unit: "objects"}
	}
	rc.links = newConnectivity(&rc.table, rc.q.base, int(count), rc.limits)
	rc.resolver = &resolver{
		store: rc.q.store, table: &rc.table, links: rc.links, base: rc.q.base,
		spool: &rc.q.spool, scratch: rc.q.scratch, limits: rc.limits, done: rc.progress.step, inspector: rc.inspector,
	}
	pass := &firstPass{receiver: rc, passTool: tools, in: in, cache: newLinkCache(min(int(count), passingCache))}
	rc.progress.begin("receiving", int64(count))
	for range count {
		if err := context.Cause(rc.ctx); err != nil {
			return err
		}
		if err := pass.entry(); err != nil {
			return err
		}
		rc.progress.step()
	}
	rc.progress.end()
	return in.trailer(toEnd)
}

// firstPass is what the first pass over a pack needs.
type firstPass struct {
	*receiver
	*passTool
	in    *packInput
	cache linkCache
}

// passTool is what one first pass after the other can use.
type passTool struct {
	input    packInput
	inflater pack.Inflater
	hasher   *object.Hasher
	buffer   []byte
	content  []byte // of at most inPassing bytes
}

var passTools = sync.Pool{New: func() any {
	return &passTool{input: packInput{buffer: make([]byte, 0, 64<<10)}, hasher: object.NewHasher(), buffer: make([]byte, 32<<10)}
}}

// putBack lets go of everything that belongs to one push.
func (t *passTool) putBack() {
	t.input = packInput{buffer: t.input.buffer[:0]}
	passTools.Put(t)
}

// inPassing is up to how many bytes commits, trees and tags are checked while they
// arrive. Larger ones wait for a worker: a thousand slow peers must not take a
// thousand times the largest object's memory.
const inPassing = 256 << 10

// passingCache is how many links the first pass remembers, which waits for a peer
// and may wait for long.
const passingCache = 1 << 10

// entry reads one entry.
func (f *firstPass) entry() error {
	header, err := f.in.header()
	if err != nil {
		return err
	}
	if header.Size > f.limits.ObjectBytes {
		return &LimitError{What: "size of an object", Limit: f.limits.ObjectBytes, Unit: "bytes"}
	}
	index := int32(len(f.table.entries))
	e := received{
		offset: header.Offset, header: uint8(header.DataOffset - header.Offset),
		size: header.Size, kind: header.Kind, base: none,
	}
	if header.Kind == pack.OfsDelta {
		base, ok := f.table.find(header.BaseOffset)
		if !ok {
			return &CorruptPackError{Reason: fmt.Sprintf("the delta at offset %d has a base where no entry starts", header.Offset)}
		}
		e.base = base
		e.depth = f.table.entries[base].depth + 1 // more if one of the bases is named by id
		if int(e.depth) > f.limits.DeltaDepth {
			return errDepth(f.limits.DeltaDepth)
		}
	}
	if header.Kind == pack.RefDelta {
		f.table.refs = append(f.table.refs, refDelta{base: header.BaseID, entry: index})
	}
	f.table.add(e)
	if err := f.inflater.Reset(f.in, header.Size); err != nil {
		return err
	}
	typ := header.Kind.Type()
	var id git.ObjectID
	f.content = f.content[:0]
	switch {
	case header.Kind.IsDelta():
		err = f.skipDelta(header.Size)
	case typ == object.TypeBlob:
		id, err = f.hashBlob(header.Size)
	case header.Size > f.limits.MemoryObject:
		err = errObjectSize(typ, f.limits.MemoryObject)
	case header.Size > inPassing:
		if err = f.account(header.Size); err == nil {
			err = f.discard()
		}
	default:
		id, err = f.readWhole(typ, header.Size)
	}
	if err != nil {
		return err
	}
	stored := &f.table.entries[index]
	stored.end = f.in.position()
	stored.crc = f.in.endEntry()
	if id.IsZero() {
		return nil
	}
	return f.links.add(f.ctx, index, id, typ, f.content, f.cache)
}

// account adds to the bytes of all objects of the push.
func (f *firstPass) account(size int64) error {
	f.inflated += size
	if f.inflated > f.limits.InflatedBytes {
		return &LimitError{What: "size of all objects of the pack", Limit: f.limits.InflatedBytes, Unit: "bytes"}
	}
	return nil
}

// skipDelta reads over a delta and looks only at the size that it will make.
func (f *firstPass) skipDelta(size int64) error {
	start := f.buffer[:min(size, pack.MaxDeltaHeader)]
	if _, err := io.ReadFull(&f.inflater, start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, result, _, err := pack.ParseDeltaHeader(start)
	if err != nil {
		return err
	}
	if result > f.limits.ObjectBytes {
		return &LimitError{What: "size of an object", Limit: f.limits.ObjectBytes, Unit: "bytes"}
	}
	if err := f.account(result); err != nil {
		return err
	}
	return f.discard()
}

func (f *firstPass) discard() error {
	for {
		if _, err := f.inflater.Read(f.buffer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (f *firstPass) hashBlob(size int64) (git.ObjectID, error) {
	if err := f.account(size); err != nil {
		return git.ZeroID, err
	}
	f.hasher.Reset(object.TypeBlob, size)
	var sink BlobSink
	if f.inspector != nil {
		sink = f.inspector.Blob(size)
	}
	for {
		n, err := f.inflater.Read(f.buffer)
		_, _ = f.hasher.Write(f.buffer[:n]) // a hash never fails
		if sink != nil {
			_, _ = sink.Write(f.buffer[:n])
		}
		if errors.Is(err, io.EOF) {
			id, err := f.hasher.Sum()
			if err == nil && sink != nil {
				sink.End(id)
			}
			return id, err
		}
		if err != nil {
			return git.ZeroID, err
		}
	}
}

func (f *firstPass) readWhole(typ object.Type, size int64) (git.ObjectID, error) {
	if err := f.account(size); err != nil {
		return git.ZeroID, err
	}
	if int64(cap(f.content)) < size {
		f.content = make([]byte, size, max(size, 4096))
	}
	f.content = f.content[:size]
	if err := f.inflater.ReadAll(f.content); err != nil {
		return git.ZeroID, err
	}
	id, err := f.hasher.Hash(typ, f.content)
	if err != nil {
		return git.ZeroID, err
	}
	if err := object.Check(typ, id, f.content); err != nil {
		return id, err
	}
	inspect(f.inspector, id, typ, f.content)
	return id, nil
}

// resolve is the second pass: deltas, and what was too large for the first.
func (rc *receiver) resolve() error {
	rc.table.link()
	unresolved := int64(0)
	for i := range rc.table.entries {
		if rc.table.entries[i].typ == 0 {
			unresolved++
		}
	}
	rc.progress.begin("resolving", unresolved)
	if err := rc.resolver.whole(rc.ctx); err != nil {
		return err
	}
	if err := rc.resolver.fromRepository(rc.ctx); err != nil {
		return err
	}
	rc.progress.end()
	if err := rc.links.finish(); err != nil {
		return err
	}
	if err := rc.links.checkFolderDepth(); err != nil {
		return err
	}
	return rc.links.checkTagDepth(rc.ctx)
}

// progress counts for ReceiveOptions.Progress.
type progress struct {
	report func(phase string, done, total int64)
	mu     sync.Mutex
	phase  string
	done   int64
	total  int64
}

func (p *progress) begin(phase string, total int64) {
	p.phase, p.done, p.total = phase, 0, total
}

func (p *progress) step() {
	if p.report == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done++; p.done%1024 == 0 {
		p.report(p.phase, p.done, p.total)
	}
}

// end tells the last number, which nobody waits for any more.
func (p *progress) end() {
	if p.report != nil {
		p.report(p.phase, p.total, p.total)
	}
}
