package lease

import (
	"maps"
	"slices"
	"time"
)

// patience is how long a lease stays free for the one who holds fewest before anybody
// takes it: that one may have died.
const patience = 500 * time.Millisecond

// situation is what decides who should have which lease.
type situation struct {
	me     string
	wanted []string                   // by me, whether I hold them or not
	held   map[string]string          // lease to owner, of those whose time has not passed
	others map[string]map[string]bool // other living owner to the leases it wants
	free   func(name string) time.Duration
}

// share decides which free leases to take, in order of their names, and which one of
// mine, if any, somebody else should have. The rules are the same for everybody:
// whoever holds fewest takes, and whoever holds two more than another hands one over.
func (s situation) share() (take []string, handOver string) {
	counts := map[string]int{}
	for _, owner := range s.held {
		counts[owner]++
	}
	for _, name := range slices.Sorted(slices.Values(s.wanted)) {
		switch owner, taken := s.held[name]; {
		case !taken:
			if s.fewer(name, counts, 1) == "" || s.free(name) >= patience {
				take = append(take, name)
				counts[s.me]++
			}
		case owner == s.me && handOver == "":
			if s.fewer(name, counts, 2) != "" {
				handOver = name
			}
		}
	}
	return take, handOver
}

// fewer finds another owner that wants a lease and holds fewer than I do, by at least
// so many.
func (s situation) fewer(name string, counts map[string]int, by int) string {
	for _, owner := range slices.Sorted(maps.Keys(s.others)) {
		if s.others[owner][name] && counts[owner]+by <= counts[s.me] {
			return owner
		}
	}
	return ""
}
