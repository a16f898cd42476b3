package admission

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"
)

// Config bounds a Gate. Zero fields take the defaults named.
type Config struct {
	Running int // requests worked on at a time; default 64
	Waiting int // requests in the queue; default 1,024
	PerUser int // of those worked on, how many may be of one user; default half of Running
	// Patience is how long a request waits for its turn; default 60 s.
	Patience time.Duration
}

// BusyError says that a request cannot be worked on now.
type BusyError struct {
	Limit      string        // what is exhausted, for the client, with its figure
	RetryAfter time.Duration // when to try again, at the earliest
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("the server is busy: %s; try again in %d seconds", e.Limit, int(e.RetryAfter.Seconds()))
}

// retryAfter is what clients that found the queue full are asked to wait.
const retryAfter = 10 * time.Second

// Gate lets a number of requests in at a time. Of those that wait, the next is the oldest
// one of the user who has the fewest inside, so that one user's many requests cost another
// user's single one no more than its turn. A Gate is safe for concurrent use.
type Gate struct {
	config Config

	mu      sync.Mutex
	running int
	waiting int
	users   map[string]*user
	// lines are the users with somebody waiting; who has been served goes to the end.
	lines []*user
}

// user is one user's share.
type user struct {
	name    string
	running int
	waiting []*ticket // oldest first
}

// ticket is one request that waits.
type ticket struct{ admitted chan struct{} } // closed when its turn has come

// New makes a Gate.
func New(c Config) *Gate {
	c.Running = cmp.Or(c.Running, 64)
	c.Waiting = cmp.Or(c.Waiting, 1024)
	c.PerUser = cmp.Or(c.PerUser, max(1, c.Running/2))
	c.Patience = cmp.Or(c.Patience, time.Minute)
	return &Gate{config: c, users: map[string]*user{}}
}

// Enter waits for the turn of a request of the named user. The function it returns must be
// called when the request has been worked on; a second call does nothing. Errors:
// *BusyError if the queue is full or the turn did not come in time; the cause of ctx's end.
func (g *Gate) Enter(ctx context.Context, name string) (leave func(), err error) {
	t, err := g.queue(name)
	if err != nil {
		return nil, err
	}
	leave = sync.OnceFunc(func() { g.leave(name) })
	timer := time.NewTimer(g.config.Patience)
	defer timer.Stop()
	select {
	case <-t.admitted:
		return leave, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = &BusyError{Limit: fmt.Sprintf("your turn did not come within %v", g.config.Patience), RetryAfter: retryAfter}
	}
	if !g.abandon(name, t) {
		leave() // the turn came at the same moment
	}
	return nil, err
}

// Load is how many requests are worked on and how many wait.
func (g *Gate) Load() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting
}

// queue takes a ticket, which is admitted at once if there is room.
func (g *Gate) queue(name string) (*ticket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.users[name]
	if u == nil {
		u = &user{name: name}
		g.users[name] = u
	}
	t := &ticket{admitted: make(chan struct{})}
	u.waiting = append(u.waiting, t)
	g.waiting++
	if len(u.waiting) == 1 {
		g.lines = append(g.lines, u)
	}
	g.admit()
	select {
	case <-t.admitted:
		return t, nil
	default:
	}
	if g.waiting > g.config.Waiting {
		g.remove(u, len(u.waiting)-1)
		return nil, &BusyError{Limit: fmt.Sprintf("%d requests are waiting already", g.config.Waiting), RetryAfter: retryAfter}
	}
	return t, nil
}

// abandon takes back a ticket; it reports false if its turn has come.
func (g *Gate) abandon(name string, t *ticket) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.users[name]
	if u == nil {
		return false
	}
	for i, other := range u.waiting {
		if other == t {
			g.remove(u, i)
			return true
		}
	}
	return false
}

func (g *Gate) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.users[name]
	u.running--
	g.running--
	g.forget(u)
	g.admit()
}

// admit lets in as many as there is room for; the lock is held.
func (g *Gate) admit() {
	for g.running < g.config.Running {
		next := -1
		for i, u := range g.lines {
			if u.running < g.config.PerUser && (next < 0 || u.running < g.lines[next].running) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		u := g.lines[next]
		close(u.waiting[0].admitted)
		u.running++
		g.running++
		g.lines = append(append(g.lines[:next:next], g.lines[next+1:]...), u)
		g.remove(u, 0)
	}
}

// remove takes a ticket out of its user's line; the lock is held.
func (g *Gate) remove(u *user, i int) {
	u.waiting = append(u.waiting[:i:i], u.waiting[i+1:]...)
	g.waiting--
	if len(u.waiting) > 0 {
		return
	}
	for n, other := range g.lines {
		if other == u {
			g.lines = append(g.lines[:n:n], g.lines[n+1:]...)
			break
		}
	}
	g.forget(u)
}

// forget drops a user of whom nothing is left; the lock is held.
func (g *Gate) forget(u *user) {
	if u.running == 0 && len(u.waiting) == 0 {
		delete(g.users, u.name)
	}
}
