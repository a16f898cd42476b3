package projections_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/activity"
)

func TestMain(m *testing.M) {
	// A hundred runs, which is the default, take a minute.
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	flag.Parse() // what is given on the command line comes first
	eventstoretest.Main(m)
}

// poisoned is the activity projection, except that it cannot apply some positions. One
// event in two it refuses in the database and not before.
type poisoned struct {
	activity.Projection
	positions map[int64]bool
}

func (p poisoned) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	for _, e := range events {
		switch bad := p.positions[e.Position]; {
		case bad && e.Position%2 == 0:
			return errors.New("poison")
		case bad:
			flight.Queue(`select 1 / 0`)
		}
	}
	return p.Projection.Queue(flight, events)
}

// model is what should come of it, computed in the plainest way.
type model struct {
	poison  map[int64]bool
	applied []string                  // "stream:position" in the order in which rows must have come
	parked  map[domain.Stream][]int64 // in order
}

func (m *model) apply(stream domain.Stream, position int64) {
	m.applied = append(m.applied, fmt.Sprint(stream, ":", position))
}

func (m *model) event(e domain.Recorded) {
	switch {
	case len(m.parked[e.Stream]) > 0, m.poison[e.Position]:
		m.parked[e.Stream] = append(m.parked[e.Stream], e.Position)
	default:
		m.apply(e.Stream, e.Position)
	}
}

func (m *model) retry(stream domain.Stream) {
	for len(m.parked[stream]) > 0 && !m.poison[m.parked[stream][0]] {
		m.apply(stream, m.parked[stream][0])
		m.parked[stream] = m.parked[stream][1:]
	}
}

func (m *model) skip(position int64) {
	for stream, parked := range m.parked {
		if len(parked) > 0 && parked[0] == position {
			m.parked[stream] = parked[1:]
			m.retry(stream)
			return
		}
	}
}

// Whatever comes in which order, with owners that die and pages cut anywhere: each event
// is applied once, in the order of its stream, or is set aside behind the one that cannot
// be applied, or was skipped.
func TestParkingAgainstAModel(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		base := beginAtHead(t, log, pool)
		m := &model{poison: map[int64]bool{}, parked: map[domain.Stream][]int64{}}
		follower := poisoned{positions: m.poison}
		position, term := base, int64(1)
		conn, cursor := openCursor(t, pool, log, follower, term)
		defer func() { _ = conn.Close(context.Background()) }()
		add := func(stream domain.Stream, event domain.Event) {
			if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: []domain.Event{event}}); err != nil {
				rt.Fatal(err)
			}
		}
		apply := func() {
			events, err := log.ReadAll(t.Context(), cursor.Position(), 1000)
			if err != nil {
				rt.Fatal(err)
			}
			for len(events) > 0 {
				n := rapid.IntRange(1, len(events)).Draw(rt, "page")
				if err := cursor.Apply(t.Context(), events[:n]); err != nil {
					rt.Fatal(err)
				}
				for _, e := range events[:n] {
					switch decision := e.Event.(type) {
					case cluster.ProjectionRetried:
						m.retry(decision.Stream)
					case cluster.ProjectionSkipped:
						m.skip(decision.Position)
					default:
						m.event(e)
					}
				}
				events = events[n:]
			}
		}
		stream := func() domain.Stream {
			return domain.RepositoryStream(domain.RepositoryID(rapid.IntRange(1, 3).Draw(rt, "stream")))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"event": func(*rapid.T) {
				position++
				m.poison[position] = rapid.IntRange(0, 5).Draw(rt, "poison") == 0
				add(stream(), repository.RefsUpdated{})
			},
			"apply": func(*rapid.T) { apply() },
			"mend": func(*rapid.T) {
				apply() // what was applied and what not is decided by the poison there is now
				if bad := slices.Sorted(maps.Keys(m.poison)); len(bad) > 0 {
					delete(m.poison, rapid.SampledFrom(bad).Draw(rt, "mended"))
				}
			},
			"retry": func(*rapid.T) {
				position++
				add(domain.ClusterStream, cluster.ProjectionRetried{Projection: "activity", Stream: stream()})
			},
			"skip": func(*rapid.T) {
				position++
				add(domain.ClusterStream, cluster.ProjectionSkipped{
					Projection: "activity", Position: rapid.Int64Range(base, position).Draw(rt, "skipped"), Reason: "test",
				})
			},
			"die": func(*rapid.T) {
				_ = conn.Close(t.Context()) // without a word
				term++
				conn, cursor = openCursor(t, pool, log, follower, term)
			},
			"leave": func(*rapid.T) {
				if err := cursor.Close(t.Context()); err != nil {
					rt.Fatal(err)
				}
				_ = conn.Close(t.Context())
				term++
				conn, cursor = openCursor(t, pool, log, follower, term)
			},
		})
		apply()
		checkModel(rt, pool, m)
	})
}

