package refs

import (
	"iter"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/annal-git/annal/domain/git"
)

// Set is an immutable sorted set of refs. A changed set shares what did not
// change with the one it came from.
type Set struct {
	tree  *btree.BTreeG[git.Ref]
	bytes int64 // roughly, of memory

	tips atomic.Pointer[btree.BTreeG[tip]] // nil until somebody has asked

	copying sync.Mutex // a copy leaves a mark on the tree that it was made from
}

// refOverhead is what a ref costs in memory beside its name, roughly.
const refOverhead = 120 + tipOverhead

// nodeDegree keeps the nodes of the tree small: each changed set copies those on its way.
const nodeDegree = 8

func newSet() *Set {
	byName := func(a, b git.Ref) bool { return a.Name < b.Name }
	return &Set{tree: btree.NewBTreeGOptions(byName, btree.Options{NoLocks: true, Degree: nodeDegree})}
}

// with returns the set after changes; a change with the zero id removes its ref.
func (s *Set) with(changes []git.Ref) *Set {
	s.copying.Lock()
	changed := &Set{tree: s.tree.Copy(), bytes: s.bytes}
	tips := s.tips.Load()
	if tips != nil {
		tips = tips.Copy()
	}
	s.copying.Unlock()
	for _, ref := range changes {
		var before git.Ref
		var was bool
		if ref.ID.IsZero() {
			if before, was = changed.tree.Delete(ref); was {
				changed.bytes -= int64(len(ref.Name)) + refOverhead
			}
		} else if before, was = changed.tree.Set(ref); !was {
			changed.bytes += int64(len(ref.Name)) + refOverhead
		}
		if tips != nil && !ref.ID.IsZero() {
			name(tips, ref, 1)
		}
		if tips != nil && was {
			name(tips, before, -1)
		}
	}
	changed.tips.Store(tips)
	return changed
}

// Get finds a ref by its full name.
func (s *Set) Get(name string) (git.Ref, bool) { return s.tree.Get(git.Ref{Name: name}) }

// Len is the number of refs.
func (s *Set) Len() int { return s.tree.Len() }

// Prefixed yields the refs whose names start with prefix, in byte order.
func (s *Set) Prefixed(prefix string) iter.Seq[git.Ref] {
	return func(yield func(git.Ref) bool) {
		s.tree.Ascend(git.Ref{Name: prefix}, func(ref git.Ref) bool {
			return strings.HasPrefix(ref.Name, prefix) && yield(ref)
		})
	}
}

// inTheWay yields the refs that are folders of name or lie below it.
func (s *Set) inTheWay(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for folder := range git.Folders(name) {
			if _, exists := s.Get(folder); exists && !yield(folder) {
				return
			}
		}
		for ref := range s.Prefixed(name + "/") {
			if !yield(ref.Name) {
				return
			}
		}
	}
}
