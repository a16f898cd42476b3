package refs

import (
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// packList is an immutable list of packs, oldest first. A longer list shares the bulk of
// the one it came from: a push must not cost more the more pushes there were before it.
type packList struct {
	bulk   []git.Pack // shared, without repetition
	recent []git.Pack // at most recentPacks, may repeat what is in bulk

	once sync.Once
	all  []git.Pack
}

const recentPacks = 32

// with returns the list with one more pack at the end.
func (l *packList) with(pack git.Pack) *packList {
	if len(l.recent) == recentPacks {
		l = &packList{bulk: l.list()}
	}
	recent := make([]git.Pack, len(l.recent)+1)
	copy(recent, l.recent)
	recent[len(l.recent)] = pack
	return &packList{bulk: l.bulk, recent: recent}
}

// combined returns the list after packs were combined: without the superseded ones, and
// with the new ones at its end.
func (l *packList) combined(event repository.PacksCombined) *packList {
	gone := make(map[git.ObjectID]bool, len(event.Superseded))
	for _, id := range event.Superseded {
		gone[id] = true
	}
	var bulk []git.Pack
	for _, pack := range l.list() {
		if !gone[pack.ID] {
			bulk = append(bulk, pack)
		}
	}
	for _, pack := range event.Packs {
		bulk = append(bulk, pack.Pack)
	}
	return &packList{bulk: bulk}
}

// list returns the packs, each once; the slice is not to be changed. The same objects
// pushed again make the same pack.
func (l *packList) list() []git.Pack {
	l.once.Do(func() {
		if len(l.recent) == 0 {
			l.all = l.bulk
			return
		}
		seen := make(map[git.ObjectID]bool, len(l.bulk)+len(l.recent))
		l.all = make([]git.Pack, 0, len(l.bulk)+len(l.recent))
		for _, packs := range [][]git.Pack{l.bulk, l.recent} {
			for _, pack := range packs {
				if !seen[pack.ID] {
					seen[pack.ID] = true
					l.all = append(l.all, pack)
				}
			}
		}
	})
	return l.all
}

// len is how many packs there are, repetitions counted.
func (l *packList) len() int { return len(l.bulk) + len(l.recent) }
