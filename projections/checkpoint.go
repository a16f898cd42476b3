package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
)

// ErrMoved says that another worker has moved the projection meanwhile: nothing
// was applied, and the checkpoint must be read again.
var ErrMoved = errors.New("another worker moved the projection")

// Checkpoints keeps how far each asynchronous projection has read.
type Checkpoints struct{ pool *pgxpool.Pool }

// NewCheckpoints makes Checkpoints on a database.
func NewCheckpoints(pool *pgxpool.Pool) *Checkpoints { return &Checkpoints{pool: pool} }

// Status is how an asynchronous projection stands.
type Status struct {
	Name     string
	Position int64
	Parked   int // events set aside
	Error    string
	MovedAt  time.Time
}

// Position reads a projection's checkpoint, which is made at 0 if it is new.
func (c *Checkpoints) Position(ctx context.Context, name string) (position int64, err error) {
	err = c.pool.QueryRow(ctx, `select position from checkpoints where projection = $1`, name).Scan(&position)
	if errors.Is(err, pgx.ErrNoRows) {
		_, err = c.pool.Exec(ctx, `insert into checkpoints (projection) values ($1) on conflict do nothing`, name)
	}
	if err != nil {
		return 0, fmt.Errorf("read the checkpoint of %s: %w", name, err)
	}
	return position, nil
}

// Statuses lists all asynchronous projections that have ever run.
func (c *Checkpoints) Statuses(ctx context.Context) ([]Status, error) {
	rows, err := c.pool.Query(ctx, `
		select projection, position, coalesce(error, ''), moved_at,
			(select count(*) from parked p where p.projection = c.projection)
		from checkpoints c order by projection`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Status, err error) {
		err = row.Scan(&s.Name, &s.Position, &s.Error, &s.MovedAt, &s.Parked)
		return s, err
	})
}

// Advance applies events, which follow position from without a gap, and moves the
// checkpoint behind them, in one transaction: exactly once, whatever crashes.
// Events of a stream that has one set aside are set aside behind it. It returns
// ErrMoved if the checkpoint is not at from.
func (c *Checkpoints) Advance(ctx context.Context, p Projection, from int64, events []domain.Recorded) error {
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if err := c.move(ctx, tx, p.Name(), from, from+int64(len(events))); err != nil {
			return err
		}
		held, err := heldStreams(ctx, tx, p.Name(), events)
		if err != nil {
			return err
		}
		free := events[:0:0]
		for _, e := range events {
			if !held[e.Stream] {
				free = append(free, e)
				continue
			}
			if err := park(ctx, tx, p.Name(), e, 0, "held behind an earlier event of its stream"); err != nil {
				return err
			}
		}
		return p.Apply(ctx, tx, free)
	})
}

// Park sets one event aside that p cannot apply, and moves the checkpoint behind
// it, so that other streams go on.
func (c *Checkpoints) Park(ctx context.Context, p Projection, e domain.Recorded, attempts int, cause error) error {
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if err := c.move(ctx, tx, p.Name(), e.Position-1, e.Position); err != nil {
			return err
		}
		return park(ctx, tx, p.Name(), e, attempts, cause.Error())
	})
}

// Failed notes why a projection does not move, for operators.
func (c *Checkpoints) Failed(ctx context.Context, name string, cause error) error {
	_, err := c.pool.Exec(ctx, `update checkpoints set error = $2 where projection = $1`, name, cause.Error())
	return err
}

func (c *Checkpoints) move(ctx context.Context, tx pgx.Tx, name string, from, to int64) error {
	tag, err := tx.Exec(ctx, `
		update checkpoints set position = $3, error = null, moved_at = now() where projection = $1 and position = $2`,
		name, from, to)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrMoved
	}
	return err
}

func heldStreams(ctx context.Context, tx pgx.Tx, name string, events []domain.Recorded) (map[domain.Stream]bool, error) {
	streams := make([]string, len(events))
	for i, e := range events {
		streams[i] = string(e.Stream)
	}
	held := map[domain.Stream]bool{}
	rows, err := tx.Query(ctx, `select distinct stream from parked where projection = $1 and stream = any($2)`, name, streams)
	if err != nil {
		return nil, err
	}
	var stream string
	_, err = pgx.ForEachRow(rows, []any{&stream}, func() error {
		held[domain.Stream(stream)] = true
		return nil
	})
	return held, err
}

func park(ctx context.Context, tx pgx.Tx, name string, e domain.Recorded, attempts int, cause string) error {
	_, err := tx.Exec(ctx, `insert into parked (projection, position, stream, attempts, error) values ($1, $2, $3, $4, $5)`,
		name, e.Position, string(e.Stream), attempts, cause)
	return err
}
