package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
)

// Options of a Log. Types must be given; the rest has defaults.
type Options struct {
	Types   *Registry
	Node    string   // written into each event's metadata
	Inline  []Inline // moved in the transaction of every append, in this order
	Arbiter Arbiter  // decides claims; nil if there are none
	Log     *slog.Logger
	Poll    time.Duration // how often the head is asked for when no hint comes; default 250 ms
}

// Log is the event log in one database, as one node sees it.
type Log struct {
	pool      *pgxpool.Pool
	options   Options
	committer *committer
	follower  *follower
	cancel    context.CancelFunc
	tasks     sync.WaitGroup

	maintenance atomic.Bool
	refusal     atomic.Pointer[domain.UnavailableError]
}

// Open starts the node's committer and its watch on the head of the log. Close
// ends both. The pool must come from Connect.
func Open(ctx context.Context, pool *pgxpool.Pool, options Options) (*Log, error) {
	if options.Log == nil {
		options.Log = slog.Default()
	}
	if options.Poll == 0 {
		options.Poll = 250 * time.Millisecond
	}
	l := &Log{pool: pool, options: options}
	l.committer = newCommitter(pool, options)
	l.follower = newFollower(pool, options)
	head, err := l.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	l.follower.saw(head)
	l.committer.committed = l.follower.saw
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.tasks.Go(func() { l.committer.run(running) })
	l.tasks.Go(func() { l.follower.run(running) })
	return l, nil
}

// Close stops taking proposals, finishes the batch under way and waits.
func (l *Log) Close() {
	l.cancel()
	l.tasks.Wait()
}

// SetMaintenance begins or ends maintenance of this node: while it lasts, Append answers
// ErrMaintenance. Proposals that wait already are carried out.
func (l *Log) SetMaintenance(on bool) { l.maintenance.Store(on) }

// Refuse makes Append answer with reason until it is called with nil: while the log may
// not be what was signed, nothing is added to it.
func (l *Log) Refuse(reason *domain.UnavailableError) { l.refusal.Store(reason) }

// Types is the registry the log was opened with.
func (l *Log) Types() *Registry { return l.options.Types }

// NextID takes the next number of a kind: "user", "project", "repository" or
// "token". Numbers are never given twice; some may never be used.
func (l *Log) NextID(ctx context.Context, kind string) (int64, error) {
	var id int64
	err := l.pool.QueryRow(ctx, `select nextval(('log.' || $1::text || '_id')::regclass)`, kind).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("next %s id: %w", kind, err)
	}
	return id, nil
}

// Inline is a projection that moves in the transaction of every append: its rows
// are never behind the log.
type Inline interface {
	// Name is also the Postgres schema of its tables.
	Name() string
	// Tables lists them, referenced ones first.
	Tables() []string
	// Apply moves the tables by a batch of events in log order, and passes over
	// types it does not know. An error refuses the append; domain errors reach
	// the proposer as they are. Table names are written without a schema, so
	// that a rebuild can put another schema in front.
	Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error
}

// Arbiter decides claims: proposals whose events depend on state that only the
// append lock holds still.
type Arbiter interface {
	// Arbitrate decides the claims of one batch in order, each seeing what the
	// ones before it changed, and fills in Events, Outcome or Err. It is called
	// under the append lock.
	Arbitrate(ctx context.Context, tx pgx.Tx, claims []*Claim) error
}

// Claim is a command and, once decided, what came of it.
type Claim struct {
	Stream  domain.Stream
	Command any

	Events  []domain.Event // to append; none if nothing happened
	Outcome any            // handed to the proposer
	Err     error          // refuses the whole claim
}
