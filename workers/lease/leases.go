package lease

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// How long a lease is good for, and how often it is renewed.
const (
	TTL     = 3 * time.Second
	Renewal = time.Second
)

// Leases are what one process holds or waits for. It is safe for concurrent use. One
// goroutine and one connection serve all of them, as long as there is a Hold.
type Leases struct {
	pool  *pgxpool.Pool
	owner string

	mu     sync.Mutex
	claims map[string]*claim
	wake   context.CancelFunc // ends the keeper's rest; nil while there is no keeper
	roused bool               // wake was called before the keeper rested
	kept   chan struct{}      // closed when the keeper has ended; nil while there is none
	ending chan struct{}      // of the keeper before, which may have a round to finish
}

// claim is one Hold, waiting or holding.
type claim struct {
	name    string
	granted chan grant    // room for one
	gone    chan struct{} // closed when a claim that is leaving has been given back

	// Of the keeper, under Leases.mu.
	term    int64 // 0 while it waits
	lost    context.CancelFunc
	expiry  *time.Timer
	leaving bool // the work has ended: give the lease back
	ends    bool // ... and do not take it again
}

// grant is a lease that was got.
type grant struct {
	ctx  context.Context
	term int64
}

// New makes Leases for a process. owner is how operators know it, such as the name of
// the node; what follows it in the table tells apart processes of the same name.
func New(pool *pgxpool.Pool, owner string) *Leases {
	return &Leases{pool: pool, owner: owner + "/" + rand.Text()[:8], claims: map[string]*claim{}}
}

// Owner is how the table of leases names this process.
func (l *Leases) Owner() string { return l.owner }

// Hold waits for the lease called name and runs work for as long as it is held, again
// and again, until ctx ends; then it returns nil. The context of work ends when ctx
// does, when the lease is lost, and when another process should have it, which holds
// fewer. work should then return soon: the lease is given back when it has.
//
// If work returns by itself, while it holds the lease, the lease is given back and Hold
// returns what work has returned. A name may be held once in a process at a time.
//
// term rises with every owner; see the package's comment for what work does with it.
func (l *Leases) Hold(ctx context.Context, name string, work func(ctx context.Context, term int64) error) error {
	c, err := l.enter(name)
	if err != nil {
		return err
	}
	defer l.leave(c)
	for {
		select {
		case g := <-c.granted:
			err, itself := l.run(ctx, g, work)
			if itself {
				return err
			}
			l.giveBack(c)
		case <-ctx.Done():
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// run tells whether work has ended by itself.
func (l *Leases) run(ctx context.Context, g grant, work func(context.Context, int64) error) (err error, itself bool) {
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	err = work(working, g.term)
	return err, working.Err() == nil
}

func (l *Leases) enter(name string) (*claim, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.ending != nil {
		ending := l.ending
		l.mu.Unlock()
		<-ending
		l.mu.Lock()
		if l.ending == ending {
			l.ending = nil
		}
	}
	if l.claims[name] != nil {
		return nil, fmt.Errorf("the lease %q is held or waited for by this process already", name)
	}
	c := &claim{name: name, granted: make(chan grant, 1), gone: make(chan struct{})}
	l.claims[name] = c
	if l.kept == nil {
		l.kept = make(chan struct{})
		k := &keeper{leases: l, done: l.kept, free: map[string]time.Time{}}
		go k.run() // ends when no claim is left; the last Hold waits for it
	}
	l.rouse()
	return c, nil
}

// leave gives c's lease back for good and returns once that is done, or has failed
// because the database does not answer.
func (l *Leases) leave(c *claim) {
	l.mu.Lock()
	c.leaving, c.ends = true, true
	kept := l.kept
	l.rouse()
	l.mu.Unlock()
	<-c.gone
	l.mu.Lock()
	ending := l.kept != kept
	l.mu.Unlock()
	if ending {
		<-kept
	}
}

// giveBack lets others have the lease whose work has ended, and waits for it again.
func (l *Leases) giveBack(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.leaving = true
	l.rouse()
}

// rouse has the keeper look at the claims at once. l.mu is held.
func (l *Leases) rouse() {
	l.roused = true
	if l.wake != nil {
		l.wake()
	}
}
