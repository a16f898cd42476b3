package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// resolver finds out what the deltas of a pack make.
//
// The deltas that lead back to one whole object are a family, and a family is
// walked by one worker, depth first. A base stays in memory only while it has
// deltas left to be resolved, and the largest part of a family is walked last, so
// that few bases wait; those that do are moved to files when they take too much.
type resolver struct {
	store   *Store
	table   *table
	links   *connectivity
	base    *Objects // nil if the repository is empty
	spool   *spool
	scratch *scratch
	limits  Limits
	done    func() // one more object is resolved

	inspector Inspector // nil if nobody looks

	mu   sync.Mutex     // guards table.taken and thin
	thin []git.ObjectID // objects of the repository that were used as bases
}

// heldBytes is how much memory the waiting bases of one worker may take.
const heldBytes = 64 << 20

// worker is what one goroutine of a resolver needs.
type worker struct {
	*resolver
	hasher *object.Hasher
	cache  linkCache
	packed []byte   // what the spool holds
	delta  []byte   // a buffer, used again
	free   [][]byte // of objects that are done, at most freeBuffers
}

func (r *resolver) newWorker(packed []byte) *worker {
	return &worker{resolver: r, packed: packed, hasher: object.NewHasher(), cache: newLinkCache(len(r.table.entries))}
}

// frame is an object of a family that has children left.
type frame struct {
	index    int32 // none for an object of the repository
	typ      object.Type
	body     body
	children []int32
}

