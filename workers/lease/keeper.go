package lease

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/eventstore"
)

// answerTimeout is how long the database may take for a round; longer than that, and
// the connection is given up. It leaves time for another before the leases end.
const answerTimeout = 1500 * time.Millisecond

// keeper is the one goroutine that talks to the database for the leases of a process,
// on a connection of its own: a busy pool must not cost it its leases.
type keeper struct {
	leases *Leases
	done   chan struct{}
	conn   *pgx.Conn
	free   map[string]time.Time // since when each free lease was seen to be free
}

func (k *keeper) run() {
	defer close(k.done)
	defer k.disconnect()
	for {
		rest := k.tend()
		if !k.needed() {
			return
		}
		k.await(rest)
	}
}

func (k *keeper) needed() bool {
	k.leases.mu.Lock()
	defer k.leases.mu.Unlock()
	return k.leases.kept == k.done
}

// tend renews what is held, gives back what is done with, takes what is free, and says
// how long nothing needs to be done.
func (k *keeper) tend() time.Duration {
	rest, err := k.round()
	if err != nil {
		k.disconnect()
		k.leases.forget()
		return Renewal / 10
	}
	return rest
}

func (k *keeper) round() (rest time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	if err := k.connect(ctx); err != nil {
		return 0, err
	}
	if err := k.giveBack(ctx, k.leases.returning()); err != nil {
		return 0, err
	}
	wanted, held := k.leases.standing()
	sent := time.Now()
	s, rest, err := k.renew(ctx, wanted, held)
	if err != nil {
		return 0, err
	}
	k.leases.renewed(sent, held, s)
	take, handOver := s.share()
	if handOver != "" {
		k.leases.lose(handOver)
	}
	if len(take) == 0 {
		return rest, nil
	}
	sent = time.Now()
	return rest, k.take(ctx, sent, take)
}

// returning lists the claims whose leases go back.
func (l *Leases) returning() (back []*claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.roused = false
	for _, c := range l.claims {
		if c.leaving {
			back = append(back, c)
		}
	}
	return back
}

// standing reads what to tell the database: the leases that are wanted, and the terms of
// those that are held.
func (l *Leases) standing() (wanted []string, held map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	held = map[string]int64{}
	for name, c := range l.claims {
		if c.ends {
			continue
		}
		wanted = append(wanted, name)
		if c.term != 0 && !c.leaving {
			held[name] = c.term
		}
	}
	return wanted, held
}

// giveBack frees leases and tells everybody.
func (k *keeper) giveBack(ctx context.Context, back []*claim) error {
	if len(back) == 0 {
		return nil
	}
	var names []string
	var terms []int64
	for _, c := range back {
		if c.term != 0 {
			names, terms = append(names, c.name), append(terms, c.term)
		}
	}
	if len(names) > 0 {
		flight := &pgx.Batch{}
		flight.Queue(`
			update workers.leases l set owner = '', expires = clock_timestamp()
			from unnest($2::text[], $3::bigint[]) as back (name, term)
			where l.name = back.name and l.term = back.term and l.owner = $1`, k.leases.owner, names, terms)
		flight.Queue(`select pg_notify('annal_leases', '')`)
		if err := k.conn.SendBatch(ctx, flight).Close(); err != nil {
			return err
		}
	}
	k.leases.settle(back)
	return nil
}

// settle ends the service of claims that have been given back.
func (l *Leases) settle(back []*claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range back {
		c.drop()
		c.leaving = false
		if c.ends {
			delete(l.claims, c.name)
			close(c.gone)
		}
	}
	if len(l.claims) == 0 {
		l.ending, l.kept = l.kept, nil // whoever comes next has a keeper of its own
	}
}

// forget settles what cannot be given back because the database does not answer: it
// ends by itself when its time has passed.
func (l *Leases) forget() {
	l.settle(l.returning())
}

