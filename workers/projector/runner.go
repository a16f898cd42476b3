package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/workers"
)

const (
	pageSize    = 1000             // events a page has at most
	openTimeout = 10 * time.Second // to connect and to take a shard over
	pageTimeout = time.Minute      // to apply a page
	closeGrace  = time.Second      // for a runner that was told to end, before it is abandoned
)

// errStuck is why the watch ends a runner.
var errStuck = errors.New("no progress although there are events")

// runner moves one shard of a projection under one term.
type runner struct {
	config   Config
	metrics  *metrics
	log      *slog.Logger
	follower projections.Follower
	shard    int
	term     int64
	gauge    *progress

	abandoned sync.WaitGroup // a goroutine that does not end although it was told to
}

func (p *Projector) runner(follower projections.Follower, shard int, term int64) *runner {
	return &runner{
		config: p.config, metrics: p.metrics, follower: follower, shard: shard, term: term,
		log: p.config.Logger.With("projection", follower.Name(), "shard", shard, "term", term),
	}
}

// run works until ctx ends, the shard is somebody else's, or there is no progress. The
// work is in a goroutine of its own, which is left behind if it does not end: its
// connection is cut, and its term will be over.
func (r *runner) run(ctx context.Context) error {
	r.gauge = r.metrics.begin(r.follower.Name(), r.shard)
	defer r.metrics.end(r.gauge)
	applying, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan struct{})
	r.abandoned.Go(func() {
		defer close(ended)
		r.work(working, applying)
	})

	check := time.NewTicker(r.config.Stuck / 10)
	defer check.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			r.await(ended, cut)
			return nil
		case <-check.C:
			if r.gauge.stuck(r.config.Stuck) {
				stop()
				cut()
				r.await(ended, cut)
				return errStuck
			}
		}
	}
}

// await lets the page under way be finished, then has it cut off, then gives it up.
func (r *runner) await(ended <-chan struct{}, cut context.CancelFunc) {
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	for range 2 {
		select {
		case <-ended:
			return
		case <-timer.C:
			cut()
			timer.Reset(closeGrace)
		}
	}
	r.log.Error("a projection does not end and is abandoned: its connection and its lease are given up")
}

// work connects, applies, and connects again after errors, until ctx ends. applying ends
// later: what is under way is finished.
func (r *runner) work(ctx, applying context.Context) {
	cursor := projections.NewCursor(r.config.Log, r.follower, r.shard, r.term)
	cursor.Parked = func(position int64, stream domain.Stream, err error) {
		r.metrics.parked.WithLabelValues(r.follower.Name()).Inc()
		r.log.Error("an event cannot be applied, its stream is set aside", "position", position, "stream", stream, "error", err)
	}
	wait := r.config.Backoff
	for ctx.Err() == nil {
		before := cursor.Position()
		err := r.connected(ctx, applying, cursor)
		if ctx.Err() != nil {
			break
		}
		if cursor.Position() > before {
			wait = r.config.Backoff
		}
		if errors.Is(err, projections.ErrFenced) {
			r.log.Info("the projection has moved without this runner: looking again", "reason", err)
		} else {
			r.metrics.failures.WithLabelValues(r.follower.Name()).Inc()
			r.log.Warn("a projection stands still", "error", err)
		}
		workers.Pause(ctx, wait)
		wait = min(2*wait, maxBackoff)
	}
}

// connected applies pages over one connection until an error or the end of ctx.
func (r *runner) connected(ctx, applying context.Context, cursor *projections.Cursor) error {
	conn, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	opening, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := cursor.Open(opening, conn); err != nil {
		return err
	}
	r.gauge.moved(cursor.Position())

	reading, stop := context.WithCancel(ctx)
	pages := make(chan page)
	var reader sync.WaitGroup
	reader.Go(func() { r.read(reading, cursor.Position(), pages) })
	defer reader.Wait()
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return r.leave(ctx, cursor)
		case page := <-pages:
			if err := r.apply(ctx, applying, cursor, page.events); err != nil {
				return err
			}
			if page.err != nil {
				return page.err
			}
		}
	}
}

// dial opens the runner's connection. A projection can be made again from the log, so
// its commits need not wait for the disk: rows and checkpoint are lost together.
func (r *runner) dial(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := eventstore.Dial(ctx, r.config.Pool)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, `set synchronous_commit = off; set lock_timeout = '10s'; set statement_timeout = '30s';
		set idle_in_transaction_session_timeout = '10s'`)
	if err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// read sends page after page: while one is applied, the next is at hand.
func (r *runner) read(ctx context.Context, after int64, pages chan<- page) {
	for ctx.Err() == nil {
		var next page
		head, err := r.config.Log.Await(ctx, after)
		if err == nil {
			r.gauge.saw(head)
			next.events, next.err = r.config.Log.Follow(ctx, after, pageSize)
		}
		if ctx.Err() != nil || (len(next.events) == 0 && next.err == nil) {
			continue
		}
		after += int64(len(next.events))
		select {
		case pages <- next:
		case <-ctx.Done():
		}
		if next.err != nil {
			return
		}
	}
}

// apply applies a page, waiting where it stops until there is news for it.
func (r *runner) apply(ctx, applying context.Context, cursor *projections.Cursor, events []domain.Recorded) error {
	for {
		left := events[min(max(cursor.Position()-first(events), 0), int64(len(events))):]
		start, from := time.Now(), cursor.Position()
		err := r.within(applying, cursor, left)
		r.metrics.applied(r.follower.Name(), cursor.Position()-from, time.Since(start))
		r.gauge.moved(cursor.Position())
		if r.config.Moved != nil && cursor.Position() > from {
			r.config.Moved(r.follower.Name(), r.shard, cursor.Position())
		}
		var stopped *projections.StoppedError
		if !errors.As(err, &stopped) {
			return err
		}
		r.log.Error("a projection has stopped and waits for an operator: 'annal projections list' shows it", "error", err)
		r.gauge.stop(true)
		head, err := r.config.Log.Await(ctx, r.gauge.head())
		r.gauge.stop(false)
		if err != nil {
			return nil //nolint:nilerr // the runner is told to end
		}
		r.gauge.saw(head)
	}
}

func (r *runner) within(ctx context.Context, cursor *projections.Cursor, events []domain.Recorded) error {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	return cursor.Apply(ctx, events)
}

func first(events []domain.Recorded) int64 {
	if len(events) == 0 {
		return 0
	}
	return events[0].Position - 1
}

// leave notes that nothing was under way.
func (r *runner) leave(ctx context.Context, cursor *projections.Cursor) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	if err := cursor.Close(ctx); err != nil {
		return fmt.Errorf("leave %s: %w", r.follower.Name(), err)
	}
	return nil
}
