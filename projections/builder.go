package projections

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore"
)

// Builder makes projections anew from the log, beside the live ones and while they move.
// The role that the pool logs in as must own the tables.
type Builder struct {
	Pool     *pgxpool.Pool
	Log      History
	LockLog  func(ctx context.Context, tx pgx.Tx) error // holds appends until tx ends
	Workers  int                                        // that read and fold at the same time; default: as many as there are processors
	Bytes    int                                        // of rows in memory, beyond which a projection is rebuilt event by event; default 512 MiB
	Progress func(position, head int64)                 // may be nil
	Waiting  func(err error)                            // told when the swap has to wait for readers; may be nil
}

const (
	defaultBytes = 512 << 20
	closeIn      = 300 * time.Millisecond // the copy is swapped in when the last catching up took less
	busyPause    = 500 * time.Millisecond // before the swap is tried again
)

// ErrBeingBuilt says that the projection is being rebuilt or verified already.
var ErrBeingBuilt = errors.New("it is being rebuilt or verified already")

// Rebuild makes p anew from position zero and puts the copy in the place of the live
// tables, in one short transaction: readers see the old rows or the new ones, and
// appends are held up for that moment only. Events that were set aside are applied with
// the rest, those that an operator skipped are left out; if one fails, nothing changes.
// What a rebuild leaves that did not end, the next one removes.
func (b Builder) Rebuild(ctx context.Context, p Projection) (position int64, err error) {
	err = b.withCopy(ctx, p, func(c *construction) error {
		if err := c.build(ctx, c.head); err != nil {
			return err
		}
		if err := c.closeUp(ctx); err != nil {
			return err
		}
		for {
			if position, err = c.swapIn(ctx); !errors.Is(err, errBusy) {
				return err
			}
			if b.Waiting != nil {
				b.Waiting(err)
			}
			pause(ctx, busyPause)
			if err := c.closeUp(ctx); err != nil {
				return err
			}
		}
	})
	return position, err
}

// construction is a copy that is being made.
type construction struct {
	Builder
	projection Projection
	shadow     shadow
	conn       *pgx.Conn
	head       int64 // of the log when it began
	built      int64 // position of the copy
	leaveOut   map[int64]bool
	clusterAt  int64 // version of the cluster's stream up to which skips are known
}

// withCopy hands use a construction with empty tables, and removes what is left of it.
func (b Builder) withCopy(ctx context.Context, p Projection, use func(*construction) error) error {
	if b.Workers == 0 {
		b.Workers = runtime.GOMAXPROCS(0)
	}
	if b.Bytes == 0 {
		b.Bytes = defaultBytes
	}
	if progress := b.Progress; progress != nil {
		var mu sync.Mutex
		b.Progress = func(position, head int64) {
			mu.Lock()
			defer mu.Unlock()
			progress(position, head)
		}
	}
	c := &construction{Builder: b, projection: p, shadow: newShadow(p), leaveOut: map[int64]bool{}}
	conn, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	c.conn = conn
	if err := c.reserve(ctx); err != nil {
		return err
	}
	if err := c.shadow.drop(ctx, conn); err != nil {
		return err
	}
	if err := c.shadow.make(ctx, conn); err != nil {
		return err
	}
	defer c.remove(ctx)
	if err := conn.QueryRow(ctx, `select coalesce((select position from log.events order by position desc limit 1), 0)`).Scan(&c.head); err != nil {
		return err
	}
	if err := c.readSkips(ctx); err != nil {
		return err
	}
	return use(c)
}

