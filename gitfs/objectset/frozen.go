package objectset

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/store"
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

// Len is the number of objects.
func (f *Frozen) Len() int { return f.len }

// Append appends a set to b, in the form that Parse reads: the number of packs, and for each
// its name, the number of its words and those. It has no checksum.
func (f *Frozen) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.packs)))
	for i, id := range f.packs {
		b = append(b, id[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(f.members[i].words)))
		for _, word := range f.members[i].words {
			b = binary.BigEndian.AppendUint64(b, word)
		}
	}
	return b
}

// Parse reads a set from the start of b, and returns what follows it.
func Parse(b []byte) (f *Frozen, rest []byte, ok bool) {
	const idSize = len(git.ZeroID)
	if len(b) < 4 {
		return nil, nil, false
	}
	packs := int(binary.BigEndian.Uint32(b))
	if b = b[4:]; len(b)/(idSize+4) < packs {
		return nil, nil, false
	}
	f = &Frozen{}
	for range packs {
		if len(b) < idSize+4 {
			return nil, nil, false
		}
		f.packs = append(f.packs, git.ObjectID(b[:idSize]))
		words := int(binary.BigEndian.Uint32(b[idSize:]))
		if b = b[idSize+4:]; len(b)/8 < words {
			return nil, nil, false
		}
		m := members{}
		for range words {
			word := binary.BigEndian.Uint64(b)
			m.words = append(m.words, word)
			m.len += bits.OnesCount64(word)
			b = b[8:]
		}
		f.members = append(f.members, m)
		f.len += m.len
	}
	return f, b, true
}

// Thaw copies a frozen set back, to places that may have more packs by now. It fails if a
// pack is gone that held some of the set.
func (p *Places) Thaw(f *Frozen) (*Set, bool) {
	s := New(p)
	was := make([]bool, len(p.packs)) // by rank: whether there was that pack
	last := -1
	for i, id := range f.packs {
		rank := slices.IndexFunc(p.packs, func(pack *store.Pack) bool { return pack.ID() == id })
		switch {
		case rank < 0 && f.members[i].len == 0:
			continue
		case rank <= last:
			return nil, false // gone, or packs of equal size have changed their order
		}
		if n := len(f.members[i].words); n != 0 && n != (p.packs[rank].Index().Len()+63)/64 {
			return nil, false
		}
		last, was[rank] = rank, true
		s.packs[rank] = members{slices.Clone(f.members[i].words), f.members[i].len}
	}
	s.len = f.len
	for rank := range p.packs {
		if !was[rank] && rank < last {
			s.move(rank)
		}
	}
	return s, true
}

// move gives the objects of the set that are in the pack of a rank their place there, if
// that was behind it.
func (s *Set) move(rank int) {
	index := s.places.packs[rank].Index()
	for pos := range index.Len() {
		id := index.ID(pos)
		if at, _ := s.places.Find(id); at.Pack != rank {
			continue
		}
		for behind := rank + 1; behind < len(s.packs); behind++ {
			old, ok := s.places.packs[behind].Index().Find(id)
			if !ok || !s.HasAt(Place{behind, old}) {
				continue
			}
			m := &s.packs[behind]
			m.words[old/64] &^= 1 << (old % 64)
			m.len--
			s.len--
			s.AddAt(Place{rank, pos})
			break
		}
	}
}

func copyMembers(list []members) []members {
	list = slices.Clone(list)
	for i := range list {
		list[i].words = slices.Clone(list[i].words)
	}
	return list
}