// renew tells the database who is there and reads how things stand.
func (k *keeper) renew(ctx context.Context, wanted []string, held map[string]int64) (situation, time.Duration, error) {
	s := situation{me: k.leases.owner, wanted: wanted, held: map[string]string{}, others: map[string]map[string]bool{}, free: k.freeFor}
	names, terms := make([]string, 0, len(held)), make([]int64, 0, len(held))
	for name, term := range held {
		names, terms = append(names, name), append(terms, term)
	}
	rest := Renewal
	flight := &pgx.Batch{}
	if len(wanted) > 0 {
		flight.Queue(`
			insert into workers.owners (owner, wants, expires) values ($1, $2, clock_timestamp() + $3)
			on conflict (owner) do update set wants = excluded.wants, expires = excluded.expires`, s.me, wanted, TTL)
	} else {
		flight.Queue(`delete from workers.owners where owner = $1`, s.me)
	}
	flight.Queue(`
		update workers.leases l set expires = clock_timestamp() + $4
		from unnest($2::text[], $3::bigint[]) as held (name, term)
		where l.name = held.name and l.term = held.term and l.owner = $1`, s.me, names, terms, TTL)
	flight.Queue(`delete from workers.owners where expires < clock_timestamp() - interval '1 minute'`)
	flight.Queue(`select name, owner, expires - clock_timestamp() from workers.leases where expires > clock_timestamp()`).Query(
		func(rows pgx.Rows) error {
			var name, owner string
			var left time.Duration
			_, err := pgx.ForEachRow(rows, []any{&name, &owner, &left}, func() error {
				s.held[name] = owner
				if owner != s.me {
					rest = min(rest, left+time.Millisecond) // to be there when it ends
				}
				return nil
			})
			return err
		})
	flight.Queue(`select owner, wants from workers.owners where expires > clock_timestamp() and owner <> $1`, s.me).Query(
		func(rows pgx.Rows) error {
			var owner string
			var wants []string
			_, err := pgx.ForEachRow(rows, []any{&owner, &wants}, func() error {
				s.others[owner] = map[string]bool{}
				for _, name := range wants {
					s.others[owner][name] = true
				}
				return nil
			})
			return err
		})
	if err := k.conn.SendBatch(ctx, flight).Close(); err != nil {
		return s, 0, err
	}
	for _, name := range wanted {
		if s.held[name] != "" {
			delete(k.free, name)
			continue
		}
		if k.free[name].IsZero() {
			k.free[name] = time.Now()
		}
		rest = min(rest, max(patience-k.freeFor(name), time.Millisecond))
	}
	return s, rest, nil
}

// freeFor is how long a lease has been free, as far as this process has seen.
func (k *keeper) freeFor(name string) time.Duration { return time.Since(k.free[name]) }

// renewed prolongs what the database has renewed, and ends what it has not.
func (l *Leases) renewed(sent time.Time, held map[string]int64, s situation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, term := range held {
		c := l.claims[name]
		if c == nil || c.term != term {
			continue
		}
		if s.held[name] == s.me {
			c.expiry.Reset(time.Until(sent.Add(TTL)))
		} else {
			c.lost()
		}
	}
}

// lose ends the work under a lease that somebody else should have.
func (l *Leases) lose(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.claims[name]; c != nil && c.term != 0 {
		c.lost()
	}
}

// take tries to get free leases; others may be faster.
func (k *keeper) take(ctx context.Context, sent time.Time, names []string) error {
	// Everybody takes them in the order of their names, so nobody waits in a circle.
	rows, err := k.conn.Query(ctx, `
		insert into workers.leases as l (name, owner, term, expires)
		select name, $1, 1, clock_timestamp() + $3 from unnest($2::text[]) as free (name) order by name
		on conflict (name) do update set owner = excluded.owner, term = l.term + 1, expires = excluded.expires
			where l.expires <= clock_timestamp()
		returning name, term`, k.leases.owner, names, TTL)
	if err != nil {
		return err
	}
	var name string
	var term int64
	_, err = pgx.ForEachRow(rows, []any{&name, &term}, func() error {
		delete(k.free, name)
		k.leases.got(name, term, sent)
		return nil
	})
	return err
}

// got hands a lease to the Hold that waits for it. If that has gone meanwhile, it is
// given back in the next round.
func (l *Leases) got(name string, term int64, sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.claims[name]
	ctx, lost := context.WithCancel(context.Background())
	c.term, c.lost = term, lost
	c.expiry = time.AfterFunc(time.Until(sent.Add(TTL)), lost)
	c.granted <- grant{ctx: ctx, term: term}
}

// drop forgets the lease of a claim. Leases.mu is held.
func (c *claim) drop() {
	if c.term == 0 {
		return
	}
	c.expiry.Stop()
	c.lost()
	c.term = 0
	select {
	case <-c.granted: // nobody has taken it up
	default:
	}
}

// await rests until it is time, a claim changes or somebody gives a lease back.
func (k *keeper) await(rest time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), rest)
	defer cancel()
	l := k.leases
	l.mu.Lock()
	l.wake = cancel
	if l.roused {
		cancel()
	}
	l.mu.Unlock()
	if k.conn == nil {
		<-ctx.Done()
	} else if _, err := k.conn.WaitForNotification(ctx); err != nil && ctx.Err() == nil {
		k.disconnect()
	}
	l.mu.Lock()
	l.wake = nil
	l.mu.Unlock()
}

func (k *keeper) connect(ctx context.Context) error {
	if k.conn != nil && !k.conn.IsClosed() {
		return nil
	}
	conn, err := eventstore.Dial(ctx, k.leases.pool)
	if err != nil {
		return err
	}
	k.conn = conn
	_, err = conn.Exec(ctx, `listen annal_leases`)
	return err
}

func (k *keeper) disconnect() {
	if k.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	_ = k.conn.Close(ctx)
	k.conn = nil
}
