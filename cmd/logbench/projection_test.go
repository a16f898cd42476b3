package logbench

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/refhistory"
	"github.com/annal-git/annal/projections/refs"
	"github.com/annal-git/annal/workers/lease"
	"github.com/annal-git/annal/workers/projector"
)

// follow runs projections until stop, and tells moved of every page.
func follow(b testing.TB, pool *pgxpool.Pool, log projector.Log, moved func(name string, position int64), list ...projections.Follower) (stop func()) {
	b.Helper()
	p, err := projector.New(projector.Config{
		Pool: pool, Log: log, Leases: lease.New(pool, "bench"), Projections: list, Logger: slog.New(slog.DiscardHandler),
		Moved: func(name string, _ int, position int64) { moved(name, position) },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// fillPushes makes a log of pushes to a hundred repositories, all different.
func fillPushes(b testing.TB, pool *pgxpool.Pool, events int) {
	b.Helper()
	_, err := pool.Exec(b.Context(), `
		insert into log.events (position, version, at, id, stream, type, body, meta)
		select n, 1 + (n - 1) / 100, now(), gen_random_uuid(), 'repository/' || 1 + (n - 1) % 100,
			case when n <= 100 then 'repository.created.v1' else 'repository.refs_updated.v1' end,
			case when n <= 100 then format('{"defaultBranch":"refs/heads/main","id":%s,"name":"r","project":1,"slug":"r","storage":"s"}', n)
			else format('{"pack":{"bytes":812,"id":"%s","objects":3},"updates":[{"name":"refs/heads/b%s","new":"%s","old":"%s"}]}',
				lpad(to_hex(n), 40, 'a'), n / 100 % 50, lpad(to_hex(n), 40, 'b'), lpad(to_hex(n - 1), 40, 'c')) end::json,
			'{"actor":5,"auth":"token:3","node":"bench","request":"0123456789abcdef"}'
		from generate_series(1, $1::bigint) n`, events)
	if err != nil {
		b.Fatal(err)
	}
	asOwner(b, pool, `vacuum analyze log.events`)
}

// asOwner executes statements that nodes may not.
func asOwner(b testing.TB, pool *pgxpool.Pool, statements ...string) {
	b.Helper()
	conn, err := pgx.ConnectConfig(b.Context(), pool.Config().ConnConfig)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range statements {
		if _, err := conn.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
}

func openLog(b testing.TB, pool *pgxpool.Pool) *eventstore.Log {
	b.Helper()
	log, err := eventstore.Open(b.Context(), pool, eventstore.Options{Types: eventstore.Types(), Node: "bench", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(log.Close)
	return log
}

// catchUp is how fast a projection that writes a row for each event follows a long log.
func catchUp(b *testing.B) float64 {
	const events = 200_000
	s := theServer(b)
	url := s.database(b)
	pool := connect(b, url)
	fillPushes(b, pool, events)
	log := openLog(b, pool)
	ours := func() load {
		asOwner(b, pool, `delete from checkpoints`, `delete from runners`, `truncate repository_activity`)
		var first, last time.Time
		var skipped int64
		done := make(chan struct{})
		stop := follow(b, pool, log, func(_ string, position int64) {
			if first.IsZero() {
				first, skipped = time.Now(), position
			}
			if position == events {
				last = time.Now()
				close(done)
			}
		}, activity.Projection{})
		<-done
		stop()
		took := last.Sub(first)
		return load{done: events - skipped, took: took, latencies: []time.Duration{took}}
	}
	return paired(b, ours, s.raw(b, url, 64, nil), throughput)
}

// rebuilding makes the refs of a million events anew while pushes are made, and returns how
// long that takes, and how many pushes there were in a second with it and without.
func rebuilding(b *testing.B) (took time.Duration, during, before float64) {
	const events, every = 1_000_000, time.Millisecond
	s := theServer(b)
	pool := connect(b, s.database(b))
	fillPushes(b, pool, events)
	log := openLog(b, pool)
	var pushes atomic.Int64
	ctx, cancel := context.WithCancel(b.Context())
	var pushing sync.WaitGroup
	for w := range 16 {
		pushing.Go(func() {
			tick := time.NewTicker(16 * every) // a thousand a second
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				if _, err := log.Append(ctx, aPush(w)); err != nil && ctx.Err() == nil {
					b.Error(err)
				}
				pushes.Add(1)
			}
		})
	}
	start, n := time.Now(), pushes.Load()
	<-time.After(2 * time.Second)
	before = float64(pushes.Load()-n) / time.Since(start).Seconds()
	start, n = time.Now(), pushes.Load()
	builder := projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends}
	if _, err := builder.Rebuild(b.Context(), refs.Projection{}); err != nil {
		b.Fatal(err)
	}
	took = time.Since(start)
	during = float64(pushes.Load()-n) / took.Seconds()
	cancel()
	pushing.Wait()
	return took, during, before
}

func rebuildTime(b *testing.B) float64 {
	took, _, _ := rebuilding(b)
	return took.Seconds()
}

func rebuildSlowdown(b *testing.B) float64 {
	_, during, before := rebuilding(b)
	return 100 * (1 - during/before)
}

func aPush(writer int) eventstore.Proposal {
	return eventstore.Proposal{
		Stream: domain.RepositoryStream(domain.RepositoryID(1_000 + writer)), Expect: eventstore.Any, Meta: domain.Metadata{Actor: 5, Auth: "token:3"},
		Events: []domain.Event{repository.RefsUpdated{
			Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: git.ObjectID{1}, New: git.ObjectID{2}}},
			Pack:    &git.Pack{ID: git.ObjectID{3}, Objects: 3, Bytes: 812},
		}},
	}
}

// lags are, for a thousand pushes a second and three projections, the times from the
// answer to a push until each projection has committed it, sorted. followed is the log as
// the projections' node sees it, which may be another than that which appends.
func lags(b *testing.B, pool *pgxpool.Pool, log *eventstore.Log, followed *eventstore.Log) []time.Duration {
	b.Helper()
	const room = 100_000
	start, err := log.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var answered [room]atomic.Int64 // by position
	began := time.Now()
	var mu sync.Mutex
	read := map[string]int64{}
	type commit struct {
		from, to int64
		at       time.Duration
	}
	var commits []commit
	stop := follow(b, pool, followed, func(name string, position int64) {
		now := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		commits = append(commits, commit{max(read[name], start), position, now})
		read[name] = position
	}, refs.Projection{}, refhistory.Projection{}, activity.Projection{})
	ctx, cancel := context.WithTimeout(b.Context(), 4*time.Second)
	defer cancel()
	var pushing sync.WaitGroup
	for w := range 64 {
		pushing.Go(func() {
			pace := time.NewTicker(64 * time.Millisecond)
			defer pace.Stop()
			<-time.After(time.Duration(w) * time.Millisecond)
			for ctx.Err() == nil {
				<-pace.C
				appended, err := log.Append(b.Context(), aPush(w))
				if err != nil {
					b.Error(err)
					return
				}
				answered[appended.Position%room].Store(int64(time.Since(began)))
			}
		})
	}
	pushing.Wait()
	<-time.After(time.Second)
	stop()
	var all []time.Duration
	for _, c := range commits {
		for position := c.from + 1; position <= c.to; position++ {
			at := time.Duration(answered[position%room].Load())
			if at > time.Second { // not what came while leases were taken
				all = append(all, max(c.at-at, 0))
			}
		}
	}
	if len(all) == 0 {
		b.Fatal("nothing was followed")
	}
	slices.Sort(all)
	return all
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))]
}

