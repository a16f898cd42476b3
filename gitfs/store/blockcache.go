package store

import (
	"context"
	"errors"
	"sync"
)

const (
	blockSize     = 64 << 10
	minBlockCache = 1 << 20
)

type blockKey struct {
	pack  uint64 // Pack.key
	index int64  // offset / blockSize
}

// blockCache holds parts of pack files, of blockSize bytes each but for the last
// of a file. It is shared by all readers of a node and evicts by the clock
// algorithm. Blocks are never changed, so a reader may keep one after its eviction.
type blockCache struct {
	mu     sync.Mutex
	blocks map[blockKey]*block
	ring   []*block // at most max
	hand   int
	max    int
}

type block struct {
	key    blockKey
	data   []byte
	err    error
	loaded chan struct{} // closed once data or err is set
	used   bool          // since the hand came by; guarded by mu
}

func newBlockCache(bytes int64) *blockCache {
	return &blockCache{blocks: map[blockKey]*block{}, max: int(bytes / blockSize)}
}

// get returns a block, which load reads if the cache does not hold it. When many
// ask at once, one loads and the others wait for it.
func (c *blockCache) get(ctx context.Context, key blockKey, load func() ([]byte, error)) ([]byte, error) {
	for {
		c.mu.Lock()
		b := c.blocks[key]
		if b == nil {
			b = &block{key: key, loaded: make(chan struct{})}
			c.blocks[key] = b
			c.mu.Unlock()
			c.load(b, load)
			return b.data, b.err
		}
		b.used = true
		c.mu.Unlock()
		select {
		case <-b.loaded:
		default:
			select {
			case <-b.loaded:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		// The one who loaded may have been cancelled; that is not our error.
		if isCancelled(b.err) && ctx.Err() == nil {
			continue
		}
		return b.data, b.err
	}
}

// put stores a block that was not read, of a pack that nobody else knows yet.
func (c *blockCache) put(key blockKey, data []byte) {
	b := &block{key: key, data: data, loaded: make(chan struct{})}
	close(b.loaded)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks[key] = b
	c.admit(b)
}

// load fills b and gives it a place in the ring, or forgets it after an error.
func (c *blockCache) load(b *block, load func() ([]byte, error)) {
	b.data, b.err = load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.err != nil {
		delete(c.blocks, b.key)
	} else {
		c.admit(b)
	}
	close(b.loaded)
}

func (c *blockCache) admit(b *block) {
	if len(c.ring) < c.max {
		c.ring = append(c.ring, b)
		return
	}
	for c.ring[c.hand].used {
		c.ring[c.hand].used = false
		c.hand = (c.hand + 1) % len(c.ring)
	}
	delete(c.blocks, c.ring[c.hand].key)
	c.ring[c.hand] = b
	c.hand = (c.hand + 1) % len(c.ring)
}

// drop forgets all blocks of a pack that is being closed.
func (c *blockCache) drop(pack uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.ring[:0]
	for _, b := range c.ring {
		if b.key.pack == pack {
			delete(c.blocks, b.key)
		} else {
			kept = append(kept, b)
		}
	}
	clear(c.ring[len(kept):])
	c.ring, c.hand = kept, 0
}

func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
