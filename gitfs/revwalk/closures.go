package revwalk

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/objectset"
	"github.com/annal-git/annal/gitfs/store"
)

// Closures remembers what some tips reach: what a full clone of them holds. What is
// reachable from an id never changes, so an answer is never stale; when refs have
// moved on, only what is new is looked for. The least recently used answers are
// forgotten when there is no room left.
type Closures struct {
	mu      sync.Mutex
	limit   int64 // bytes
	used    int64
	entries map[closureKey]*list.Element // of *closure
	recent  *list.List                   // most recently used first

	dir      string              // where they are kept for the next process; "" if nowhere
	disk     sync.Mutex          // of those who read or write there
	recalled map[string]struct{} // storages whose files have been read
}

type closureKey [sha256.Size]byte

type closure struct {
	key        closureKey
	storage    string
	tips       []git.ObjectID
	set, blobs *objectset.Frozen
	bytes      int64
}

// Closure is what some tips reach. The caller may change it.
type Closure struct {
	Objects *objectset.Set
	Blobs   *objectset.Set // the files among the objects that trees name
}

// NewClosures makes a Closures that takes at most the given number of bytes. dir is a folder
// of the local home where answers that took long are kept for the next process, "" for none.
func NewClosures(bytes int64, dir string) *Closures {
	if dir != "" {
		trim(dir)
	}
	return &Closures{limit: bytes, entries: map[closureKey]*list.Element{}, recent: list.New(), dir: dir, recalled: map[string]struct{}{}}
}

// Reachable returns all objects that the tips reach, which may be of any type. storage
// names the repository. progress may be nil.
func (c *Closures) Reachable(ctx context.Context, g *Graph, objects *store.Objects, storage string, tips []git.ObjectID, progress func(int)) (Closure, error) {
	if known, ok := c.Known(objects, storage, tips); ok {
		return known, nil
	}
	known, ok, err := c.Near(ctx, g, objects, storage, tips, progress)
	if ok || err != nil {
		return known, err
	}
	tips = sorted(tips)
	found, err := g.Enumerate(ctx, objects, Selection{Wants: tips, Blobs: true, Progress: progress})
	if err != nil {
		return Closure{}, err
	}
	known = Closure{found.Send, found.Blobs}
	c.keep(c.put(storage, tips, known))
	return known, nil
}

// Known is Reachable if the answer is at hand.
func (c *Closures) Known(objects *store.Objects, storage string, tips []git.ObjectID) (Closure, bool) {
	c.recall(storage)
	known := c.get(keyOf(storage, sorted(tips)))
	if known == nil {
		return Closure{}, false
	}
	return known.thaw(objectset.PlacesOf(objects))
}

func (known *closure) thaw(places *objectset.Places) (Closure, bool) {
	set, ok := places.Thaw(known.set)
	if !ok {
		return Closure{}, false
	}
	blobs, ok := places.Thaw(known.blobs)
	return Closure{set, blobs}, ok
}

// nearby is how many of the answers for a repository are looked at for one that is wholly
// inside of another.
const nearby = 4

// Near is Reachable if an older answer is wholly inside of this one, so that only what is
// new has to be looked for.
func (c *Closures) Near(ctx context.Context, g *Graph, objects *store.Objects, storage string, tips []git.ObjectID, progress func(int)) (near Closure, ok bool, err error) {
	if known, ok := c.Known(objects, storage, tips); ok {
		return known, true, nil
	}
	tips = sorted(tips)
	places := objectset.PlacesOf(objects)
	for _, older := range c.latest(storage) {
		near, ok := older.thaw(places)
		if !ok {
			continue
		}
		if inside, err := g.reachesAll(ctx, tips, older.tips); err != nil {
			return Closure{}, false, err
		} else if !inside {
			continue
		}
		found, err := g.Enumerate(ctx, objects, Selection{Wants: tips, Haves: older.tips, Blobs: true, Progress: progress})
		if err != nil {
			return Closure{}, false, err
		}
		near.Objects.Join(found.Send)
		near.Blobs.Join(found.Blobs)
		c.put(storage, tips, near)
		return near, true, nil
	}
	return Closure{}, false, nil
}

// sorted returns the ids in order, each once.
func sorted(ids []git.ObjectID) []git.ObjectID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids)
}

func compareIDs(a, b git.ObjectID) int { return bytes.Compare(a[:], b[:]) }

// keyOf names a question; the tips are sorted.
func keyOf(storage string, tips []git.ObjectID) closureKey {
	h := sha256.New()
	// A hash never fails to write.
	_, _ = fmt.Fprintf(h, "%s\n", storage)
	for _, id := range tips {
		_, _ = h.Write(id[:])
	}
	return closureKey(h.Sum(nil))
}

// reachesAll reports whether the tips reach all of the older ones.
func (g *Graph) reachesAll(ctx context.Context, tips, older []git.ObjectID) (bool, error) {
	var rest []git.ObjectID
	for _, id := range older {
		if _, same := slices.BinarySearchFunc(tips, id, compareIDs); !same {
			rest = append(rest, id)
		}
	}
	for _, id := range rest {
		t, err := g.typeOf(ctx, id)
		if err != nil || t != object.TypeCommit { // a tag that is gone
			return false, err
		}
	}
	starts, err := g.Commits(ctx, tips)
	if err != nil {
		return false, err
	}
	found, err := g.Reachable(ctx, starts, rest)
	return len(found) == len(rest), err
}

func (c *Closures) get(key closureKey) *closure {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return nil
	}
	c.recent.MoveToFront(element)
	return element.Value.(*closure)
}

// latest returns the answers for a repository that were used last.
func (c *Closures) latest(storage string) (latest []*closure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for element := c.recent.Front(); element != nil && len(latest) < nearby; element = element.Next() {
		if known := element.Value.(*closure); known.storage == storage {
			latest = append(latest, known)
		}
	}
	return latest
}

func newClosure(storage string, tips []git.ObjectID, set, blobs *objectset.Frozen) *closure {
	known := &closure{key: keyOf(storage, tips), storage: storage, tips: tips, set: set, blobs: blobs}
	known.bytes = known.set.Bytes() + known.blobs.Bytes() + int64(len(known.tips)*len(git.ZeroID)) + 256
	return known
}

func (c *Closures) put(storage string, tips []git.ObjectID, found Closure) *closure {
	known := newClosure(storage, tips, found.Objects.Freeze(), found.Blobs.Freeze())
	c.remember(known)
	return known
}

func (c *Closures) remember(known *closure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[known.key]; ok {
		c.remove(element)
	}
	c.entries[known.key] = c.recent.PushFront(known)
	c.used += known.bytes
	for c.used > c.limit {
		c.remove(c.recent.Back())
	}
}

// remove forgets an answer; the lock is held.
func (c *Closures) remove(element *list.Element) {
	known := c.recent.Remove(element).(*closure)
	delete(c.entries, known.key)
	c.used -= known.bytes
}
