package store

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pack"
)

// none stands for "no entry" where an index of the table is expected.
const none = int32(-1)

// received is what is remembered of an entry of a pack being received.
type received struct {
	offset int64
	end    int64 // where its stream ends
	size   int64 // of what the stream holds
	id     git.ObjectID
	crc    uint32
	base   int32 // entry that this delta is against; none for whole objects and thin deltas
	depth  int32
	header uint8 // length of the entry's header
	kind   pack.Kind
	typ    object.Type // 0 until id is known

	appended bool // it did not come, but is the base of a delta that did
}

// table is all entries of a pack being received, by offset, and which of them wait
// for which: deltas by offset as lists of children, deltas by id sorted by id.
type table struct {
	entries []received
	child   []int32 // first child of an entry
	sibling []int32 // next child of the same base
	weight  []int32 // entries that wait for an entry through offsets, with itself
	refs    []refDelta
	taken   []bool // of refs: somebody resolves it; guarded by resolver.mu
}

// refDelta is a delta whose base is named by id.
type refDelta struct {
	base  git.ObjectID
	entry int32
}

func (t *table) add(e received) {
	t.entries = append(t.entries, e)
}

// streams is the size of what is inflated beyond the objects that came: deltas, and objects
// of the repository.
func (t *table) streams() (size int64) {
	for i := range t.entries {
		if e := &t.entries[i]; e.kind.IsDelta() || e.appended {
			size += e.size
		}
	}
	return size
}

// find returns the entry that starts at offset.
func (t *table) find(offset int64) (int32, bool) {
	i, ok := slices.BinarySearchFunc(t.entries, offset, func(e received, offset int64) int {
		return cmp.Compare(e.offset, offset)
	})
	return int32(i), ok
}

// link prepares the lists, once all entries are there.
func (t *table) link() {
	n := len(t.entries)
	t.child, t.sibling, t.weight = make([]int32, n), make([]int32, n), make([]int32, n)
	for i := range t.child {
		t.child[i], t.sibling[i] = none, none
	}
	// A base stands before its deltas, so from the end each weight is complete
	// when it is added to that of the base.
	for i := n - 1; i >= 0; i-- {
		t.weight[i]++
		if base := t.entries[i].base; base != none {
			t.sibling[i], t.child[base] = t.child[base], int32(i)
			t.weight[base] += t.weight[i]
		}
	}
	slices.SortFunc(t.refs, func(a, b refDelta) int {
		return cmp.Or(slices.Compare(a.base[:], b.base[:]), cmp.Compare(a.entry, b.entry))
	})
	t.taken = make([]bool, len(t.refs))
}

// refsOf returns which of t.refs, [from, to), are deltas against an object by id.
func (t *table) refsOf(id git.ObjectID) (from, to int) {
	from, _ = slices.BinarySearchFunc(t.refs, id, func(r refDelta, id git.ObjectID) int {
		return slices.Compare(r.base[:], id[:])
	})
	for to = from; to < len(t.refs) && t.refs[to].base == id; to++ {
	}
	return from, to
}

// checkDepth computes the depth of every entry anew. It is needed when deltas have
// got another base than the one they were resolved with, and refuses circles.
func (t *table) checkDepth(limit int) error {
	const unknown, open = 0, -1 // else depth + 1
	depth := make([]int32, len(t.entries))
	var path []int32
	for i := range t.entries {
		at := int32(i)
		for at != none && depth[at] == unknown {
			depth[at] = open
			path = append(path, at)
			at = t.entries[at].base
		}
		below := int32(0)
		if at != none {
			if below = depth[at]; below == open {
				return &CorruptPackError{Reason: "deltas are based on each other in a circle"}
			}
		}
		for len(path) > 0 {
			at, path = path[len(path)-1], path[:len(path)-1]
			below++
			depth[at] = below
		}
		if int(depth[i])-1 > limit {
			return errDepth(limit)
		}
	}
	return nil
}

func errDepth(limit int) error {
	return &LimitError{What: "chain of deltas", Limit: int64(limit), Unit: "deltas"}
}

func errDuplicate(id git.ObjectID) error {
	return &CorruptPackError{Reason: fmt.Sprintf("object %s is in it twice", id)}
}
