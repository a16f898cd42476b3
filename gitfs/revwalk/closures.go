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
}

type closureKey [sha256.Size]byte

type closure struct {
	key     closureKey
	storage string
	tips    []git.ObjectID
	set     *objectset.Frozen
	bytes   int64
}

// NewClosures makes a Closures that takes at most the given number of bytes.
func NewClosures(bytes int64) *Closures {
	return &Closures{limit: bytes, entries: map[closureKey]*list.Element{}, recent: list.New()}
}

// Reachable returns all objects that the tips reach, which may be of any type. The
// caller may change the set. storage names the repository. progress may be nil.
func (c *Closures) Reachable(ctx context.Context, g *Graph, objects *store.Objects, storage string, tips []git.ObjectID, progress func(int)) (*objectset.Set, error) {
	if set, ok := c.Known(objects, storage, tips); ok {
		return set, nil
	}
	tips = sorted(tips)
	set, err := c.extend(ctx, g, objects, storage, tips, progress)
	if err != nil {
		return nil, err
	}
	c.put(&closure{key: keyOf(storage, tips), storage: storage, tips: tips, set: set.Freeze()})
	return set, nil
}

// Known is Reachable if the answer is at hand.
func (c *Closures) Known(objects *store.Objects, storage string, tips []git.ObjectID) (*objectset.Set, bool) {
	known := c.get(keyOf(storage, sorted(tips)))
	if known == nil {
		return nil, false
	}
	return objectset.PlacesOf(objects).Thaw(known.set)
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

// extend works the answer out, from an older one if there is one that is wholly
// inside.
func (c *Closures) extend(ctx context.Context, g *Graph, objects *store.Objects, storage string, tips []git.ObjectID, progress func(int)) (*objectset.Set, error) {
	selection := Selection{Wants: tips, Progress: progress}
	places := objectset.PlacesOf(objects)
	var base *objectset.Set
	if older := c.latest(storage); older != nil {
		if set, ok := places.Thaw(older.set); ok {
			inside, err := g.reachesAll(ctx, tips, older.tips)
			if err != nil {
				return nil, err
			}
			if inside {
				base, selection.Haves = set, older.tips
			}
		}
	}
	found, err := g.Enumerate(ctx, objects, selection)
	if err != nil {
		return nil, err
	}
	if base == nil {
		return found.Send, nil
	}
	for id := range found.Send.All() {
		base.Add(id)
	}
	return base, nil
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

// latest returns the answer for a repository that was used last.
func (c *Closures) latest(storage string) *closure {
	c.mu.Lock()
	defer c.mu.Unlock()
	for element := c.recent.Front(); element != nil; element = element.Next() {
		if known := element.Value.(*closure); known.storage == storage {
			return known
		}
	}
	return nil
}

func (c *Closures) put(known *closure) {
	known.bytes = known.set.Bytes() + int64(len(known.tips)*len(git.ZeroID)) + 256
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
