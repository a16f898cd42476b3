package packcache

import (
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annal-git/annal/gitfs/pktline"
)

// Config says where a cache lies and how much it may take. Zero values take the defaults
// named.
type Config struct {
	Dir          string // folder of this process alone
	Bytes        int64  // of files; default 2 GiB
	StorageBytes int64  // of the files of one repository; default half of Bytes
	MemoryBytes  int64  // of small entries in memory; default 8 MiB
}

// Key names a pack: a hash over all that its content depends on.
type Key [sha256.Size]byte

// Make writes a pack to w. It calls counted once, before the first Write, with the number of
// objects.
type Make func(ctx context.Context, w io.Writer, counted func(objects int)) error

// Cache is safe for concurrent use.
type Cache struct {
	config  Config
	making  string
	running context.Context //nolint:containedctx // of the makers, which outlive requests
	stop    context.CancelFunc
	makers  sync.WaitGroup

	mu       sync.Mutex
	entries  map[Key]*entry
	files    shelf
	memory   shelf
	storages map[string]*list.List // entries in files, of each repository, as in files
	made     int64                 // number of the last file made
	tooLarge map[Key]struct{}      // what did not fit
	paused   time.Time             // nothing is made until then, because the disk was full
	stats    Stats
}

// Stats tells how a cache does.
type Stats struct {
	Hits, Misses           int64 // hits count those who followed an entry being made
	FileBytes, MemoryBytes int64
	Entries                int
}

// shelf is entries by their last use, the latest first.
type shelf struct {
	recent list.List
	bytes  int64
}

// memoryEntry is up to how many bytes an entry stays in memory.
const memoryEntry = 256 << 10

// Open opens a cache with what an earlier process has left there.
func Open(config Config) (*Cache, error) {
	config.Bytes = cmp.Or(config.Bytes, 2<<30)
	config.StorageBytes = cmp.Or(config.StorageBytes, config.Bytes/2)
	config.MemoryBytes = cmp.Or(config.MemoryBytes, 8<<20)
	c := &Cache{config: config, making: filepath.Join(config.Dir, "making"), entries: map[Key]*entry{}, storages: map[string]*list.List{}, tooLarge: map[Key]struct{}{}}
	if err := os.RemoveAll(c.making); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.making, 0o700); err != nil {
		return nil, err
	}
	if err := c.scan(); err != nil {
		return nil, err
	}
	c.running, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// Dir is the folder of the cache.
func (c *Cache) Dir() string { return c.config.Dir }

// Close stops what is being made and waits for it.
func (c *Cache) Close() {
	c.stop()
	c.makers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		e.drop()
	}
}

// scan takes in the files that are there, the oldest first.
func (c *Cache) scan() error {
	type left struct {
		entry *entry
		when  time.Time
	}
	var found []left
	err := filepath.WalkDir(c.config.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		storage := filepath.Base(filepath.Dir(path))
		name, isPack := strings.CutSuffix(d.Name(), suffix)
		key, err := hex.DecodeString(name)
		if !isPack || err != nil || len(key) != len(Key{}) || filepath.Dir(filepath.Dir(path)) != filepath.Clean(c.config.Dir) {
			return os.Remove(path)
		}
		found = append(found, left{c.leftover(Key(key), storage, path, info.Size()), info.ModTime()})
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through the cache of packs: %w", err)
	}
	slices.SortFunc(found, func(a, b left) int { return a.when.Compare(b.when) })
	for _, f := range found {
		c.entries[f.entry.key] = f.entry
		c.keep(f.entry)
	}
	return nil
}

// Has reports whether the pack with a key is there or is being made.
func (c *Cache) Has(key Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[key] != nil
}

// Follow returns a reader of the pack with a key. If it is not there and is not being made,
// what begin returns makes it, on another goroutine. storage names the repository. The caller must close the reader. There
// is none for a pack that has no room in the cache, or while the disk is full: then the
// caller has to make it for himself.
func (c *Cache) Follow(key Key, storage string, begin func() Make) *Reader {
	for {
		c.mu.Lock()
		e := c.entries[key]
		if e == nil || !e.enter() {
			break // with the lock
		}
		r := &Reader{entry: e}
		err := c.use(r)
		if err == nil {
			c.stats.Hits++
		}
		c.mu.Unlock()
		if err == nil {
			err = e.check()
		}
		if err == nil {
			return r
		}
		r.Close()
		c.mu.Lock()
		c.remove(e)
		c.mu.Unlock()
	}
	defer c.mu.Unlock()
	c.stats.Misses++
	if _, no := c.tooLarge[key]; no || time.Now().Before(c.paused) || c.running.Err() != nil {
		return nil
	}
	e, make := c.begin(key, storage), begin()
	c.entries[key] = e
	e.enter()
	ctx, cancel := context.WithCancel(c.running)
	e.cancel = cancel
	c.makers.Go(func() {
		defer cancel()
		c.fill(ctx, e, make)
	})
	return &Reader{entry: e}
}

