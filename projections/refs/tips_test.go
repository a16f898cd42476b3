package refs

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
)

// Every set knows its own tips, whether its index was made from nothing or from that of
// the set before.
func TestTips(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.Map(rapid.IntRange(0, 6), func(n int) git.ObjectID { return git.ObjectID{byte(n)} })
		sets := []*Set{newSet()}
		for range rapid.IntRange(1, 12).Draw(rt, "pushes") {
			from := rapid.SampledFrom(sets).Draw(rt, "from")
			var changes []git.Ref
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				ref := git.Ref{Name: fmt.Sprint("refs/tags/", rapid.IntRange(0, 5).Draw(rt, "name")), ID: id.Draw(rt, "id")}
				if !ref.ID.IsZero() {
					ref.Peeled = id.Draw(rt, "peeled")
				}
				changes = append(changes, ref)
			}
			sets = append(sets, from.with(changes))
			if rapid.Bool().Draw(rt, "ask") {
				set := rapid.SampledFrom(sets).Draw(rt, "asked")
				checkTips(rt, set)
			}
		}
		for _, set := range sets {
			checkTips(rt, set)
		}
	})
}

func checkTips(rt *rapid.T, set *Set) {
	named := map[git.ObjectID]bool{}
	for ref := range set.Prefixed("") {
		named[ref.ID] = true
		if !ref.Peeled.IsZero() {
			named[ref.Peeled] = true
		}
	}
	for n := range byte(8) {
		if id := (git.ObjectID{n}); set.IsTip(id) != named[id] {
			rt.Fatalf("%s is a tip: %v, want %v", id, set.IsTip(id), named[id])
		}
	}
}
