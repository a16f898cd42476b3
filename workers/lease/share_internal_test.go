package lease

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever owners want and hold at first, following the rules turn by turn gives
// every wanted lease an owner and leaves nobody two more than another who wants one
// of his.
func TestSharesBecomeEven(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		owners := rapid.IntRange(1, 5).Draw(t, "owners")
		names := rapid.IntRange(1, 12).Draw(t, "names")
		wants := map[string]map[string]bool{}
		held := map[string]string{}
		for o := range owners {
			owner := fmt.Sprint("owner", o)
			wants[owner] = map[string]bool{}
			for n := range names {
				name := fmt.Sprintf("lease%02d", n)
				if rapid.IntRange(0, 3).Draw(t, "wants") > 0 {
					wants[owner][name] = true
					if held[name] == "" && rapid.Bool().Draw(t, "holds") {
						held[name] = owner
					}
				}
			}
		}
		turn := func(me string, patient bool) (changed bool) {
			others := maps.Clone(wants)
			delete(others, me)
			s := situation{
				me: me, wanted: slices.Collect(maps.Keys(wants[me])), held: maps.Clone(held), others: others,
				free: func(string) time.Duration {
					if patient {
						return patience
					}
					return 0
				},
			}
			take, handOver := s.share()
			for _, name := range take {
				held[name] = me
			}
			if handOver != "" {
				delete(held, handOver)
			}
			return len(take) > 0 || handOver != ""
		}
		// The others act before the one who handed over has lost patience.
		for round := 0; ; round++ {
			changed := false
			for _, patient := range []bool{false, true} {
				for _, owner := range slices.Sorted(maps.Keys(wants)) {
					changed = turn(owner, patient) || changed
				}
			}
			if !changed {
				break
			}
			if round > 10*names {
				t.Fatalf("leases go from hand to hand for ever: %v", held)
			}
		}
		counts := map[string]int{}
		for _, owner := range held {
			counts[owner]++
		}
		for owner, wanted := range wants {
			for name := range wanted {
				if held[name] == "" {
					t.Errorf("nobody has %s", name)
				}
				if counts[owner]+2 <= counts[held[name]] {
					t.Errorf("%s holds %d and %s, who wants %s, too, holds %d", held[name], counts[held[name]], owner, name, counts[owner])
				}
			}
		}
	})
}
