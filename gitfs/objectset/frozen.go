package objectset

import (
	"slices"

	"github.com/annal-git/annal/domain/git"
)

// Frozen is a Set that does not need its packs to be open.
type Frozen struct {
	packs   []git.ObjectID // all that there were, by rank
	members []members
	len     int
}

// Freeze copies the set.
func (s *Set) Freeze() *Frozen {
	f := &Frozen{members: copyMembers(s.packs), len: s.len}
	for _, pack := range s.places.packs {
		f.packs = append(f.packs, pack.ID())
	}
	return f
}

// Bytes is about how much memory the set takes.
func (f *Frozen) Bytes() int64 {
	bytes := int64(0)
	for _, m := range f.members {
		bytes += int64(len(git.ZeroID) + 32 + 8*len(m.words))
	}
	return bytes
}

// Thaw copies a frozen set back. It fails if places have changed since: when a pack
// is gone, or a new one is larger than one of the old.
func (p *Places) Thaw(f *Frozen) (*Set, bool) {
	if len(p.packs) < len(f.packs) {
		return nil, false
	}
	for i, id := range f.packs {
		if p.packs[i].ID() != id {
			return nil, false
		}
	}
	s := &Set{places: p, packs: copyMembers(f.members), len: f.len}
	s.packs = append(s.packs, make([]members, len(p.packs)-len(f.packs))...)
	return s, true
}

func copyMembers(list []members) []members {
	list = slices.Clone(list)
	for i := range list {
		list[i].words = slices.Clone(list[i].words)
	}
	return list
}
