package eventstore

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
)

// Bounds of a batch and of waiting for the database.
const (
	maxBatch       = 256     // proposals
	maxBatchBytes  = 1 << 20 // of encoded events; a larger proposal goes alone
	maxQueue       = 1024    // proposals waiting
	attemptTimeout = 30 * time.Second
	outcomeTimeout = 20 * time.Second // how long a lost database is waited for
	reconnectPause = 100 * time.Millisecond

	maxReconnectPause = 5 * time.Second // doubling up to it while nobody waits
)

// appendLock is the key of the advisory lock that orders all appends ("annal"). The
// database's function log.append takes it too.
const appendLock = 0x616e6e616c

// committer owns the node's one connection for appends.
type committer struct {
	log     *Log
	pool    *pgxpool.Pool
	options Options
	queue   chan *request
	stopped chan struct{}

	mu         sync.Mutex // held while a batch is under way; guards what follows
	conn       *pgx.Conn
	carry      []*request // had to wait for the batch before them to commit
	alone      bool       // the last batch was a single proposal
	partitions []partition
	closed     bool
}

func newCommitter(log *Log) *committer {
	return &committer{
		log: log, pool: log.pool, options: log.options,
		queue:   make(chan *request, maxQueue),
		stopped: make(chan struct{}),
		alone:   true,
	}
}

func (c *committer) run(ctx context.Context) {
	defer close(c.stopped)
	defer c.close()
	for {
		var first *request
		select {
		case first = <-c.queue:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		if first.taken.CompareAndSwap(false, true) { // else its caller gave up
			c.commit(context.WithoutCancel(ctx), []*request{first}, attempt{gather: true})
		}
		for len(c.carry) > 0 {
			requests := c.carry
			c.carry = nil
			c.commit(context.WithoutCancel(ctx), requests, attempt{gather: true})
		}
		c.mu.Unlock()
	}
}

// lone carries a claim through at once, on its proposer's goroutine, if nobody else is at
// it: a lone push need not wait for another goroutine to wake up. It reports whether it did.
func (c *committer) lone(ctx context.Context, r *request) bool {
	if r.claim == nil || len(c.queue) > 0 || !c.mu.TryLock() {
		return false
	}
	defer c.mu.Unlock()
	if !c.alone || c.closed {
		return false
	}
	r.taken.Store(true)
	c.commit(context.WithoutCancel(ctx), []*request{r}, attempt{alone: true})
	return true
}

// attempt is how a batch is tried.
type attempt struct {
	alone  bool  // one claim, in one round trip
	gather bool  // take in what arrives until the append lock is held
	reread bool  // decide on what is read under the append lock, not on what memory holds
	since  int64 // an acknowledgement was lost: look for the events behind this position; -1: none was
}

// commit carries requests through to their answers.
func (c *committer) commit(ctx context.Context, requests []*request, how attempt) {
	deadline := time.Now().Add(outcomeTimeout)
	horizon := c.log.KnownHead()
	how.since = -1
	for {
		b, err := c.try(ctx, requests, how)
		requests, how.gather = b.requests, false
		if err == nil {
			b.finish(c.log)
			c.alone = len(requests) == 1 && len(c.carry) == 0
			return
		}
		switch lost := c.conn == nil || c.conn.IsClosed(); {
		case lost:
			// Trying again under the lock also tells whether the lost transaction had
			// committed: its ids are in the log then.
			c.disconnect()
			if time.Now().Before(deadline) {
				c.options.Log.Warn("the database was lost during an append, trying again", "error", err)
				pause(ctx, reconnectPause)
				how = attempt{reread: true, since: horizon}
				continue
			}
			for _, r := range requests {
				r.answer <- answer{err: &UnknownOutcomeError{ID: r.id.String(), Err: err}}
			}
			return
		case !how.reread && needsReread(err):
			how = attempt{reread: true, since: how.since}
			if c.readPartitions(ctx) == nil {
				continue
			}
		case isFull(err) && time.Now().Before(deadline):
			if c.extend(ctx) == nil {
				continue
			}
		}
		if errors.Is(err, ErrWentBack) {
			c.log.wentBack(horizon, 0)
		}
		if len(requests) == 1 {
			requests[0].answer <- answer{err: err}
			return
		}
		// One of them spoils it for all: each goes alone.
		for _, r := range requests {
			c.commit(ctx, []*request{r}, attempt{reread: how.reread})
		}
		return
	}
}

// try commits one transaction. The batch it returns holds the requests it tried, and if
// there is no error their answers.
func (c *committer) try(ctx context.Context, requests []*request, how attempt) (b *batch, err error) {
	b = &batch{requests: requests}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return b, err
	}
	horizon := c.log.KnownHead()
	if how.alone {
		if err := b.decide(c.log, false); err != nil || len(b.entries) == 0 {
			return b, err
		}
		if !b.inline(c.options.Inline) {
			within, err := c.within(b, horizon)
			if err != nil {
				return b, err
			}
			wake := !c.log.alone.Load()
			if b.isOne() {
				placed, err := b.placedOne(c.conn.QueryRow(ctx, appendOneCall, b.oneArguments(horizon, within, wake)...))
				if placed || err != nil {
					return b, err
				}
			}
			return b, b.placed(c.conn.QueryRow(ctx, appendCall, b.arguments(horizon, within, wake)...))
		}
	}
	// The lock is a statement of its own: whatever is read next has a snapshot
	// taken after the lock was granted.
	flight := &pgx.Batch{}
	flight.Queue(`begin`)
	flight.Queue(`select pg_advisory_xact_lock($1)`, int64(appendLock))
	if err := c.conn.SendBatch(ctx, flight).Close(); err != nil {
		return b, c.rollback(ctx, err)
	}
	if how.gather {
		// Only now: everything that came while the lock was waited for shares
		// this transaction and its one sync to disk.
		b.requests, c.carry = c.gather(requests)
	}
	return b, c.rollback(ctx, c.fill(ctx, b, how, horizon))
}