// beginAtHead makes the projection stand at the end of the log as if new.
func beginAtHead(t *testing.T, log *eventstore.Log, pool *pgxpool.Pool) int64 {
	t.Helper()
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flight := &pgx.Batch{}
	for _, table := range []string{"runners", "checkpoints", "parked", "repository_activity"} {
		flight.Queue(`delete from ` + table)
	}
	flight.Queue(`insert into checkpoints (projection, position) values ('activity', $1)`, head)
	if err := pool.SendBatch(t.Context(), flight).Close(); err != nil {
		t.Fatal(err)
	}
	return head
}

func openCursor(t *testing.T, pool *pgxpool.Pool, log *eventstore.Log, f projections.Follower, term int64) (*pgx.Conn, *projections.Cursor) {
	t.Helper()
	conn, err := eventstore.Dial(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	cursor := projections.NewCursor(log, f, 0, term)
	if err := cursor.Open(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	return conn, cursor
}

func checkModel(rt *rapid.T, pool *pgxpool.Pool, m *model) {
	ctx := context.Background()
	// Within a stream the order in which rows were written shows in their place.
	rows, err := pool.Query(ctx, `select 'repository/' || repository || ':' || position from repository_activity order by repository, ctid`)
	if err != nil {
		rt.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		rt.Fatal(err)
	}
	want := slices.Clone(m.applied)
	slices.SortStableFunc(want, func(a, b string) int { return int(a[len("repository/")]) - int(b[len("repository/")]) })
	if !slices.Equal(got, want) {
		rt.Errorf("applied %v\n   want %v", got, want)
	}
	parked := map[domain.Stream][]int64{}
	list, err := projections.NewCheckpoints(pool).Parked(ctx, "activity", 0, 1000)
	if err != nil {
		rt.Fatal(err)
	}
	for i, p := range list {
		if first := len(parked[p.Stream]) == 0; first != (p.Attempts > 0) {
			rt.Errorf("event %d is parked with %d attempts: %+v", i, p.Attempts, p)
		}
		parked[p.Stream] = append(parked[p.Stream], p.Position)
	}
	for stream, positions := range m.parked {
		if !slices.Equal(parked[stream], positions) {
			rt.Errorf("%s has %v set aside, want %v", stream, parked[stream], positions)
		}
	}
}

// A later term shuts the earlier one out, and a rebuild both.
func TestAnEarlierTermMovesNothing(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "repository/1", Events: []domain.Event{repository.RefsUpdated{}}}); err != nil {
		t.Fatal(err)
	}
	events, err := log.ReadAll(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	old, slept := openCursor(t, pool, log, activity.Projection{}, 3)
	defer func() { _ = old.Close(context.Background()) }()
	conn, cursor := openCursor(t, pool, log, activity.Projection{}, 4)
	defer func() { _ = conn.Close(context.Background()) }()
	if err := slept.Apply(t.Context(), events); !errors.Is(err, projections.ErrFenced) {
		t.Errorf("the earlier term writes: %v", err)
	}
	if err := slept.Open(t.Context(), old); !errors.Is(err, projections.ErrFenced) {
		t.Errorf("the earlier term takes over again: %v", err)
	}
	if err := cursor.Apply(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if err := cursor.Apply(t.Context(), events); err == nil {
		t.Error("a page is applied twice")
	}
	var rows int
	if err := pool.QueryRow(t.Context(), `select count(*) from repository_activity`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows (%v)", rows, err)
	}
}

// An event that kills the process is counted, too: its stream is set aside.
func TestAnEventThatKillsIsSetAside(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	for i := range 4 {
		stream := domain.RepositoryStream(domain.RepositoryID(i%2 + 1))
		if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: []domain.Event{repository.RefsUpdated{}}}); err != nil {
			t.Fatal(err)
		}
	}
	events, err := log.ReadAll(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	done := false
	for term := int64(1); !done; term++ {
		conn, cursor := openCursor(t, pool, log, lethal{}, term)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := cursor.Apply(t.Context(), events[cursor.Position():]); err != nil {
				t.Error(err)
			}
			done = true
		}()
		<-ended
		_ = conn.Close(t.Context())
		if want := term == 5; done != want { // a page, then three attempts, then it is set aside
			t.Fatalf("term %d: done %v", term, done)
		}
	}
	var positions []int64
	if err := pool.QueryRow(t.Context(), `select array_agg(position order by position) from repository_activity`).Scan(&positions); err != nil || !slices.Equal(positions, []int64{1, 3}) {
		t.Errorf("applied %v (%v)", positions, err)
	}
}

// lethal ends whoever applies events of repository 2, as the end of a process does:
// nothing is said to the database.
type lethal struct{ activity.Projection }

func (p lethal) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	for _, e := range events {
		if e.Stream == "repository/2" {
			runtime.Goexit()
		}
	}
	return p.Projection.Queue(flight, events)
}
