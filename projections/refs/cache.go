package refs

import (
	"container/list"
	"sync"
	"sync/atomic"

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
	id       domain.RepositoryID
	bytes    int64 // counted in the cache; guarded by its mutex
	snapshot atomic.Pointer[Snapshot]
	loading  sync.Mutex // held while a newer snapshot is read
}

func (e *entry) current() *Snapshot { return e.snapshot.Load() }

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

// put stores a newer snapshot and makes room for it.
func (c *cache) put(id domain.RepositoryID, e *entry, s *Snapshot) {
	e.snapshot.Store(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[id]; !ok || element.Value != e {
		return // evicted meanwhile: whoever holds it may still use it
	}
	size := entryOverhead + s.Refs.bytes + packOverhead*int64(len(s.Packs))
	c.bytes += size - e.bytes
	e.bytes = size
	c.evict()
}

// evict drops the least recently used until the bound holds, but always keeps one.
func (c *cache) evict() {
	for c.bytes > c.limit && c.recent.Len() > 1 {
		e := c.recent.Remove(c.recent.Back()).(*entry)
		delete(c.entries, e.id)
		c.bytes -= e.bytes
	}
}