// ackLag compares a quantile of lags with the median of raw inserts over one connection.
func ackLag(q float64) func(b *testing.B) float64 {
	return func(b *testing.B) float64 {
		s := theServer(b)
		url := s.database(b)
		pool := connect(b, url)
		log := openLog(b, pool)
		raw := s.raw(b, url, 1, nil)
		ratios := make([]float64, 3)
		for i := range ratios {
			base := raw().quantile(0.5)
			lag := lags(b, pool, log, log)
			b.Logf("lag p50 %v, p99 %v; raw p50 %v", quantile(lag, 0.5), quantile(lag, 0.99), base)
			ratios[i] = float64(quantile(lag, q)) / float64(base)
		}
		slices.Sort(ratios)
		return ratios[len(ratios)/2]
	}
}

// ackLagDeaf is the p99 of lags, in milliseconds, on another node that never hears a hint.
func ackLagDeaf(b *testing.B) float64 {
	pool := connect(b, theServer(b).database(b))
	log := openLog(b, pool)
	config := pool.Config()
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		if conn, err = dial(ctx, network, address); err != nil {
			return nil, err
		}
		return &deafConn{Conn: conn}, nil
	}
	deaf, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(deaf.Close)
	lag := lags(b, pool, log, openLog(b, deaf))
	b.Logf("lag without hints: p50 %v, p99 %v", quantile(lag, 0.5), quantile(lag, 0.99))
	return quantile(lag, 0.99).Seconds() * 1000
}

