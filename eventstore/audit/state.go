package audit

import (
	"encoding/binary"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// refs is the fold of all pushes: where each ref points, and since which event.
type refs struct {
	partial      bool // the log is not read from its start
	repositories map[domain.RepositoryID]*refsOf
}

type refsOf struct {
	whole bool // it is known from its start
	refs  map[string]*ref
}

type ref struct {
	id       git.ObjectID
	position int64
}

func newRefs(partial bool) *refs {
	return &refs{partial: partial, repositories: map[domain.RepositoryID]*refsOf{}}
}

func (r *refs) of(id domain.RepositoryID) *refsOf {
	known := r.repositories[id]
	if known == nil {
		known = &refsOf{whole: !r.partial, refs: map[string]*ref{}}
		r.repositories[id] = known
	}
	return known
}

// push moves refs and checks that each was where the event says that it was.
func (r *refs) push(f *findings, position int64, id domain.RepositoryID, e repository.RefsUpdated) {
	of := r.of(id)
	for i := range e.Updates {
		u := &e.Updates[i]
		at, known := of.refs[u.Name]
		switch {
		case known && at.id != u.Old:
			f.order(Form, position, "event %d moves %s of repository %d from %s, where event %d had put it at %s", position, u.Name, id, u.Old, at.position, at.id)
		case !known && of.whole && !u.Old.IsZero():
			f.order(Form, position, "event %d moves %s of repository %d from %s, but there was no such ref", position, u.Name, id, u.Old)
		}
		switch {
		case u.IsDelete() && of.whole:
			delete(of.refs, u.Name)
		case known:
			at.id, at.position = u.New, position
		default:
			of.refs[u.Name] = &ref{u.New, position}
		}
	}
}

// idSet remembers 16-byte ids by 8 bytes that are made of each, for memory's sake. Ids of
// commands are random in their second half: that two come to the same is as likely as
// that two of 62 random bits do.
type idSet struct {
	slots []uint64
	count int
}

// spread is odd, and its bits are even ones and zeros: it spreads what is multiplied by it.
const spread = 0x9e3779b97f4a7c15

// add reports whether an id was there already.
func (s *idSet) add(id [16]byte) bool {
	key := binary.BigEndian.Uint64(id[8:]) ^ binary.BigEndian.Uint64(id[:8])*spread
	key = max(key, 1) // 0 is an empty slot
	if 4*s.count >= 3*len(s.slots) {
		s.grow()
	}
	if s.insert(key) {
		s.count++
		return false
	}
	return true
}

func (s *idSet) insert(key uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := (key * spread) & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case 0:
			s.slots[i] = key
			return true
		case key:
			return false
		}
	}
}

func (s *idSet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(2*len(old), 1024))
	for _, key := range old {
		if key != 0 {
			s.insert(key)
		}
	}
}