// Fill makes a pack, unless it is there, without anybody reading it. It returns when that
// is done.
func (c *Cache) Fill(ctx context.Context, key Key, storage string, begin func() Make) error {
	c.mu.Lock()
	known := c.entries[key] != nil
	c.mu.Unlock()
	if known {
		return nil
	}
	r := c.Follow(key, storage, begin)
	if r == nil {
		return nil
	}
	defer r.Close()
	_, err := wait(ctx, r.entry, maxFill, func(e *entry) (struct{}, bool) { return struct{}{}, e.done }, struct{}{})
	if errors.Is(err, ErrNoRoom) {
		return nil
	}
	return err
}

// maxFill is how long Fill waits.
const maxFill = time.Hour

// use notes that an entry is used, and opens its file; the lock is held.
func (c *Cache) use(r *Reader) (err error) {
	e := r.entry
	switch {
	case e.place == nil: // being made
	case e.path == "":
		c.memory.recent.MoveToFront(e.place)
	default:
		c.files.recent.MoveToFront(e.place)
		c.storages[e.storage].MoveToFront(e.ofStorage)
		r.whole, err = e.open()
	}
	return err
}

// fill makes an entry.
func (c *Cache) fill(ctx context.Context, e *entry, make Make) {
	band := pktline.NewSideband(e, pktline.SidebandLarge)
	err := make(ctx, band, e.counted)
	if err == nil {
		err = band.Flush()
	}
	if err == nil {
		err = e.name()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.keep(e)
	case c.entries[e.key] == e:
		delete(c.entries, e.key)
	}
	if errors.Is(err, ErrNoRoom) {
		if len(c.tooLarge) >= maxTooLarge {
			clear(c.tooLarge)
		}
		if errors.Is(err, errTooLarge) {
			c.tooLarge[e.key] = struct{}{}
		} else {
			c.paused = time.Now().Add(pause)
		}
	}
	e.finish(err)
}

// keep gives an entry its place and makes room for it; the lock is held.
func (c *Cache) keep(e *entry) {
	if e.path == "" {
		e.place = c.memory.recent.PushFront(e)
		c.memory.bytes += e.size
		for c.memory.bytes > c.config.MemoryBytes {
			c.remove(c.memory.recent.Back().Value.(*entry))
		}
		return
	}
	of := c.storages[e.storage]
	if of == nil {
		of = list.New()
		c.storages[e.storage] = of
	}
	e.place, e.ofStorage = c.files.recent.PushFront(e), of.PushFront(e)
	c.files.bytes += e.size
	bytes := int64(0)
	for at := of.Front(); at != nil; at = at.Next() {
		bytes += at.Value.(*entry).size
	}
	for bytes > c.config.StorageBytes {
		last := of.Back().Value.(*entry)
		bytes -= last.size
		c.remove(last)
	}
	for c.files.bytes > c.config.Bytes {
		c.remove(c.files.recent.Back().Value.(*entry))
	}
}

// remove forgets an entry; the lock is held. Who reads it may go on.
func (c *Cache) remove(e *entry) {
	if c.entries[e.key] == e {
		delete(c.entries, e.key)
	}
	switch {
	case e.place == nil:
	case e.path == "":
		c.memory.recent.Remove(e.place)
		c.memory.bytes -= e.size
	default:
		c.files.recent.Remove(e.place)
		c.files.bytes -= e.size
		of := c.storages[e.storage]
		of.Remove(e.ofStorage)
		if of.Len() == 0 {
			delete(c.storages, e.storage)
		}
		// What is still there at the next start is found then.
		_ = os.Remove(e.path)
	}
	e.place, e.ofStorage = nil, nil
	e.drop()
}

// Stats returns how the cache does.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.FileBytes, s.MemoryBytes, s.Entries = c.files.bytes, c.memory.bytes, len(c.entries)
	return s
}

// begin starts an entry; the lock is held.
func (c *Cache) begin(key Key, storage string) *entry {
	c.made++
	return &entry{
		key: key, storage: storage, max: c.config.StorageBytes, moved: make(chan struct{}), objects: -1,
		temporary: filepath.Join(c.making, fmt.Sprint(c.made)),
		final:     filepath.Join(c.config.Dir, storage, hex.EncodeToString(key[:])+suffix),
	}
}

const suffix = ".pack"

const (
	maxTooLarge = 1024        // keys remembered of packs that did not fit
	pause       = time.Minute // without new entries after the disk was full
)

// ErrNoRoom says that a pack that was being made did not fit into the cache, or that the
// disk is full.
var ErrNoRoom = errors.New("no room in the cache of packs")

var errTooLarge = fmt.Errorf("%w: it is too large for it", ErrNoRoom)
