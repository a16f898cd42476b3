package maintenance

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/annal-git/annal/domain/git"
)

// Kind is what a job does.
type Kind string

// The kinds of jobs.
const (
	Nothing Kind = ""
	RollUp  Kind = "roll-up" // small packs into one
	Full    Kind = "full"    // all packs into one with a bitmap, and one of what no ref ever named
)

// Plan is a job and the packs that it supersedes.
type Plan struct {
	Kind  Kind
	Packs []git.Pack
}

// Thresholds say when something is due.
type Thresholds struct {
	// Packs is how many packs a repository may have whatever its size; with each
	// doubling of it above a MiB it may have one more. Default 8.
	Packs int
	// Tail is how many percent of a repository's bytes may lie outside of its largest
	// pack before a roll-up becomes a full repack. Default 10.
	Tail int
}

func (t Thresholds) withDefaults() Thresholds {
	t.Packs, t.Tail = cmp.Or(t.Packs, DefaultPacks), cmp.Or(t.Tail, 10)
	return t
}

// DefaultPacks is the default of Thresholds.Packs.
const DefaultPacks = 8

// maxRollUp bounds the packs of one job, and with them the event that registers it.
const maxRollUp = 4096

// Choose says what is due for a repository with these packs.
func Choose(packs []git.Pack, t Thresholds) Plan {
	t = t.withDefaults()
	if len(packs) <= t.allowed(packs) {
		return Plan{}
	}
	sorted := slices.SortedFunc(slices.Values(packs), func(a, b git.Pack) int {
		return cmp.Or(cmp.Compare(a.Objects, b.Objects), cmp.Compare(a.Bytes, b.Bytes), slices.Compare(a.ID[:], b.ID[:]))
	})
	count := geometric(sorted)
	largest := slices.MaxFunc(packs, func(a, b git.Pack) int { return cmp.Compare(a.Bytes, b.Bytes) })
	total := totalBytes(packs)
	if len(packs) <= maxRollUp && (count == len(sorted) || (total-largest.Bytes)*100 > total*int64(t.Tail)) {
		return Plan{Full, packs}
	}
	if count < 2 {
		return Plan{}
	}
	return Plan{RollUp, sorted[:min(count, maxRollUp)]}
}

// allowed is how many packs a repository may have: the larger it is, the dearer it is to
// combine them.
func (t Thresholds) allowed(packs []git.Pack) int {
	return t.Packs + bits.Len64(uint64(totalBytes(packs)>>20)) //nolint:gosec // sizes are positive
}

func totalBytes(packs []git.Pack) (total int64) {
	for _, p := range packs {
		total += p.Bytes
	}
	return total
}

// geometric is how many of the packs, sorted by their number of objects, have to be
// combined so that each pack left has at least twice the objects of all before it.
func geometric(sorted []git.Pack) (count int) {
	sum := int64(0)
	for i, p := range sorted {
		if i > 0 && p.Objects < 2*sum {
			count = i + 1
		}
		sum += p.Objects
	}
	return count
}
