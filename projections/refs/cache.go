package refs

import (
	"container/list"
	"sync"

	"github.com/annal-git/annal/domain"
)

// cache keeps the snapshots used last, up to a bound in bytes.
type cache struct {
	limit int64

	mu      sync.Mutex
	bytes   int64
	entries map[domain.RepositoryID]*list.Element // of *entry
	recent  *list.List                            // most recent first
}

// entry is a repository's place in the cache.
type entry struct {
	id      domain.RepositoryID
	bytes   int64      // counted in the cache; guarded by its mutex
	loading sync.Mutex // held while the first snapshot is read

	mu       sync.Mutex
	snapshot *Snapshot // nil until it is loaded
	seen     int64     // position up to which the snapshot holds all events of its stream
}

// state returns the snapshot and up to which position it has seen its stream.
func (e *entry) state() (*Snapshot, int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.snapshot, e.seen
}

// advance stores a snapshot unless there is a newer one, and returns the newer one.
func (e *entry) advance(s *Snapshot, seen int64) *Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.snapshot == nil || s.Version >= e.snapshot.Version {
		e.snapshot, e.seen = s, max(e.seen, seen)
	}
	return e.snapshot
}

func newCache(limit int64) *cache {
	return &cache{limit: limit, entries: map[domain.RepositoryID]*list.Element{}, recent: list.New()}
}

// entry finds or makes a repository's place and marks it as used.
func (c *cache) entry(id domain.RepositoryID) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[id]; ok {
		c.recent.MoveToFront(element)
		return element.Value.(*entry)
	}
	e := &entry{id: id, bytes: entryOverhead}
	c.entries[id] = c.recent.PushFront(e)
	c.bytes += e.bytes
	c.evict()
	return e
}

// entryOverhead is what a place costs in memory without its refs, roughly;
// packOverhead what a registered pack costs.
const (
	entryOverhead = 512
	packOverhead  = 40
)

// put stores a snapshot that has seen its stream up to a position, makes room for it, and
// returns it or the newer one that was there.
func (c *cache) put(e *entry, s *Snapshot, seen int64) *Snapshot {
	s = e.advance(s, seen)
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[e.id]; !ok || element.Value != e {
		return s // evicted meanwhile: whoever holds it may still use it
	}
	size := entryOverhead + s.Refs.bytes + packOverhead*int64(s.packs.len()) + s.rulesBytes()
	if size != e.bytes {
		c.bytes += size - e.bytes
		e.bytes = size
		c.evict()
	}
	return s
}

// evict drops the least recently used until the bound holds, but always keeps one.
func (c *cache) evict() {
	for c.bytes > c.limit && c.recent.Len() > 1 {
		e := c.recent.Remove(c.recent.Back()).(*entry)
		delete(c.entries, e.id)
		c.bytes -= e.bytes
	}
}
