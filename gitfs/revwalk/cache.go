package revwalk

import (
	"sync"

	"github.com/annal-git/annal/domain/git"
)

// Commit is what a walk needs of a commit.
type Commit struct {
	Tree    git.ObjectID
	Parents []git.ObjectID // not to be changed
	Time    int64          // of the committer, in seconds since 1970
}

// entryOverhead is what a cached commit takes beside its parents, in bytes: the
// key, the value, the header of the slice and the map's own share.
const entryOverhead = 160

// Cache remembers commits. One serves all repositories of a node, because an
// object is the same wherever it lies. It takes at most the bytes it was made
// with: when half of them are full, what was not used since the half before that
// is forgotten.
type Cache struct {
	mu       sync.Mutex
	half     int64
	used     int64 // bytes of young
	young    map[git.ObjectID]Commit
	previous map[git.ObjectID]Commit
}

// NewCache makes a Cache of at most the given number of bytes.
func NewCache(bytes int64) *Cache {
	return &Cache{half: bytes / 2, young: map[git.ObjectID]Commit{}}
}

func (c *Cache) get(id git.ObjectID) (Commit, bool) {
	if c == nil {
		return Commit{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if commit, ok := c.young[id]; ok {
		return commit, true
	}
	commit, ok := c.previous[id]
	if ok {
		c.insert(id, commit)
	}
	return commit, ok
}

func (c *Cache) put(id git.ObjectID, commit Commit) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(id, commit)
}

// insert adds to the young half; the lock is held.
func (c *Cache) insert(id git.ObjectID, commit Commit) {
	size := int64(entryOverhead + len(commit.Parents)*len(id))
	if size > c.half {
		return
	}
	if c.used+size > c.half {
		c.previous, c.young, c.used = c.young, map[git.ObjectID]Commit{}, 0
	}
	if _, there := c.young[id]; !there {
		c.young[id] = commit
		c.used += size
	}
}