// dial connects as the owner of the tables, who makes new ones. Until the swap nothing
// need be on disk.
func (c *construction) dial(ctx context.Context) (*pgx.Conn, error) {
	conn, err := eventstore.Dial(ctx, c.Pool)
	if err != nil {
		return nil, err
	}
	var owner string
	_, err = conn.Exec(ctx, `reset role; set synchronous_commit = off; set idle_in_transaction_session_timeout = '1min'; set work_mem = '64MB'; set maintenance_work_mem = '256MB'`)
	if err == nil {
		err = conn.QueryRow(ctx, `select pg_get_userbyid(nspowner) from pg_namespace where nspname = $1`, c.shadow.live).Scan(&owner)
	}
	if err == nil {
		_, err = conn.Exec(ctx, `set role `+quote(owner))
	}
	if err != nil {
		hangUp(conn)
		return nil, fmt.Errorf("work as the owner of %s: %w", c.shadow.live, err)
	}
	return conn, nil
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// reserve keeps others from building the same projection; it ends with the connection,
// which the server may take a moment to notice.
func (c *construction) reserve(ctx context.Context) error {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte("annal rebuild " + c.shadow.live))
	if _, err := c.conn.Exec(ctx, `set lock_timeout = '2s'`); err != nil {
		return err
	}
	_, err := c.conn.Exec(ctx, `select pg_advisory_lock($1)`, int64(hash.Sum64()))
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "55P03" {
		return fmt.Errorf("%s: %w", c.shadow.live, ErrBeingBuilt)
	}
	return err
}

// remove drops what is not needed any more, unless somebody still reads it: then the
// next rebuild does.
func (c *construction) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if c.conn.IsClosed() { // by a context that ended
		conn, err := c.dial(ctx)
		if err != nil {
			return
		}
		defer hangUp(conn)
		c.conn = conn
	}
	_ = c.shadow.drop(ctx, c.conn)
}

// readSkips learns which events operators have left out, of those decided since the
// last time.
func (c *construction) readSkips(ctx context.Context) error {
	for {
		events, err := c.Log.ReadStream(ctx, domain.ClusterStream, c.clusterAt, pageSize)
		if err != nil {
			return err
		}
		for _, e := range events {
			c.clusterAt = e.Version
			skipped, ok := e.Event.(cluster.ProjectionSkipped)
			if !ok || skipped.Projection != c.projection.Name() {
				continue
			}
			if c.built >= skipped.Position && !c.leaveOut[skipped.Position] {
				return fmt.Errorf("event %d, which the copy has, was skipped meanwhile: start again", skipped.Position)
			}
			c.leaveOut[skipped.Position] = true
		}
		if len(events) < pageSize {
			return nil
		}
	}
}

// choose leaves out what does not belong into the copy. The error names an event that a
// newer version has written and that the projection needs.
func (c *construction) choose(events []domain.Recorded) ([]domain.Recorded, error) {
	for _, e := range events {
		if unknown, ok := e.Event.(domain.Unknown); ok && c.projection.Needs(unknown.Type) && !c.leaveOut[e.Position] {
			return nil, fmt.Errorf("event %d: %w", e.Position, &UnknownTypeError{Type: unknown.Type})
		}
	}
	if len(c.leaveOut) == 0 {
		return events, nil
	}
	var chosen []domain.Recorded
	for _, e := range events {
		if !c.leaveOut[e.Position] {
			chosen = append(chosen, e)
		}
	}
	return chosen, nil
}

// build fills the copy up to a position: in memory and in parallel if the projection can
// and the memory suffices.
func (c *construction) build(ctx context.Context, to int64) error {
	if folder, ok := c.projection.(Folder); ok {
		err := c.fold(ctx, folder, to)
		if err == nil {
			c.built = to
			if err := c.shadow.finish(ctx, c.conn); err != nil {
				return err
			}
			return c.shadow.use(ctx, c.conn)
		}
		if !errors.Is(err, errTooLarge) {
			return err
		}
		if err := c.empty(ctx); err != nil {
			return err
		}
	}
	if err := c.shadow.finish(ctx, c.conn); err != nil {
		return err
	}
	if err := c.shadow.use(ctx, c.conn); err != nil {
		return err
	}
	return c.follow(ctx, to)
}

func (c *construction) empty(ctx context.Context) error {
	for _, table := range c.projection.Tables() {
		if _, err := c.conn.Exec(ctx, `truncate `+quote(c.shadow.copy, table)); err != nil {
			return err
		}
	}
	return nil
}

