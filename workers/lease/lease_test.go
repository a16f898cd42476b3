package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/workers/lease"
)

// deadline is for what takes a few seconds at most.
const deadline = 30 * time.Second

// hold takes a lease in the background. Each term that begins is sent; stop returns
// what Hold has.
func hold(t *testing.T, leases *lease.Leases, name string) (terms <-chan int64, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	begun, ended := make(chan int64, 100), make(chan error, 1)
	go func() {
		ended <- leases.Hold(ctx, name, func(ctx context.Context, term int64) error {
			begun <- term
			<-ctx.Done()
			return nil
		})
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return begun, stop
}

func next(t *testing.T, terms <-chan int64) int64 {
	t.Helper()
	select {
	case term := <-terms:
		return term
	case <-time.After(deadline):
		t.Fatal("the lease is not handed out")
		return 0
	}
}

func TestALeasePassesOnWhenItIsReleased(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	first, stop := hold(t, lease.New(pool, "a"), "work")
	if term := next(t, first); term != 1 {
		t.Errorf("first term %d", term)
	}
	second, _ := hold(t, lease.New(pool, "b"), "work")
	if err := stop(); err != nil {
		t.Error(err)
	}
	if term := next(t, second); term != 2 {
		t.Errorf("term %d after a change of owner", term)
	}
	if len(first) != 0 {
		t.Error("the first owner has begun again")
	}
}

func TestOnlyOneHolds(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	var working, most, begun atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for owner := range 4 {
		leases := lease.New(pool, fmt.Sprint("owner", owner))
		wg.Go(func() {
			for ctx.Err() == nil {
				err := leases.Hold(ctx, "work", func(context.Context, int64) error {
					if n := working.Add(1); n > 1 {
						most.Store(n)
					}
					defer working.Add(-1)
					if begun.Add(1) == 40 {
						cancel()
					}
					return errors.New("that is all for now")
				})
				if ctx.Err() == nil && (err == nil || err.Error() != "that is all for now") {
					t.Errorf("Hold returns %v", err)
				}
			}
		})
	}
	wg.Wait()
	if most.Load() > 0 {
		t.Errorf("%d worked at a time", most.Load())
	}
	if begun.Load() < 40 {
		t.Errorf("the lease was handed out %d times only", begun.Load())
	}
}

func TestANameIsHeldOnceInAProcess(t *testing.T) {
	t.Parallel()
	leases := lease.New(eventstoretest.Database(t), "a")
	terms, _ := hold(t, leases, "work")
	next(t, terms)
	if err := leases.Hold(t.Context(), "work", func(context.Context, int64) error { return nil }); err == nil {
		t.Error("a name can be held twice in a process")
	}
}

func TestLeasesAreSharedOut(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	join := func(owner string) {
		leases := lease.New(pool, owner)
		for n := range 6 {
			hold(t, leases, fmt.Sprint("work", n))
		}
	}
	join("a")
	awaitShares(t, pool, "[6]")
	join("b")
	awaitShares(t, pool, "[3 3]")
	join("c")
	awaitShares(t, pool, "[2 2 2]")
}

func awaitShares(t *testing.T, pool *pgxpool.Pool, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for {
		var shares []int64
		err := pool.QueryRow(ctx, `
			select array_agg(n order by n) from (
				select count(*) as n from workers.leases where expires > clock_timestamp() group by owner) shares`).Scan(&shares)
		if err != nil {
			t.Fatalf("leases are shared out as %v, want %s (%v)", shares, want, err)
		}
		if fmt.Sprint(shares) == want {
			return
		}
	}
}

// A lost connection costs nothing: the lease is renewed over a new one.
func TestALeaseOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	terms, _ := hold(t, lease.New(pool, "a"), "work")
	next(t, terms)
	expires := func() (at time.Time) {
		if err := pool.QueryRow(t.Context(), `select expires from workers.leases`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	superuser, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = superuser.Close(context.Background()) }()
	var killed int
	if err := superuser.QueryRow(t.Context(), `
		select count(pg_terminate_backend(pid)) from pg_stat_activity
		where datname = current_database() and (query like '%workers.%' or query like '%annal_leases%') and pid <> pg_backend_pid()`,
	).Scan(&killed); err != nil || killed != 1 {
		t.Fatalf("%d connections were lost (%v)", killed, err)
	}
	before, end := expires(), time.Now().Add(deadline)
	for expires().Equal(before) {
		if time.Now().After(end) {
			t.Fatal("the lease is not renewed")
		}
	}
	if len(terms) > 0 {
		t.Errorf("the lease was lost and taken again, term %d", <-terms)
	}
}