// poisonous is the activity projection, except that it cannot apply one stream.
type poisonous struct{ activity.Projection }

func (p poisonous) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	for _, e := range events {
		if e.Stream == "repository/50" {
			return errors.New("poison")
		}
	}
	return p.Projection.Queue(flight, events)
}

// poison is how long a page of a thousand events takes, in milliseconds, in the midst of
// which one cannot be applied.
func poison(b *testing.B) float64 {
	const events = 1000
	pool := connect(b, theServer(b).database(b))
	fillPushes(b, pool, 100)
	log := openLog(b, pool)
	follower := follow(b, pool, log, func(string, int64) {}, activity.Projection{})
	awaitPosition(b, pool, 100)
	follower()
	for range 10 {
		for w := range 99 {
			if _, err := log.Append(b.Context(), aPush(w)); err != nil {
				b.Fatal(err)
			}
		}
		bad := aPush(0)
		bad.Stream = "repository/50"
		if _, err := log.Append(b.Context(), bad); err != nil {
			b.Fatal(err)
		}
	}
	done := make(chan struct{})
	var once sync.Once
	start := time.Now()
	defer follow(b, pool, log, func(_ string, position int64) {
		if position == 100+events {
			once.Do(func() { close(done) })
		}
	}, poisonous{})()
	<-done
	return time.Since(start).Seconds() * 1000
}

func awaitPosition(b testing.TB, pool *pgxpool.Pool, position int64) {
	b.Helper()
	for {
		at, err := projections.NewCheckpoints(pool).Position(b.Context(), "activity")
		if err != nil {
			b.Fatal(err)
		}
		if at >= position {
			return
		}
	}
}

// leaseURL makes the test binary a process that holds a lease until it is killed.
const leaseURL = "ANNAL_BENCH_LEASE_URL"

func holdLease(url string) {
	pool, err := eventstore.Connect(context.Background(), url)
	if err != nil {
		panic(err)
	}
	_ = lease.New(pool, "child").Hold(context.Background(), "bench", func(ctx context.Context, _ int64) error {
		<-ctx.Done()
		return nil
	})
}

// takeover is how long nobody holds a lease after its owner was killed, in seconds.
func takeover(b *testing.B) float64 {
	url := theServer(b).database(b)
	pool := connect(b, url)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), leaseURL+"="+url)
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	for held := false; !held; {
		if err := pool.QueryRow(b.Context(), `select exists (select from workers.leases)`).Scan(&held); err != nil {
			b.Fatal(err)
		}
	}
	return handover(b, lease.New(pool, "next"), func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}).Seconds()
}

// release is how long nobody holds a lease after its owner has given it back, in seconds.
func release(b *testing.B) float64 {
	pool := connect(b, theServer(b).database(b))
	ctx, cancel := context.WithCancel(b.Context())
	held, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = lease.New(pool, "first").Hold(ctx, "bench", func(ctx context.Context, _ int64) error {
			close(held)
			<-ctx.Done()
			return nil
		})
	}()
	<-held
	return handover(b, lease.New(pool, "next"), func() {
		cancel()
		<-ended
	}).Seconds()
}

func handover(b *testing.B, next *lease.Leases, end func()) time.Duration {
	b.Helper()
	taken := make(chan time.Time)
	go func() {
		_ = next.Hold(b.Context(), "bench", func(context.Context, int64) error {
			taken <- time.Now()
			return nil
		})
	}()
	<-time.After(1500 * time.Millisecond) // it waits for the lease
	start := time.Now()
	end()
	return (<-taken).Sub(start)
}
