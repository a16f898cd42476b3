package store

import (
	"container/list"
	"sync"

	"github.com/annal-git/annal/gitfs/object"
)

type baseKey struct {
	pack   uint64 // Pack.key
	offset int64
}

type cachedBase struct {
	key  baseKey
	kind object.Type
	data []byte
}

// baseOverhead is what an entry costs beside its content, in bytes.
const baseOverhead = 200

// baseCache holds inflated objects by where they are stored, because the next
// object read is often a delta against one of the last. Least recently used go
// first. Contents are shared and must not be changed.
type baseCache struct {
	mu      sync.Mutex
	entries map[baseKey]*list.Element
	order   *list.List // of *cachedBase, most recently used first
	bytes   int64
	max     int64
}

func newBaseCache(bytes int64) *baseCache {
	return &baseCache{entries: map[baseKey]*list.Element{}, order: list.New(), max: bytes}
}

func (c *baseCache) get(key baseKey) (object.Type, []byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return 0, nil, false
	}
	c.order.MoveToFront(e)
	b := e.Value.(*cachedBase)
	return b.kind, b.data, true
}

// put remembers an object, unless it would push out too many others.
func (c *baseCache) put(key baseKey, kind object.Type, data []byte) {
	size := int64(len(data)) + baseOverhead
	if size > c.max/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[key] != nil {
		return
	}
	c.entries[key] = c.order.PushFront(&cachedBase{key: key, kind: kind, data: data})
	c.bytes += size
	for c.bytes > c.max {
		last := c.order.Back()
		b := c.order.Remove(last).(*cachedBase)
		delete(c.entries, b.key)
		c.bytes -= int64(len(b.data)) + baseOverhead
	}
}
