package uploadpack

import (
	"container/list"
	"sync"

	"github.com/annal-git/annal/domain"
)

// answers keeps answers about refs, prepared once for a version of a repository. A newer
// version's answer takes the place of the older one's. Least recently used go first.
type answers struct {
	limit int64 // bytes

	mu      sync.Mutex
	bytes   int64
	entries map[answerKey]*list.Element // of *answer
	recent  list.List                   // most recently used first
}

// answerKey names a question about a repository.
type answerKey struct {
	repository domain.RepositoryID
	storage    string
	question   string
}

type answer struct {
	key     answerKey
	version int64
	head    string
	bytes   []byte
}

// answerOverhead is what an answer takes beside its bytes, roughly.
const answerOverhead = 300

func newAnswers(limit int64) *answers {
	return &answers{limit: limit, entries: map[answerKey]*list.Element{}}
}

// largest is how long an answer may be to be kept, in bytes.
func (a *answers) largest() int { return int(a.limit / 4) }

// get returns an answer, which is not to be changed.
func (a *answers) get(repo *Repository, question []byte) ([]byte, bool) {
	s := repo.Snapshot
	a.mu.Lock()
	defer a.mu.Unlock()
	element, ok := a.entries[answerKey{s.Repository, s.Storage, string(question)}]
	if !ok {
		return nil, false
	}
	found := element.Value.(*answer)
	if found.version != s.Version || found.head != s.Head {
		return nil, false
	}
	a.recent.MoveToFront(element)
	return found.bytes, true
}

// put keeps an answer, which is not changed any more.
func (a *answers) put(repo *Repository, question, bytes []byte) {
	s := repo.Snapshot
	if repo.Hides || len(bytes) > a.largest() {
		return
	}
	key := answerKey{s.Repository, s.Storage, string(question)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if element, ok := a.entries[key]; ok {
		a.remove(element)
	}
	a.entries[key] = a.recent.PushFront(&answer{key, s.Version, s.Head, bytes})
	a.bytes += int64(len(bytes) + len(question) + answerOverhead)
	for a.bytes > a.limit {
		a.remove(a.recent.Back())
	}
}

// remove forgets an answer; the lock is held.
func (a *answers) remove(element *list.Element) {
	old := a.recent.Remove(element).(*answer)
	delete(a.entries, old.key)
	a.bytes -= int64(len(old.bytes) + len(old.key.question) + answerOverhead)
}