// follow applies what comes behind the copy, up to a position.
func (c *construction) follow(ctx context.Context, to int64) error {
	for c.built < to {
		events, err := c.next(ctx, to)
		if err != nil {
			return err
		}
		if err := pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error { return c.apply(ctx, tx, events) }); err != nil {
			return err
		}
		c.progress(to)
	}
	return nil
}

// next reads the next page up to a position.
func (c *construction) next(ctx context.Context, to int64) ([]domain.Recorded, error) {
	events, err := c.Log.ReadAll(ctx, c.built, int(min(pageSize, to-c.built)))
	if err == nil && len(events) == 0 {
		err = fmt.Errorf("the log ends at position %d, before %d", c.built, to)
	}
	return events, err
}

func (c *construction) apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	chosen, err := c.choose(events)
	if err != nil {
		return err
	}
	if err := apply(ctx, tx, c.projection, chosen); err != nil {
		return fmt.Errorf("apply events %d to %d to %s: %w", events[0].Position, events[len(events)-1].Position, c.projection.Name(), err)
	}
	c.built = events[len(events)-1].Position
	return nil
}

func (c *construction) progress(to int64) {
	if c.Progress != nil {
		c.Progress(c.built, to)
	}
}

// closeUp follows the log until little is left.
func (c *construction) closeUp(ctx context.Context) error {
	for {
		start := time.Now()
		head, err := c.logHead(ctx, c.conn)
		if err != nil {
			return err
		}
		if err := c.follow(ctx, head); err != nil {
			return err
		}
		if time.Since(start) < closeIn {
			return ctx.Err()
		}
	}
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func (c *construction) logHead(ctx context.Context, db rowQuerier) (head int64, err error) {
	err = db.QueryRow(ctx, `select coalesce((select position from log.events order by position desc limit 1), 0)`).Scan(&head)
	return head, err
}

// swapIn does in one transaction what is left, and the swap.
func (c *construction) swapIn(ctx context.Context) (position int64, err error) {
	built := c.built
	err = pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) error {
		_, inline := c.projection.(Inline)
		if inline {
			err = c.LockLog(ctx, tx)
		} else {
			_, err = tx.Exec(ctx, `select from projections.runners where projection = $1 order by shard for update`, c.projection.Name())
		}
		if err != nil {
			return err
		}
		if err := c.shadow.lock(ctx, tx); err != nil {
			return err
		}
		if err := c.readSkips(ctx); err != nil {
			return err
		}
		head, err := c.logHead(ctx, tx)
		if err != nil {
			return err
		}
		for c.built < head {
			events, err := c.next(ctx, head)
			if err != nil {
				return err
			}
			if err := c.apply(ctx, tx, events); err != nil {
				return err
			}
		}
		position = c.built
		if err := c.shadow.swap(ctx, tx); err != nil {
			return err
		}
		if !inline {
			if err := reset(ctx, tx, c.projection, position); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `set local synchronous_commit = on`)
		return err
	})
	if err != nil {
		c.built = built
	}
	return position, err
}

// reset makes all shards stand behind position with nothing set aside. Runners see that
// they have been overtaken.
func reset(ctx context.Context, tx pgx.Tx, p Projection, position int64) error {
	flight := &pgx.Batch{}
	flight.Queue(`delete from projections.checkpoints where projection = $1`, p.Name())
	flight.Queue(`delete from projections.parked where projection = $1`, p.Name())
	flight.Queue(`delete from projections.runners where projection = $1 and shard >= $2`, p.Name(), shards(p))
	flight.Queue(`
		insert into projections.runners (projection, shard, shards) select $1, shard, $2 from generate_series(0, $2 - 1) as shard
		on conflict (projection, shard) do update set shards = excluded.shards, trying = null, attempts = 0, error = null`,
		p.Name(), shards(p))
	flight.Queue(`
		insert into projections.checkpoints (projection, shard, position)
		select $1, shard, $3 from generate_series(0, $2 - 1) as shard`, p.Name(), shards(p), position)
	return tx.SendBatch(ctx, flight).Close()
}
