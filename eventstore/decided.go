package eventstore

import (
	"strings"
	"sync"

	"github.com/annal-git/annal/domain"
)

// maxDecidedStreams bounds how many repositories' decisions are remembered apart.
const maxDecidedStreams = 10_000

// decided remembers the newest decisions, which are the events other than pushes: who may
// do what, and what everything is called. What a node has judged by them holds until there
// is a newer one. Decisions about one repository change nothing for another; all others
// are taken to change everything.
type decided struct {
	mu           sync.Mutex
	floor        int64                   // nothing is known of decisions up to here
	upTo         int64                   // all decisions up to here are known
	everywhere   int64                   // position of the newest decision that is not about one repository
	repositories map[domain.Stream]int64 // position of the newest decision about each
}

// decision is where the log holds one.
type decision struct {
	stream   domain.Stream
	position int64
}

// from returns the position behind which the database is to be asked, when the log is known
// to have reached another.
func (d *decided) from(known int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known-d.upTo > freshBehind {
		d.forget(known)
	}
	return d.upTo
}

// learn takes in what the database has told, which was all up to the position known.
func (d *decided) learn(decisions []decision, known int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, new := range decisions {
		known = max(known, new.position)
	}
	if len(decisions) == freshDecided || len(d.repositories) > maxDecidedStreams {
		d.forget(known)
	}
	for _, new := range decisions {
		if strings.HasPrefix(string(new.stream), domain.RepositoryStreams) {
			d.repositories[new.stream] = max(new.position, d.repositories[new.stream])
		} else {
			d.everywhere = max(new.position, d.everywhere)
		}
	}
	d.upTo = max(known, d.upTo)
}

// forget begins anew at a position; the lock is held.
func (d *decided) forget(at int64) {
	d.floor, d.upTo = max(at, d.floor), max(at, d.upTo)
	d.repositories = map[domain.Stream]int64{}
}

// Unchanged reports whether what was judged about a repository, by rows that were read when
// the log had reached the position since, would be judged so still: whether Fresh has heard
// of no event since that is not a push and is about that repository, or about none.
func (l *Log) Unchanged(since int64, repository domain.RepositoryID) bool {
	d := &l.decided
	d.mu.Lock()
	defer d.mu.Unlock()
	return since >= d.floor && d.everywhere <= since && d.repositories[domain.RepositoryStream(repository)] <= since
}
