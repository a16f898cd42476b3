package eventstore

import (
	"context"
	"time"

	"github.com/google/uuid"
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

// appendLock is the key of the advisory lock that orders all appends ("annal").
const appendLock = 0x616e6e616c

// committer owns the node's one connection for appends. Its run loop is the only
// goroutine that touches conn and carry.
type committer struct {
	pool      *pgxpool.Pool
	options   Options
	queue     chan *request
	stopped   chan struct{}
	committed func(head int64)

	conn  *pgx.Conn
	carry []*request // had to wait for the batch before them to commit
}

func newCommitter(pool *pgxpool.Pool, options Options) *committer {
	return &committer{
		pool: pool, options: options,
		queue:   make(chan *request, maxQueue),
		stopped: make(chan struct{}),
	}
}

func (c *committer) run(ctx context.Context) {
	defer close(c.stopped)
	defer c.disconnect()
	for {
		requests := c.carry
		c.carry = nil
		if len(requests) == 0 {
			select {
			case r := <-c.queue:
				if !r.taken.CompareAndSwap(false, true) {
					continue // its caller gave up
				}
				requests = append(requests, r)
			case <-ctx.Done():
				return
			}
		}
		c.commit(context.WithoutCancel(ctx), requests, true)
	}
}

// commit carries requests through to their answers, and with gather also those
// that arrive until the append lock is held.
func (c *committer) commit(ctx context.Context, requests []*request, gather bool) {
	deadline := time.Now().Add(outcomeTimeout)
	for {
		b, err := c.attempt(ctx, requests, gather)
		requests, gather = b.requests, false
		if err == nil {
			for i, r := range requests {
				r.answer <- b.answers[i]
			}
			c.committed(b.head)
			return
		}
		if lost := c.conn == nil || c.conn.IsClosed(); lost {
			// Trying again under the lock also tells whether the lost transaction
			// had committed: its ids are in the log then.
			c.disconnect()
			if time.Now().Before(deadline) {
				c.options.Log.Warn("the database was lost during an append, trying again", "error", err)
				pause(ctx, reconnectPause)
				continue
			}
			for _, r := range requests {
				r.answer <- answer{err: &UnknownOutcomeError{ID: r.proposal.ID, Err: err}}
			}
			return
		}
		if len(requests) == 1 {
			requests[0].answer <- answer{err: err}
			return
		}
		// One of them spoils it for all: each goes alone.
		for _, r := range requests {
			c.commit(ctx, []*request{r}, false)
		}
		return
	}
}

// attempt commits one transaction. The batch it returns holds the requests it
// tried, and if there is no error their answers.
func (c *committer) attempt(ctx context.Context, requests []*request, gather bool) (*batch, error) {
	b := &batch{requests: requests}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return b, err
	}
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return b, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after a commit
	// The lock is a statement of its own: whatever is read next has a snapshot
	// taken after the lock was granted.
	if err := LockAppends(ctx, tx); err != nil {
		return b, err
	}
	if gather {
		// Only now: everything that came while the lock was waited for shares
		// this transaction and its one sync to disk.
		b.requests, c.carry = c.gather(requests)
	}
	if err := b.decide(ctx, tx, c.options); err != nil {
		return b, err
	}
	if err := b.write(ctx, tx, c.options); err != nil {
		return b, err
	}
	return b, tx.Commit(ctx)
}

// gather adds what is waiting to requests, and returns what has to wait for the
// next batch: events decided by their proposer are alone on their stream, so that
// claims on it are decided before or after them and not beside them; and a
// repeated id is seen as one only when the first is in the log.
func (c *committer) gather(requests []*request) (together, later []*request) {
	claimed, fixed, ids := map[domain.Stream]bool{}, map[domain.Stream]bool{}, map[uuid.UUID]bool{}
	size := 0
	add := func(r *request) {
		stream, claim := r.proposal.Stream, r.proposal.Claim != nil
		if ids[r.id] || fixed[stream] || (!claim && claimed[stream]) || (len(together) > 0 && size+r.size() > maxBatchBytes) {
			later = append(later, r)
			// Whoever comes later for this stream must not overtake it.
			fixed[stream] = true
			return
		}
		claimed[stream], fixed[stream], ids[r.id] = claim, !claim, true
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
	// A stopped node must not hold the append lock for ever.
	_, err = conn.Exec(ctx, `set idle_in_transaction_session_timeout = '2s'; set lock_timeout = '10s'; set statement_timeout = '20s'`)
	if err != nil {
		hangUp(conn)
		return err
	}
	c.conn = conn
	return nil
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