// resolve runs families, each in a worker. Not more workers are busy at a time, in
// all receives of this store, than its configuration says.
func (r *resolver) resolve(ctx context.Context, families []int32, run func(context.Context, *worker, int32) error) error {
	if len(families) == 0 {
		return nil
	}
	packed, err := r.spool.bytes()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(len(families), cap(r.store.workers)) {
		group.Go(func() error {
			w := r.newWorker(packed)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(families) {
					return nil
				}
				select {
				case r.store.workers <- struct{}{}:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				err := run(ctx, w, families[i])
				<-r.store.workers
				if err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// whole resolves everything that descends from whole objects of the pack, and
// names those of them that were too large to be looked at while they arrived.
func (r *resolver) whole(ctx context.Context) error {
	var families []int32
	for i := range r.table.entries {
		e := &r.table.entries[i]
		if e.kind.IsDelta() {
			continue
		}
		from, to := r.table.refsOf(e.id)
		if e.typ == 0 || r.table.child[i] != none || from < to {
			families = append(families, int32(i))
		}
	}
	return r.resolve(ctx, families, func(ctx context.Context, w *worker, index int32) error {
		e := &r.table.entries[index]
		b, err := w.load(e)
		if err != nil {
			return err
		}
		if e.typ == 0 {
			if err := w.name(ctx, index, e.kind.Type(), b.data); err != nil {
				return err
			}
		}
		return w.family(ctx, frame{index: index, typ: e.kind.Type(), body: b, children: w.children(index)})
	})
}

// fromRepository resolves the deltas whose bases are not in the pack. In each
// round some of them may turn out to have made the bases of others.
func (r *resolver) fromRepository(ctx context.Context) error {
	var families []int32 // first of the refs of each base
	for i, ref := range r.table.refs {
		if r.table.taken[i] || i > 0 && r.table.refs[i-1].base == ref.base {
			continue
		}
		if r.base != nil && r.base.Has(ref.base) {
			families = append(families, int32(i))
		}
	}
	err := r.resolve(ctx, families, func(ctx context.Context, w *worker, first int32) error {
		id := r.table.refs[first].base
		children := w.take(id)
		if len(children) == 0 {
			return nil // the pack had it after all
		}
		w.mu.Lock()
		w.thin = append(w.thin, id)
		w.mu.Unlock()
		typ, b, err := w.baseBody(ctx, id)
		if err != nil {
			return err
		}
		return w.family(ctx, frame{index: none, typ: typ, body: b, children: children})
	})
	if err != nil {
		return err
	}
	for i, ref := range r.table.refs {
		if !r.table.taken[i] {
			return &MissingError{ID: ref.base}
		}
	}
	return nil
}

// family resolves everything that descends from root.
func (w *worker) family(ctx context.Context, root frame) error {
	stack := []frame{root}
	defer func() {
		for i := range stack {
			stack[i].body.close()
		}
	}()
	held := int64(0) // bytes in memory of all but the last of the stack
	for len(stack) > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		top := &stack[len(stack)-1]
		if len(top.children) == 0 {
			w.recycle(&top.body)
			stack = stack[:len(stack)-1]
			if len(stack) > 0 {
				held -= int64(len(stack[len(stack)-1].body.data))
			}
			continue
		}
		child := top.children[0]
		top.children = top.children[1:]
		b, err := w.apply(ctx, top, child)
		if err != nil {
			return err
		}
		children := w.children(child)
		if len(children) == 0 {
			w.recycle(&b)
			continue
		}
		if len(top.children) == 0 { // nobody needs it any more
			w.recycle(&top.body)
		}
		held += int64(len(top.body.data))
		stack = append(stack, frame{index: child, typ: root.typ, body: b, children: children})
		for i := 0; held > heldBytes && i < len(stack)-1; i++ {
			if n := int64(len(stack[i].body.data)); n > 0 {
				if err := stack[i].body.toFile(w.scratch); err != nil {
					return err
				}
				held -= n
			}
		}
	}
	return nil
}

// freeBuffers is how many buffers a worker keeps for the next objects.
const freeBuffers = 4

// buffer returns memory for an object, of a former one if there is some.
func (w *worker) buffer(size int64) []byte {
	best := -1
	for i, b := range w.free {
		if int64(cap(b)) >= size && (best < 0 || cap(b) < cap(w.free[best])) {
			best = i
		}
	}
	// An object may stay for long: it must not hold much more than it needs.
	if best < 0 || int64(cap(w.free[best])) > 2*size+64<<10 {
		return make([]byte, 0, size)
	}
	b := w.free[best]
	w.free = slices.Delete(w.free, best, best+1)
	return b
}

// recycle takes back the memory of an object that nobody needs any more.
func (w *worker) recycle(b *body) {
	if data := b.data; cap(data) > 0 {
		if len(w.free) == freeBuffers {
			w.free = slices.Delete(w.free, 0, 1)
		}
		w.free = append(w.free, data[:0])
	}
	b.close()
}

// children returns what can be resolved once an object is known, the smallest
// family first.
func (w *worker) children(index int32) []int32 {
	var children []int32
	for child := w.table.child[index]; child != none; child = w.table.sibling[child] {
		children = append(children, child)
	}
	if len(w.table.refs) > 0 {
		refs := w.take(w.table.entries[index].id)
		for _, child := range refs {
			w.table.entries[child].base = index
		}
		children = append(children, refs...)
	}
	slices.SortFunc(children, func(a, b int32) int { return int(w.table.weight[a]) - int(w.table.weight[b]) })
	return children
}

// take returns the deltas against an object by id, to the first who asks.
func (w *worker) take(id git.ObjectID) []int32 {
	from, to := w.table.refsOf(id)
	if from == to {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.table.taken[from] {
		return nil
	}
	entries := make([]int32, 0, to-from)
	for i := from; i < to; i++ {
		w.table.taken[i] = true
		entries = append(entries, w.table.refs[i].entry)
	}
	return entries
}

// apply makes the object of a delta and names it.
func (w *worker) apply(ctx context.Context, base *frame, index int32) (body, error) {
	e := &w.table.entries[index]
	if base.index != none {
		e.depth = w.table.entries[base.index].depth + 1
	} else {
		e.depth = 1
	}
	if int(e.depth) > w.limits.DeltaDepth {
		return body{}, errDepth(w.limits.DeltaDepth)
	}
	if err := base.body.toMemory(w.limits.MemoryObject); err != nil {
		return body{}, err
	}
	if base.body.file != nil || e.size > w.limits.MemoryObject {
		return w.applyLarge(ctx, &base.body, index, base.typ)
	}
	delta, err := w.inflate(e, w.delta)
	if err != nil {
		return body{}, err
	}
	w.delta = delta
	_, size, _, err := pack.ParseDeltaHeader(delta)
	if err != nil {
		return body{}, err
	}
	if size > w.limits.MemoryObject {
		return w.applyLarge(ctx, &base.body, index, base.typ)
	}
	data, err := pack.ApplyDeltaInto(w.buffer(size), base.body.data, delta, size)
	if err != nil {
		return body{}, err
	}
	return inMemory(data), w.name(ctx, index, base.typ, data)
}

// applyLarge is apply when not all of base, delta and result fit into memory.
func (w *worker) applyLarge(ctx context.Context, base *body, index int32, typ object.Type) (b body, err error) {
	e := &w.table.entries[index]
	from := io.NewSectionReader(w.spool, e.offset+int64(e.header), e.end-e.offset-int64(e.header))
	b, err = patch(w.scratch, base, from, e.size, func(size int64) error {
		w.hasher.Reset(typ, size)
		if typ != object.TypeBlob && size > w.limits.MemoryObject {
			return errObjectSize(typ, w.limits.MemoryObject)
		}
		return nil
	}, w.hasher)
	if err != nil {
		return body{}, err
	}
	if typ == object.TypeBlob {
		id, err := w.hasher.Sum()
		if err != nil {
			return b, err
		}
		if err := inspectBody(w.inspector, id, &b); err != nil {
			return b, err
		}
		return b, w.known(ctx, index, id, typ, nil)
	}
	if err := b.toMemory(w.limits.MemoryObject); err != nil {
		return b, err
	}
	return b, w.name(ctx, index, typ, b.data)
}

// name hashes an object, checks it and makes it known.
func (w *worker) name(ctx context.Context, index int32, typ object.Type, data []byte) error {
	id, err := w.hasher.Hash(typ, data)
	if err != nil {
		return fmt.Errorf("%s: %w", typ, err)
	}
	if err := w.known(ctx, index, id, typ, data); err != nil {
		return err
	}
	inspect(w.inspector, id, typ, data)
	return nil
}

func (w *worker) known(ctx context.Context, index int32, id git.ObjectID, typ object.Type, data []byte) error {
	if err := object.Check(typ, id, data); err != nil {
		return err
	}
	w.done()
	return w.links.add(ctx, index, id, typ, data, w.cache)
}

// load reads a whole object back from the spool.
func (w *worker) load(e *received) (body, error) {
	if e.size <= w.limits.MemoryObject {
		data, err := w.inflate(e, w.buffer(e.size))
		return inMemory(data), err
	}
	f, err := w.scratch.anonymous()
	if err != nil {
		return body{}, err
	}
	b := body{file: f, size: e.size}
	r, err := pack.NewStream(io.NewSectionReader(w.spool, e.offset+int64(e.header), e.end-e.offset), e.size)
	if err == nil {
		_, err = io.Copy(f, r)
	}
	if err != nil {
		b.close()
		return body{}, err
	}
	return b, nil
}

// inflate reads what an entry's stream holds, into buffer if that is enough.
func (w *worker) inflate(e *received, buffer []byte) ([]byte, error) {
	n := int(e.end - e.offset - int64(e.header))
	if int64(n) > e.size+maxStoredOverhead { // more than any encoder needs: do not buffer it
		return w.inflateSlowly(e, buffer)
	}
	from := e.offset + int64(e.header)
	buffer = slices.Grow(buffer[:0], int(e.size))[:e.size]
	return buffer, pack.InflateInto(buffer, w.packed[from:from+int64(n)])
}

// maxStoredOverhead is by how much a stream may be longer than what it holds, to
// be read in one piece.
const maxStoredOverhead = 64 << 10

func (w *worker) inflateSlowly(e *received, buffer []byte) ([]byte, error) {
	r, err := pack.NewStream(io.NewSectionReader(w.spool, e.offset+int64(e.header), e.end-e.offset), e.size)
	if err != nil {
		return nil, err
	}
	buffer = slices.Grow(buffer[:0], int(e.size))[:e.size]
	if _, err := io.ReadFull(r, buffer); err != nil {
		return nil, err
	}
	return buffer, nil
}

// baseBody reads a base from the repository.
func (w *worker) baseBody(ctx context.Context, id git.ObjectID) (object.Type, body, error) {
	typ, data, err := w.base.Read(ctx, id)
	if err == nil {
		return typ, inMemory(slices.Clone(data)), nil // the cache's memory is not ours
	}
	var tooLarge *TooLargeError
	if !errors.As(err, &tooLarge) {
		return 0, body{}, err
	}
	typ, size, r, err := w.base.Open(ctx, id)
	if err != nil {
		return 0, body{}, err
	}
	defer func() { _ = r.Close() }()
	f, err := w.scratch.anonymous()
	if err != nil {
		return 0, body{}, err
	}
	b := body{file: f, size: size}
	if _, err := io.Copy(f, r); err != nil {
		b.close()
		return 0, body{}, err
	}
	return typ, b, nil
}

func errObjectSize(typ object.Type, limit int64) error {
	return &LimitError{What: "size of a " + typ.String(), Limit: limit, Unit: "bytes"}
}
