package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

// asOwner runs statements with the rights of the database's owner.
func asOwner(t *testing.T, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	owner, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close(context.Background()) }()
	for _, statement := range statements {
		if _, err := owner.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// smallPartitions makes the partitions of an empty log hold ten events each.
func smallPartitions(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	asOwner(t, pool,
		`alter table log.events detach partition log.events_1`,
		`alter table log.events attach partition log.events_1 for values from (1) to (11)`,
		`update log.partitions set last = 10`)
}

// Two nodes append across the ends of many partitions: positions stay dense and every
// stream a chain, although the unique index of a partition knows only its own versions.
func TestAppendsAcrossPartitions(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	smallPartitions(t, pool)
	var nodes [2]*eventstore.Log
	for i := range nodes {
		log, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types()})
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		log.Arbitrate(&tally{log: log})
		nodes[i] = log
	}
	var wg sync.WaitGroup
	for writer := range 8 {
		wg.Go(func() {
			for n := 1; n <= 20; n++ {
				p := eventstore.Proposal{Stream: domain.Stream(fmt.Sprint("claimed", writer%3)), Claim: rise{n*8 + writer}}
				if writer%4 == 3 {
					p = eventstore.Proposal{Stream: domain.Stream(fmt.Sprint("s", writer)), Expect: eventstore.Expect(n - 1), Events: []domain.Event{counted{n}}}
				}
				_, err := nodes[writer%2].Append(t.Context(), p)
				var conflict *domain.ConflictError
				if err != nil && !errors.As(err, &conflict) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	versions := map[domain.Stream]int64{}
	for after := int64(0); ; {
		events, err := nodes[0].ReadAll(t.Context(), after, 7)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if versions[e.Stream]++; e.Version != versions[e.Stream] {
				t.Errorf("event %d has version %d of %s, want %d", e.Position, e.Version, e.Stream, versions[e.Stream])
			}
			after = e.Position
		}
	}
	var partitions int
	if err := pool.QueryRow(t.Context(), `select count(*) from partitions`).Scan(&partitions); err != nil || partitions < 6 {
		t.Errorf("%d partitions (%v), want several", partitions, err)
	}
}

// A database that was put back to an earlier state is noticed, and nothing is added to it.
func TestLogThatWentBack(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Types: types()})
	log.Arbitrate(&tally{log: log})
	for n := range 3 {
		if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Claim: rise{n + 1}}); err != nil {
			t.Fatal(err)
		}
	}
	asOwner(t, pool,
		`alter table log.events_1 disable trigger all`, `alter table log.events disable trigger all`,
		`delete from log.events where position > 1`)
	if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Claim: rise{9}}); !errors.Is(err, eventstore.ErrWentBack) {
		t.Errorf("append to a log that went back: %v", err)
	}
	select {
	case <-log.Lost():
	case <-t.Context().Done():
	}
	if head, err := log.Head(t.Context()); head != 1 || err != nil {
		t.Errorf("head %d, %v", head, err)
	}
}
