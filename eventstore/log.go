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
	Types  *Registry
	Node   string   // written into each event's metadata
	Inline []Inline // moved in the transaction of every append, in this order
	Log    *slog.Logger
	Poll   time.Duration // how often the head is asked for when no hint comes; default 250 ms
}

// Log is the event log in one database, as one node sees it.
type Log struct {
	pool      *pgxpool.Pool
	options   Options
	arbiter   Arbiter
	committer *committer
	follower  *follower
	recent    recent
	fresh     questions
	decided   decided
	cancel    context.CancelFunc
	tasks     sync.WaitGroup

	maintenance atomic.Bool
	alone       atomic.Bool   // no other node waits for notifications
	lost        chan struct{} // closed once events that this node has seen are gone
	losing      sync.Once
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
	options.Inline = append([]Inline{erasure{}}, options.Inline...)
	l := &Log{pool: pool, options: options, lost: make(chan struct{})}
	l.follower = newFollower(pool, options, l.wentBack, l.recent.saw)
	l.committer = newCommitter(l)
	head, err := l.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	l.follower.saw(head)
	l.decided.forget(head)
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

// SetAlone says whether this is the only live node: then appends notify nobody. Whoever else
// follows the log, such as a command, finds out when it polls.
func (l *Log) SetAlone(alone bool) { l.alone.Store(alone) }

// Refuse makes Append answer with reason until it is called with nil: while the log may
// not be what was signed, nothing is added to it.
func (l *Log) Refuse(reason *domain.UnavailableError) { l.refusal.Store(reason) }

// Types is the registry the log was opened with.
func (l *Log) Types() *Registry { return l.options.Types }

// KnownHead is a position that the log has reached, without asking the database: the
// newest that this node has heard of.
func (l *Log) KnownHead() int64 {
	head, _ := l.follower.known()
	return head
}

// Lost is closed once the database lacks events that this node has seen. What the node
// keeps in memory is of no use then: it must start again.
func (l *Log) Lost() <-chan struct{} { return l.lost }

func (l *Log) wentBack(seen, head int64) {
	l.losing.Do(func() {
		l.options.Log.Error("the database has lost events that this node has seen", "seen", seen, "head", head)
		l.recent.forget()
		close(l.lost)
	})
}

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
	// Needs reports whether Apply has anything to do for events of a type.
	Needs(eventType string) bool
	// Apply moves the tables by a batch of events in log order, and passes over
	// types it does not need. An error refuses the append; domain errors reach
	// the proposer as they are. Table names are written without a schema, so
	// that a rebuild can put another schema in front.
	Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error
}
