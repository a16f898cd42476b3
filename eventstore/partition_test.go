package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
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

// A sealed partition moves to another tablespace while events are appended, and a
// transaction that is older than the copy sees the same as before.
func TestMovePartition(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool := eventstoretest.Database(t)
	smallPartitions(t, pool)
	log, err := eventstore.Open(ctx, pool, eventstore.Options{Types: types()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	count := func(stream domain.Stream, from, to int) {
		for n := from; n <= to; n++ {
			p := eventstore.Proposal{Stream: stream, Expect: eventstore.Expect(n - 1), Events: []domain.Event{counted{n}}}
			if _, err := log.Append(ctx, p); err != nil {
				t.Error(err)
			}
		}
	}
	count("a", 1, 35)
	owner, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close(context.Background()) }()
	for _, statement := range []string{`set allow_in_place_tablespaces = on`, `create tablespace cheap location ''`} {
		if _, err := owner.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}

	for first, why := range map[int64]string{5: "no partition", 21: "not sealed", 31: "still being filled"} {
		if err := eventstore.MovePartition(ctx, pool, eventstore.Move{First: first, Sealed: 20, Tablespace: "cheap"}); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("move %d: %v, want %q", first, err, why)
		}
	}
	if err := eventstore.MovePartition(ctx, pool, eventstore.Move{First: 11, Sealed: 20, Tablespace: "nowhere"}); err == nil {
		t.Error("moved to a tablespace that is not there")
	}

	// Its snapshot is older than the copy, and it has not touched the log yet.
	older, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = older.Rollback(context.Background()) }()
	if _, err := older.Exec(ctx, `select from log.partitions`); err != nil {
		t.Fatal(err)
	}
	before, err := log.ReadStored(ctx, 0, 35)
	if err != nil {
		t.Fatal(err)
	}
	var appending sync.WaitGroup
	appending.Go(func() { count("b", 1, 40) })
	if err := eventstore.MovePartition(ctx, pool, eventstore.Move{First: 11, Sealed: 20, Tablespace: "cheap"}); err != nil {
		t.Fatal(err)
	}
	appending.Wait()
	var seen int
	if err := older.QueryRow(ctx, `select count(*) from log.events where position <= 35`).Scan(&seen); err != nil || seen != 35 {
		t.Errorf("an older transaction sees %d events of 35: %v", seen, err)
	}
	// It has used the log now, and is in the way.
	var busy *eventstore.BusyError
	if err := eventstore.MovePartition(ctx, pool, eventstore.Move{First: 1, Sealed: 20, Tablespace: "cheap"}); !errors.As(err, &busy) {
		t.Errorf("moved what is in use: %v", err)
	}
	if err := older.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	for _, first := range []int64{1, 11} { // the second lies there already
		if err := eventstore.MovePartition(ctx, pool, eventstore.Move{First: first, Sealed: 20, Tablespace: "cheap"}); err != nil {
			t.Errorf("move %d: %v", first, err)
		}
	}
	after, err := log.ReadStored(ctx, 0, 35)
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("events differ after the move: %v", err)
	}
	count("a", 36, 45) // goes on behind a version in a partition that was moved

	list, err := eventstore.Partitions(ctx, pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if moved := p.Last <= 20; (p.Tablespace == "cheap") != moved || p.Bytes == 0 {
			t.Errorf("%+v", p)
		}
	}
	var indexes int
	if err := pool.QueryRow(ctx, `
		select count(*) from pg_indexes where tablespace = 'cheap' and indexname in
		('events_1_pkey', 'events_1_stream', 'events_1_settings', 'events_11_pkey', 'events_11_stream', 'events_11_settings')`).Scan(&indexes); err != nil || indexes != 6 {
		t.Errorf("%d of 6 indexes lie with their tables: %v", indexes, err)
	}
	if _, err := owner.Exec(ctx, `delete from log.events_11`); err == nil {
		t.Error("a partition that was moved can be changed")
	}
}
