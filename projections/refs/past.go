package refs

import (
	"container/list"
	"context"
	"sync"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// At returns the repository as it was right after the event at a position of the log: its
// refs and its default branch are those of then. Its packs are those of now, which hold
// every object that any ref ever named, whatever has become of the packs of then.
//
// The view is made from the repository's events and kept, so it is made once. Errors are
// *domain.NotFoundError: about the "repository" if it does not exist now, about the
// "position" if the log does not reach that far or the repository did not exist then.
func (r *Reader) At(ctx context.Context, id domain.RepositoryID, position int64) (*Snapshot, error) {
	now, err := r.Snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	version, err := r.versionAt(ctx, id, position)
	switch {
	case err != nil:
		return nil, err
	case version == 0:
		return nil, domain.NotFound("position", "The repository did not exist yet at position %d.", position)
	case version == now.Version:
		return now, nil
	case version > now.Version: // it moved between the two reads
		return r.At(ctx, id, position)
	}
	then, err := r.pasts.load(ctx, pastKey{id, version}, r.foldPast)
	if err != nil {
		return nil, err
	}
	if then.deleted {
		return nil, domain.NotFound("position", "The repository was deleted at position %d.", position)
	}
	past := *then
	past.Storage, past.packs, past.Fork = now.Storage, now.packs, now.Fork
	return &past, nil
}

// versionAt finds the version that a repository had at a position, which never changes
// once the log has come that far.
func (r *Reader) versionAt(ctx context.Context, id domain.RepositoryID, position int64) (int64, error) {
	if version, ok := r.pasts.version(id, position); ok {
		return version, nil
	}
	if r.log.KnownHead() < position {
		head, err := r.log.Head(ctx)
		if err != nil {
			return 0, err
		}
		if head < position {
			return 0, domain.NotFound("position", "The log ends at position %d; there is no position %d yet.", head, position)
		}
	}
	version, err := r.log.VersionAt(ctx, domain.RepositoryStream(id), position)
	if err == nil {
		r.pasts.remember(id, position, version)
	}
	return version, err
}

// foldBatch is how many moves of refs are collected before they are carried out.
const foldBatch = 4096

// foldPast makes the view of a version from an older view, or from nothing if base is nil.
func (r *Reader) foldPast(ctx context.Context, key pastKey, base *Snapshot) (*Snapshot, error) {
	if base == nil {
		base = emptySnapshot(key.repository)
	}
	past := *base
	var moved []git.Ref
	err := r.log.FoldStream(ctx, domain.RepositoryStream(key.repository), base.Version, key.version, func(e domain.Recorded) error {
		past.Version, past.Position = e.Version, e.Position
		past.evolve(e.Event)
		if push, ok := e.Event.(repository.RefsUpdated); ok {
			moved = appendMoves(moved, push)
		}
		if len(moved) >= foldBatch {
			past.Refs, moved = past.Refs.with(moved), moved[:0]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	past.Refs = past.Refs.with(moved)
	return &past, nil
}

// pastKey names a view of the past, which never changes.
type pastKey struct {
	repository domain.RepositoryID
	version    int64
}

// pasts keeps the views of the past that were used last, up to a bound in bytes.
type pasts struct {
	limit   int64
	folding chan struct{} // holds a token for each view being made

	mu       sync.Mutex
	bytes    int64
	entries  map[pastKey]*list.Element // of *pastEntry
	recent   *list.List                // most recent first
	versions map[pastPosition]int64
}

type pastEntry struct {
	key  pastKey
	done chan struct{} // closed once the view or the error is there
	view *Snapshot
	err  error
}

// pastPosition is a question that was answered before.
type pastPosition struct {
	repository domain.RepositoryID
	position   int64
}

// Bounds of the past: views made at a time, and positions whose versions are remembered.
const (
	foldsAtOnce     = 2
	positionsAtMost = 10_000
)

func newPasts(limit int64) *pasts {
	return &pasts{
		limit: limit, folding: make(chan struct{}, foldsAtOnce),
		entries: map[pastKey]*list.Element{}, recent: list.New(), versions: map[pastPosition]int64{},
	}
}

func (p *pasts) version(id domain.RepositoryID, position int64) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	version, ok := p.versions[pastPosition{id, position}]
	return version, ok
}

func (p *pasts) remember(id domain.RepositoryID, position, version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.versions) >= positionsAtMost {
		clear(p.versions)
	}
	p.versions[pastPosition{id, position}] = version
}

// load returns a view, made by fold if it is not at hand: by one caller, for whom others
// wait.
func (p *pasts) load(ctx context.Context, key pastKey, fold func(context.Context, pastKey, *Snapshot) (*Snapshot, error)) (*Snapshot, error) {
	for {
		p.mu.Lock()
		element, ok := p.entries[key]
		if ok {
			p.recent.MoveToFront(element)
			p.mu.Unlock()
			e := element.Value.(*pastEntry)
			select {
			case <-e.done:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
			if e.err != nil && ctx.Err() == nil {
				continue // whoever made it may have gone; that is not our error
			}
			return e.view, e.err
		}
		e := &pastEntry{key: key, done: make(chan struct{})}
		base := p.nearest(key)
		p.entries[key] = p.recent.PushFront(e)
		p.mu.Unlock()
		view, err := p.make(ctx, key, base, fold)
		p.made(e, view, err)
		return view, err
	}
}

func (p *pasts) make(ctx context.Context, key pastKey, base *Snapshot, fold func(context.Context, pastKey, *Snapshot) (*Snapshot, error)) (*Snapshot, error) {
	select {
	case p.folding <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-p.folding }()
	return fold(ctx, key, base)
}

// nearest is the newest view at hand of the same repository that is older; the lock is held.
func (p *pasts) nearest(key pastKey) (base *Snapshot) {
	for other, element := range p.entries {
		view := element.Value.(*pastEntry).view
		if other.repository == key.repository && other.version < key.version && view != nil && (base == nil || base.Version < view.Version) {
			base = view
		}
	}
	return base
}

// made keeps a view, or forgets the attempt, and tells those who wait.
func (p *pasts) made(e *pastEntry, view *Snapshot, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.view, e.err = view, err
	if e.err != nil {
		p.recent.Remove(p.entries[e.key])
		delete(p.entries, e.key)
	} else {
		p.bytes += entryOverhead + e.view.Refs.bytes
		p.evict(e)
	}
	close(e.done)
}

// evict drops the least recently used until the bound holds, but neither keep nor what is
// still being made; the lock is held.
func (p *pasts) evict(keep *pastEntry) {
	for element := p.recent.Back(); element != nil && p.bytes > p.limit; {
		e, before := element.Value.(*pastEntry), element.Prev()
		if e != keep && e.view != nil {
			p.recent.Remove(element)
			delete(p.entries, e.key)
			p.bytes -= entryOverhead + e.view.Refs.bytes
		}
		element = before
	}
}
