package refs

import (
	"bytes"

	"github.com/tidwall/btree"

	"github.com/annal-git/annal/domain/git"
)

// tip is an object that refs name, directly or behind a tag.
type tip struct {
	id    git.ObjectID
	named int // how often
}

// tipOverhead is what a tip costs in memory, roughly.
const tipOverhead = 64

// IsTip reports whether a ref names the object, directly or behind a tag. Who is asked
// first makes an index, which the sets that come after keep up.
func (s *Set) IsTip(id git.ObjectID) bool {
	tips := s.tips.Load()
	if tips == nil {
		tips = s.indexTips()
	}
	_, found := tips.Get(tip{id: id})
	return found
}

func (s *Set) indexTips() *btree.BTreeG[tip] {
	s.copying.Lock()
	defer s.copying.Unlock()
	if tips := s.tips.Load(); tips != nil {
		return tips
	}
	byID := func(a, b tip) bool { return bytes.Compare(a.id[:], b.id[:]) < 0 }
	tips := btree.NewBTreeGOptions(byID, btree.Options{NoLocks: true, Degree: nodeDegree})
	s.tree.Scan(func(ref git.Ref) bool {
		name(tips, ref, 1)
		return true
	})
	s.tips.Store(tips)
	return tips
}

// name counts the objects that a ref names, up or down.
func name(tips *btree.BTreeG[tip], ref git.Ref, by int) {
	for _, id := range [...]git.ObjectID{ref.ID, ref.Peeled} {
		if id.IsZero() {
			continue
		}
		t, _ := tips.Get(tip{id: id})
		t.id, t.named = id, t.named+by
		if t.named == 0 {
			tips.Delete(t)
		} else {
			tips.Set(t)
		}
	}
}