// fill decides a batch, appends it and commits, under the append lock.
func (c *committer) fill(ctx context.Context, b *batch, how attempt, horizon int64) error {
	tx := transaction{c.conn}
	reread := how.reread || b.hasFixed()
	if reread {
		if err := b.read(ctx, tx, c.log, how.since); err != nil {
			return err
		}
	}
	if err := b.decide(c.log, reread); err != nil {
		return err
	}
	flight := &pgx.Batch{}
	if len(b.entries) > 0 {
		within := anywhere // nobody can be faster than what was read under the lock
		if !reread {
			var err error
			if within, err = c.within(b, horizon); err != nil {
				return err
			}
		}
		flight.Queue(appendCall, b.arguments(horizon, within, !c.log.alone.Load())...).QueryRow(b.placed)
		if b.inline(c.options.Inline) {
			if err := c.conn.SendBatch(ctx, flight).Close(); err != nil {
				return err
			}
			if err := b.applyInline(ctx, tx, c.options.Inline); err != nil {
				return err
			}
			flight = &pgx.Batch{}
		}
	}
	flight.Queue(`commit`)
	return c.conn.SendBatch(ctx, flight).Close()
}

// rollback ends the transaction of a batch that failed with err, and returns err.
func (c *committer) rollback(ctx context.Context, err error) error {
	if err != nil && !c.conn.IsClosed() {
		if _, failed := c.conn.Exec(ctx, `rollback`); failed != nil {
			hangUp(c.conn) // its transaction must not stay open
		}
	}
	return err
}

// within is the partition that a batch is meant for, decided as it was without looking into
// the log. It is errDoubtful if the decisions have not seen the log up to there.
func (c *committer) within(b *batch, head int64) (partition, error) {
	for _, p := range c.partitions {
		if p.first <= head+1 && head+1 <= p.last {
			if b.known < p.first-1 {
				return partition{}, errDoubtful
			}
			return p, nil
		}
	}
	return partition{}, errDoubtful
}

// gather adds what is waiting to requests, and returns what has to wait for the
// next batch: events decided by their proposer are alone on their stream, so that
// claims on it are decided before or after them and not beside them. Those of a project
// may be rules for what is claimed of its repositories, so that no claim comes behind them.
func (c *committer) gather(requests []*request) (together, later []*request) {
	claimed, fixed := map[domain.Stream]bool{}, map[domain.Stream]bool{}
	size, ruled := 0, false
	add := func(r *request) {
		stream, claim := r.proposal.Stream, r.claim != nil
		if fixed[stream] || (claim && ruled) || (!claim && claimed[stream]) || (len(together) > 0 && size+r.size() > maxBatchBytes) {
			later = append(later, r)
			// Whoever comes later for this stream must not overtake it.
			fixed[stream] = true
			return
		}
		if claim {
			claimed[stream] = true
		} else {
			fixed[stream] = true
			ruled = ruled || strings.HasPrefix(string(stream), domain.ProjectStreams)
		}
		size += r.size()
		together = append(together, r)
	}
	for _, r := range requests {
		add(r)
	}
	for len(together)+len(later) < maxBatch {
		select {
		case r := <-c.queue:
			if r.taken.CompareAndSwap(false, true) {
				add(r)
			}
		default:
			return together, later
		}
	}
	return together, later
}

func (c *committer) connect(ctx context.Context) error {
	if c.conn != nil && !c.conn.IsClosed() {
		return nil
	}
	c.conn = nil
	conn, err := dial(ctx, c.pool)
	if err != nil {
		return err
	}
	// A node that stops while it holds the append lock must not hold up the others. Plans
	// are made once: the log's partitions are left out when a statement runs.
	_, err = conn.Exec(ctx, `
		set idle_in_transaction_session_timeout = '250ms';
		set lock_timeout = '10s';
		set statement_timeout = '20s';
		set plan_cache_mode = force_generic_plan`)
	if err != nil {
		hangUp(conn)
		return err
	}
	c.conn = conn
	return c.readPartitions(ctx)
}

// close ends the connection for good.
func (c *committer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.disconnect()
}

func (c *committer) disconnect() {
	if c.conn != nil {
		hangUp(c.conn)
		c.conn = nil
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
