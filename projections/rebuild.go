package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
)

// rebuildPage is how many events a rebuild applies in one transaction.
const rebuildPage = 1000

// Reader is the log as a rebuild reads it: up to limit events after a position,
// in order and without a gap.
type Reader interface {
	ReadAll(ctx context.Context, after int64, limit int) ([]domain.Recorded, error)
}

// Builder makes projections anew from the log, beside the live ones and while they
// move.
type Builder struct {
	Pool     *pgxpool.Pool
	Log      Reader
	LockLog  func(ctx context.Context, tx pgx.Tx) error // holds appends until tx ends
	Progress func(position, head int64)                 // may be nil
}

// Difference is a table whose rebuilt copy does not equal the live one.
type Difference struct {
	Table            string
	Missing, Surplus int64 // rows that only the rebuilt copy, or only the live table, has
}

// Rebuild makes p anew from position zero and puts the copy in the place of the live
// rows, in one transaction: readers see the old rows or the new ones. Events that were
// set aside are applied with the rest; if one still fails, nothing changes.
func (b *Builder) Rebuild(ctx context.Context, p Projection) (position int64, err error) {
	_, inline := p.(Inline)
	err = b.withCopy(ctx, p, b.head, func(conn *pgx.Conn, built int64) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			// Whoever moves the live rows waits from here until the swap.
			if inline {
				err = b.LockLog(ctx, tx)
			} else {
				_, err = tx.Exec(ctx, `select from projections.runners where projection = $1 for update`, p.Name())
			}
			if err != nil {
				return err
			}
			if position, err = b.catchUp(ctx, tx, p, built, 0); err != nil {
				return err
			}
			if err := swap(ctx, tx, p); err != nil || inline {
				return err
			}
			return reset(ctx, tx, p, position)
		})
	})
	return position, err
}

// Verify makes a copy of p from position zero and compares it with the live rows,
// both as of the same position, which it returns. It changes nothing and holds
// nobody up.
func (b *Builder) Verify(ctx context.Context, p Projection) (differences []Difference, position int64, err error) {
	_, inline := p.(Inline)
	upTo := b.head
	if !inline {
		upTo = func(ctx context.Context) (int64, error) { return NewCheckpoints(b.Pool).Position(ctx, p.Name()) }
	}
	err = b.withCopy(ctx, p, upTo, func(conn *pgx.Conn, built int64) error {
		// In this transaction every read sees the database as of its start.
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			query, args := `select coalesce((select position from events order by position desc limit 1), 0)`, []any(nil)
			if !inline {
				query, args = `select coalesce((select min(position) from checkpoints where projection = $1), 0)`, []any{p.Name()}
			}
			if err := tx.QueryRow(ctx, query, args...).Scan(&position); err != nil {
				return err
			}
			if position < built {
				return fmt.Errorf("%s is at position %d and the log at %d: let it catch up before it is verified", p.Name(), position, built)
			}
			if _, err := b.catchUp(ctx, tx, p, built, position); err != nil {
				return err
			}
			differences, err = compare(ctx, tx, p)
			return err
		})
	})
	return differences, position, err
}

// withCopy hands use a connection on which p's table names mean empty temporary
// tables, which it has filled from the log up to position built.
func (b *Builder) withCopy(ctx context.Context, p Projection, upTo func(context.Context) (int64, error), use func(conn *pgx.Conn, built int64) error) error {
	pooled, err := b.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // its temporary tables end with it
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, table := range p.Tables() {
		// Temporary tables come before all schemas in the search path.
		live, name := liveTable(p, table), pgx.Identifier{table}.Sanitize()
		if _, err := conn.Exec(ctx, `create temporary table `+name+` (like `+live+` including all)`); err != nil {
			return fmt.Errorf("make a copy of %s: %w", table, err)
		}
	}
	head, err := upTo(ctx)
	if err != nil {
		return err
	}
	built := int64(0)
	for built < head {
		events, err := b.Log.ReadAll(ctx, built, int(min(rebuildPage, head-built)))
		if err != nil {
			return err
		}
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return apply(ctx, tx, p, events) }); err != nil {
			return fmt.Errorf("apply events %d to %d to %s: %w", built+1, built+int64(len(events)), p.Name(), err)
		}
		built += int64(len(events))
		if b.Progress != nil {
			b.Progress(built, head)
		}
	}
	return use(conn, built)
}

func (b *Builder) head(ctx context.Context) (head int64, err error) {
	err = b.Pool.QueryRow(ctx, `select coalesce((select position from events order by position desc limit 1), 0)`).Scan(&head)
	return head, err
}

// catchUp applies what came after position built, up to position to, or if to is 0
// to the end of the log.
func (b *Builder) catchUp(ctx context.Context, tx pgx.Tx, p Projection, built, to int64) (int64, error) {
	for to == 0 || built < to {
		limit := int64(rebuildPage)
		if to != 0 {
			limit = min(limit, to-built)
		}
		events, err := b.Log.ReadAll(ctx, built, int(limit))
		if err != nil {
			return built, err
		}
		if len(events) == 0 {
			if to != 0 {
				return built, errors.New("the log ends before the position to verify")
			}
			return built, nil
		}
		if err := apply(ctx, tx, p, events); err != nil {
			return built, err
		}
		built += int64(len(events))
	}
	return built, nil
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

// swap replaces the live rows by those of the copy. Readers are not held up.
func swap(ctx context.Context, tx pgx.Tx, p Projection) error {
	tables := p.Tables()
	for i := len(tables) - 1; i >= 0; i-- {
		if _, err := tx.Exec(ctx, `delete from `+liveTable(p, tables[i])); err != nil {
			return err
		}
	}
	for _, table := range tables {
		if _, err := tx.Exec(ctx, `insert into `+liveTable(p, table)+` select * from `+copyTable(table)); err != nil {
			return err
		}
	}
	return nil
}

func compare(ctx context.Context, tx pgx.Tx, p Projection) ([]Difference, error) {
	var differences []Difference
	for _, table := range p.Tables() {
		d := Difference{Table: table}
		count := strings.NewReplacer("LIVE", liveTable(p, table), "COPY", copyTable(table))
		err := tx.QueryRow(ctx, count.Replace(`
			select (select count(*) from (select c::text from COPY c except all select l::text from LIVE l) missing),
				(select count(*) from (select l::text from LIVE l except all select c::text from COPY c) surplus)`),
		).Scan(&d.Missing, &d.Surplus)
		if err != nil {
			return nil, err
		}
		if d.Missing > 0 || d.Surplus > 0 {
			differences = append(differences, d)
		}
	}
	return differences, nil
}

func liveTable(p Projection, table string) string { return pgx.Identifier{p.Name(), table}.Sanitize() }

func copyTable(table string) string { return pgx.Identifier{"pg_temp", table}.Sanitize() }
