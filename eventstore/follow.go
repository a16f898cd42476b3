package eventstore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// follower knows how far the log has come, from this node's own appends, from
// notifications of the others and, without fail, from asking again and again.
// Hints only save time: losing all of them costs a poll interval.
type follower struct {
	pool    *pgxpool.Pool
	options Options
	lost    func(seen, head int64) // called when the log ends before a position that it had reached
	heard   func(head int64)       // called when the database says how far the log has come

	mu    sync.Mutex
	head  int64
	moved chan struct{} // closed and replaced whenever head rises
}

// askTimeout is how long the database may take to say how far the log has come.
const askTimeout = 5 * time.Second

func newFollower(pool *pgxpool.Pool, options Options, lost func(seen, head int64), heard func(head int64)) *follower {
	return &follower{pool: pool, options: options, lost: lost, heard: heard, moved: make(chan struct{})}
}

// saw takes note that the log is at least at head.
func (f *follower) saw(head int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if head > f.head {
		f.head = head
		close(f.moved)
		f.moved = make(chan struct{})
	}
}

func (f *follower) known() (head int64, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head, f.moved
}

// run listens and polls on one connection until ctx ends.
func (f *follower) run(ctx context.Context) {
	wait := reconnectPause
	for ctx.Err() == nil {
		start := time.Now()
		if err := f.listen(ctx); err != nil && ctx.Err() == nil {
			if time.Since(start) > maxReconnectPause {
				wait = reconnectPause // it had worked meanwhile
			}
			f.options.Log.Warn("lost the connection that watches the log, connecting again", "error", err)
			pause(ctx, wait)
			wait = min(2*wait, maxReconnectPause)
		}
	}
}

func (f *follower) listen(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	conn, err := dial(starting, f.pool)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if _, err := conn.Exec(starting, `listen annal_log`); err != nil {
		return err
	}
	for {
		if err := f.ask(ctx, conn); err != nil {
			return err
		}
		if err := f.awaitHints(ctx, conn); err != nil {
			return err
		}
	}
}

// ask reads the head of the log. A server that has vanished without a word shows here.
func (f *follower) ask(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	seen, _ := f.known()
	var head int64
	if err := conn.QueryRow(ctx, headQuery).Scan(&head); err != nil {
		return err
	}
	if head < seen {
		f.lost(seen, head)
	}
	f.heard(head)
	f.saw(head)
	return nil
}

// awaitHints takes notifications until it is time to ask.
func (f *follower) awaitHints(ctx context.Context, conn *pgx.Conn) error {
	waiting, cancel := context.WithTimeout(ctx, f.options.Poll)
	defer cancel()
	for {
		hint, err := conn.WaitForNotification(waiting)
		if err != nil {
			if waiting.Err() != nil && ctx.Err() == nil {
				return nil
			}
			return err
		}
		if head, err := strconv.ParseInt(hint.Payload, 10, 64); err == nil {
			f.heard(head)
			f.saw(head)
		}
	}
}

// Await returns once the log reaches beyond a position, with the newest known
// position, or when ctx ends.
func (l *Log) Await(ctx context.Context, after int64) (head int64, err error) {
	for {
		head, moved := l.follower.known()
		if head > after {
			return head, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return head, ctx.Err()
		}
	}
}
