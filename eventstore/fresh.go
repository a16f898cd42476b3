package eventstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Bounds of the questions that Fresh puts to the database.
const (
	freshFlights = 2                // under way at a time; who comes meanwhile shares the next
	freshTimeout = 10 * time.Second // of one
	freshDecided = 256              // decisions listed; with more, everything counts as changed
	freshBehind  = 4096             // events looked through for decisions; with more, everything counts as changed
)

// Fresh asks the database for what is new: it fills in the events of the tail, unless that
// is nil, and Unchanged knows afterwards what was decided in the log before Fresh was
// called. Those who ask at the same time share a round trip, which an end of ctx does not
// cut short. Errors are those of ReadTails.
func (l *Log) Fresh(ctx context.Context, tail *Tail) error {
	asked := &question{tail: tail, turn: make(chan bool, 1)}
	aboard := l.fresh.enter(asked)
	if aboard == nil {
		if asks := <-asked.turn; !asks {
			return asked.err
		}
		aboard = asked.aboard
	}
	l.ask(ctx, aboard)
	return asked.err
}

// question is one call of Fresh.
type question struct {
	tail   *Tail
	turn   chan bool   // true: ask for those aboard; false: the answer is there
	aboard []*question // set before true is sent
	err    error
}

// questions are those that wait for a round trip.
type questions struct {
	mu      sync.Mutex
	waiting []*question
	flights int
}

// enter lets a question be asked at once, or else puts it among those that wait.
func (f *questions) enter(q *question) (aboard []*question) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flights < freshFlights {
		f.flights++
		return []*question{q}
	}
	f.waiting = append(f.waiting, q)
	return nil
}

// landed has the first of those who came meanwhile ask for all of them.
func (f *questions) landed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.flights--
		return
	}
	first := f.waiting[0]
	first.aboard, f.waiting = f.waiting, nil
	first.turn <- true
}

// ask puts questions to the database in one round trip.
func (l *Log) ask(ctx context.Context, aboard []*question) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), freshTimeout)
	defer cancel()
	err := l.readFresh(ctx, aboard)
	l.fresh.landed()
	for _, q := range aboard {
		if q.err == nil {
			q.err = err
		}
		q.turn <- false
	}
}

func (l *Log) readFresh(ctx context.Context, aboard []*question) error {
	known := l.KnownHead()
	decidedAfter := l.decided.from(known)
	type seen struct {
		stream         domain.Stream
		version, known int64
	}
	places := map[seen]int{}
	var different []*question
	streams, versions, positions := []string{}, []int64{}, []int64{} // nil would be null
	for _, q := range aboard {
		if q.tail == nil {
			continue
		}
		key := seen{q.tail.Stream, q.tail.Version, q.tail.Known}
		if _, again := places[key]; again {
			continue
		}
		places[key] = len(different)
		different = append(different, q)
		q.tail.Events = nil
		streams, versions, positions = append(streams, string(key.stream)), append(versions, key.version), append(positions, key.known)
	}
	rows, err := l.pool.Query(ctx, `select n, position, stream, version, at, id, type, body from log.fresh($1, $2, $3, $4, $5)`,
		streams, versions, positions, decidedAfter, freshDecided)
	if err != nil {
		return fmt.Errorf("read what is new in the log: %w", err)
	}
	var n, position, version int64
	var stream, name string
	var at time.Time
	var id uuid.UUID
	var body *string
	var decisions []decision
	var head int64
	_, err = pgx.ForEachRow(rows, []any{&n, &position, &stream, &version, &at, &id, &name, &body}, func() error {
		head = max(head, position)
		if n == 0 {
			decisions = append(decisions, decision{domain.Stream(stream), position})
			return nil
		}
		if q := different[n-1]; q.err == nil {
			q.err = q.tail.add(l.options.Types, position, version, at, id, name, *body)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what is new in the log: %w", err)
	}
	l.decided.learn(decisions, known)
	l.follower.saw(head)
	for _, q := range aboard {
		if q.tail == nil {
			continue
		}
		if first := different[places[seen{q.tail.Stream, q.tail.Version, q.tail.Known}]]; first != q {
			q.tail.Events, q.err = first.tail.Events, first.err
		}
	}
	return nil
}
