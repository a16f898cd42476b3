package logbench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// underSnapshot has a snapshot stay open, as that of a dump, for 100,000 pushes: the
// processor time of a push at the end over that at the start.
func underSnapshot(b *testing.B) float64 {
	s := theServer(b)
	url := s.database(b)
	pushing := pushers(b, []*node{openNode(b, connect(b, url), "node")}, 64)
	dump, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = dump.Close(context.Background()) }()
	if _, err := dump.Exec(b.Context(), `begin isolation level repeatable read; select count(*) from log.events`); err != nil {
		b.Fatal(err)
	}
	var loads []load
	for done := int64(0); done < 100_000; {
		l := s.run(b, 64, func(ctx context.Context, w int) error { return pushing[w].push(ctx) })
		b.Logf("after %d: %v", done, l)
		done += l.done
		loads = append(loads, l)
	}
	return loads[len(loads)-1].cpuPerOperation() / loads[0].cpuPerOperation()
}

// besideIdle is how much later another node reads what was pushed while a transaction that
// has written stays open in another database of the server for a minute: the p99 over that
// without it.
func besideIdle(b *testing.B) float64 {
	s := theServer(b)
	url, elsewhere := s.database(b), s.database(b)
	pool := connect(b, url)
	nodes := []*node{openNode(b, pool, "one"), openNode(b, pool, "two")}
	pushing := pushers(b, nodes[:1], 1)
	lag := func(during time.Duration) time.Duration {
		var lags []time.Duration
		for end := time.Now().Add(during); time.Now().Before(end); {
			if err := pushing[0].push(b.Context()); err != nil {
				b.Fatal(err)
			}
			acknowledged := time.Now()
			if _, err := nodes[1].log.Await(b.Context(), nodes[0].log.KnownHead()-1); err != nil {
				b.Fatal(err)
			}
			events, err := nodes[1].log.ReadAll(b.Context(), nodes[0].log.KnownHead()-1, 1)
			if err != nil || len(events) != 1 {
				b.Fatalf("read %d events: %v", len(events), err)
			}
			lags = append(lags, time.Since(acknowledged))
		}
		slices.Sort(lags)
		b.Logf("lag p50 %v, p99 %v, most %v", lags[len(lags)/2], lags[len(lags)*99/100], lags[len(lags)-1])
		return lags[len(lags)*99/100]
	}
	undisturbed := lag(10 * time.Second)
	idle, err := pgx.Connect(b.Context(), elsewhere)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = idle.Close(context.Background()) }()
	if _, err := idle.Exec(b.Context(), `begin; insert into raw (v) values (1)`); err != nil {
		b.Fatal(err)
	}
	return float64(lag(time.Minute)) / float64(undisturbed)
}

// behindStopped is the longest that a push waits, in milliseconds, when another node stops
// dead between taking the append lock and using it, again and again.
func behindStopped(b *testing.B) float64 {
	s := theServer(b)
	url := s.database(b)
	pushing := pushers(b, []*node{openNode(b, connect(b, url), "node")}, 8)
	ctx, cancel := context.WithCancel(b.Context())
	var stopping sync.WaitGroup
	stopping.Go(func() {
		for ctx.Err() == nil {
			stopped, err := pgx.Connect(ctx, url)
			if err != nil {
				return
			}
			// What a committer sends before it forms its batch; then nothing more comes.
			_, _ = stopped.Exec(ctx, `set idle_in_transaction_session_timeout = '250ms'; begin; select pg_advisory_xact_lock(418464555372)`)
			<-time.After(400 * time.Millisecond)
			_ = stopped.Close(context.Background())
		}
	})
	l := s.run(b, 8, func(ctx context.Context, w int) error { return pushing[w].push(ctx) })
	cancel()
	stopping.Wait()
	b.Log(l)
	return l.latencies[len(l.latencies)-1].Seconds() * 1000
}

// grown is the processor time of a push at ten million events over that at one million.
func grown(b *testing.B) float64 {
	const million = 1_000_000
	s := theServer(b)
	url := s.database(b)
	owner, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = owner.Close(context.Background()) }()
	exec := func(sql string, args ...any) {
		b.Helper()
		if _, err := owner.Exec(b.Context(), sql, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec(fmt.Sprintf(`
		alter table log.events detach partition log.events_1;
		alter table log.events attach partition log.events_1 for values from (1) to (%d);
		update log.partitions set last = %d`, million+1, million))
	// Many streams that take turns in no order, as pushes do.
	fill := func(events int64) {
		exec(`
			insert into log.events (position, version, at, id, stream, type, body, meta)
			select h.head + n, h.head + n, now(), gen_random_uuid(), 'repository/' || (1000000 + (n * 7919) % 100003),
				'repository.refs_updated.v1',
				('{"pack":{"bytes":812,"id":"'||repeat('a1', 20)||'","objects":3},"updates":[{"name":"refs/heads/main","new":"'||repeat('b2', 20)||'","old":"'||repeat('c3', 20)||'"}]}')::json,
				('{"actor":12,"auth":"token","commitments":{"origin":"'||repeat('d', 43)||'"},"node":"node-1","request":"0123456789abcdef"}')::json
			from (select coalesce(max(position), 0) as head from log.events) h, generate_series(1, $1::bigint) n`, events)
	}
	pushing := pushers(b, []*node{openNode(b, connect(b, url), "node")}, 64)
	measure := func() load {
		exec(`vacuum analyze log.events`)
		exec(`checkpoint`)
		return s.run(b, 64, func(ctx context.Context, w int) error { return pushing[w].push(ctx) })
	}
	fill(million - 100_000)
	exec(`select log.extend()`)
	small := measure()
	for range 9 {
		fill(million)
		exec(`select log.extend()`)
	}
	large := measure()
	b.Logf("at 1,000,000: %v; at 10,000,000: %v", small, large)
	return large.cpuPerOperation() / small.cpuPerOperation()
}

// storage is how many bytes of the log a push takes: rows, their indexes, and the hashes
// in the tiles. The row with the pusher's address comes on top and can be erased.
func storage(b *testing.B) float64 {
	s := theServer(b)
	url := s.database(b)
	pool := connect(b, url)
	pushing := pushers(b, []*node{openNode(b, pool, "node")}, 64)
	for range 5 {
		s.run(b, 64, func(ctx context.Context, w int) error { return pushing[w].push(ctx) })
	}
	var events, log, personal int64
	err := pool.QueryRow(b.Context(), `
		select (select count(*) from log.events), (select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = 'log.events'::regclass),
			pg_total_relation_size('log.personal')`).Scan(&events, &log, &personal)
	if err != nil {
		b.Fatal(err)
	}
	const tiles = 32 * 256.0 / 255 // each hash, and those of the levels above
	each := float64(log)/float64(events) + tiles
	b.Logf("%d events: rows and indexes %.0f bytes each, tiles %.0f, beside the log %.0f", events, float64(log)/float64(events), tiles, float64(personal)/float64(events))
	return each
}
