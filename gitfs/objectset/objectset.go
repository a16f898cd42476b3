// Package objectset holds sets of a repository's objects as one bit for each
// entry of its packs, so that a set of a million objects takes little more than
// a hundred kilobytes.
package objectset

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/store"
)

// Places tells where each object of a repository lies. An object that several
// packs hold has one place all the same: that in the largest of them, because
// that is where most of what it is a delta of lies too. Safe for concurrent use.
type Places struct {
	packs []*store.Pack
}

// Place is an entry of a pack: the pack by its rank in Places.Packs, the entry by
// its position in the pack's index.
type Place struct{ Pack, Pos int }

// PlacesOf makes Places for a view of a repository.
func PlacesOf(objects *store.Objects) *Places {
	packs := slices.Clone(objects.Packs())
	slices.SortStableFunc(packs, func(a, b *store.Pack) int {
		return cmp.Compare(b.Index().Len(), a.Index().Len())
	})
	return &Places{packs: packs}
}

// Packs returns the packs by rank, the largest first.
func (p *Places) Packs() []*store.Pack { return p.packs }

// Find returns the place of an object.
func (p *Places) Find(id git.ObjectID) (Place, bool) {
	for i, pack := range p.packs {
		if pos, ok := pack.Index().Find(id); ok {
			return Place{i, pos}, true
		}
	}
	return Place{}, false
}

// Set is a set of objects. It must not be changed by several goroutines.
type Set struct {
	places *Places
	packs  []members // by rank
	len    int
}

type members struct {
	words []uint64 // nil while empty
	len   int
}

// New makes an empty set.
func New(places *Places) *Set {
	return &Set{places: places, packs: make([]members, len(places.packs))}
}

// Places tells where the objects of the set lie.
func (s *Set) Places() *Places { return s.places }

// Add puts id in the set. It reports whether it was not there before, and whether
// the repository has such an object at all.
func (s *Set) Add(id git.ObjectID) (added, found bool) {
	at, ok := s.places.Find(id)
	return ok && s.AddAt(at), ok
}

// AddAt is Add for an object whose place is known.
func (s *Set) AddAt(at Place) (added bool) {
	m := &s.packs[at.Pack]
	if m.words == nil {
		m.words = make([]uint64, (s.places.packs[at.Pack].Index().Len()+63)/64)
	}
	word, bit := &m.words[at.Pos/64], uint64(1)<<(at.Pos%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	m.len++
	s.len++
	return true
}

// Join puts all objects of another set with the same places into the set.
func (s *Set) Join(other *Set) {
	s.combine(other, func(mine, others uint64) uint64 { return mine | others })
}

// Drop takes all objects of another set with the same places out of the set.
func (s *Set) Drop(other *Set) {
	s.combine(other, func(mine, others uint64) uint64 { return mine &^ others })
}

func (s *Set) combine(other *Set, with func(mine, others uint64) uint64) {
	for rank := range other.packs {
		mine, others := &s.packs[rank], other.packs[rank].words
		if others == nil {
			continue
		}
		if mine.words == nil {
			mine.words = make([]uint64, len(others))
		}
		s.len -= mine.len
		mine.len = 0
		for i := range others {
			mine.words[i] = with(mine.words[i], others[i])
			mine.len += bits.OnesCount64(mine.words[i])
		}
		s.len += mine.len
	}
}

// Has reports whether id is in the set. The nil set is empty.
func (s *Set) Has(id git.ObjectID) bool {
	if s == nil || s.len == 0 {
		return false
	}
	at, ok := s.places.Find(id)
	return ok && s.HasAt(at)
}

// HasAt is Has for an object whose place is known.
func (s *Set) HasAt(at Place) bool {
	words := s.packs[at.Pack].words
	return words != nil && words[at.Pos/64]&(1<<(at.Pos%64)) != 0
}

// Len is the number of objects.
func (s *Set) Len() int { return s.len }

// LenIn is the number of objects whose place is in the pack of that rank.
func (s *Set) LenIn(rank int) int { return s.packs[rank].len }

// In yields the index positions of the objects in the pack of that rank, in the
// order of ids.
func (s *Set) In(rank int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range s.packs[rank].words {
			for ; word != 0; word &= word - 1 {
				if !yield(i*64 + bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}

// All yields every object, pack by pack.
func (s *Set) All() iter.Seq[git.ObjectID] {
	return func(yield func(git.ObjectID) bool) {
		for rank, pack := range s.places.packs {
			for pos := range s.In(rank) {
				if !yield(pack.Index().ID(pos)) {
					return
				}
			}
		}
	}
}
