package access_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

// guess tries wrong passwords, and counts how many are looked at.
func guess(t *testing.T, attempts *access.Attempts, n int, attempt func(i int) access.Attempt) (looked int) {
	t.Helper()
	for i := range n {
		a := attempt(i)
		allowed, err := attempts.Begin(t.Context(), &a)
		if err != nil {
			t.Fatal(err)
		}
		if allowed {
			looked++
		}
	}
	return looked
}

func passed(t *testing.T, pool *pgxpool.Pool, time string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `update login_failures set last = last - $1::text::interval, until = until - $1::text::interval`, time); err != nil {
		t.Fatal(err)
	}
}

// The owner gets in from where he has been before, whatever others do, and what two nodes count
// is one.
func TestGuesses(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	nodes := []*access.Attempts{access.NewAttempts(pool), access.NewAttempts(pool)}
	owner := access.Attempt{Name: "Jane", Address: "192.0.2.1", PasswordHash: "h1"}
	if allowed, err := nodes[0].Begin(t.Context(), &owner); err != nil || !allowed {
		t.Fatal(allowed, err)
	}
	if err := nodes[0].Succeeded(t.Context(), &owner); err != nil {
		t.Fatal(err)
	}

	one := func(int) access.Attempt {
		return access.Attempt{Name: "jane", Address: "198.51.100.1", PasswordHash: "h1"}
	}
	if looked := guess(t, nodes[0], 100, one) + guess(t, nodes[1], 100, one); looked != 6 {
		t.Errorf("from one address %d guesses were looked at", looked)
	}
	if looked := guess(t, nodes[0], 1, func(int) access.Attempt {
		return access.Attempt{Name: "jane", Address: "198.51.100.2", PasswordHash: "h1"}
	}); looked != 1 {
		t.Error("one address has locked all others out")
	}
	many := func(i int) access.Attempt {
		return access.Attempt{Name: "jane", Address: fmt.Sprint("203.0.113.", i), PasswordHash: "h1"}
	}
	if looked := guess(t, nodes[0], 500, many) + guess(t, nodes[1], 500, many); looked > 60 {
		t.Errorf("from many addresses %d guesses were looked at", looked)
	}
	// A name that nobody has is limited as well: the answers tell nothing.
	stranger := func(int) access.Attempt {
		return access.Attempt{Name: "nobody", Address: "198.51.100.7", PasswordHash: "decoy"}
	}
	if looked := guess(t, nodes[0], 100, stranger); looked != 6 {
		t.Errorf("of an unknown user %d guesses were looked at", looked)
	}
	for range 50 { // he logs in as often as he likes
		again := access.Attempt{Name: "JANE", Address: owner.Address, PasswordHash: "h1"}
		if allowed, err := nodes[1].Begin(t.Context(), &again); err != nil || !allowed {
			t.Fatal("the owner is locked out", err)
		}
		if err := nodes[1].Succeeded(t.Context(), &again); err != nil {
			t.Fatal(err)
		}
	}
	changed := access.Attempt{Name: "jane", Address: owner.Address, PasswordHash: "h2"}
	if allowed, err := nodes[1].Begin(t.Context(), &changed); err != nil || allowed {
		t.Errorf("a place that knew another password is known: %v", err)
	}

	// Waits double, to a quarter of an hour, and end.
	passed(t, pool, "2 seconds")
	if looked := guess(t, nodes[0], 10, one); looked != 1 {
		t.Errorf("after a wait %d guesses were looked at", looked)
	}
	passed(t, pool, "2 hours")
	if looked := guess(t, nodes[0], 100, one); looked != 6 {
		t.Errorf("after an hour of quiet %d guesses were looked at", looked)
	}
}

// One address that tries many accounts is slowed down, too.
func TestSpraying(t *testing.T) {
	t.Parallel()
	attempts := access.NewAttempts(eventstoretest.Database(t))
	looked := guess(t, attempts, 300, func(i int) access.Attempt {
		return access.Attempt{Name: fmt.Sprint("user", i), Address: "198.51.100.1", PasswordHash: "h"}
	})
	if looked != 101 {
		t.Errorf("%d guesses were looked at", looked)
	}
}

func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	attempts := access.NewAttempts(eventstoretest.Database(t))
	var looked atomic.Int64
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			a := access.Attempt{Name: "jane", Address: "198.51.100.1", PasswordHash: "h"}
			if allowed, err := attempts.Begin(t.Context(), &a); err != nil {
				t.Error(err)
			} else if allowed {
				looked.Add(1)
			}
		})
	}
	group.Wait()
	if looked.Load() != 6 {
		t.Errorf("%d guesses were looked at", looked.Load())
	}
}
