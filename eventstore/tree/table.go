package tree

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"
)

// Row is a row of log.tree_checkpoints.
type Row struct {
	Epoch    int64
	Size     int64
	Previous int64
	Root     tlog.Hash
	Frontier []tlog.Hash
	Note     string
	At       time.Time
}

// Table is log.tree_checkpoints.
type Table struct{ pool *pgxpool.Pool }

// NewTable works on a pool of eventstore.Connect.
func NewTable(pool *pgxpool.Pool) Table { return Table{pool} }

const rowColumns = `epoch, size, previous, root, frontier, note, at`

// Newest is the newest checkpoint of an epoch; ok is false if there is none.
func (t Table) Newest(ctx context.Context, epoch int64) (row Row, ok bool, err error) {
	rows, err := t.read(ctx, `where epoch = $1 order by size desc limit 1`, epoch)
	if err != nil || len(rows) == 0 {
		return Row{}, false, err
	}
	return rows[0], true, nil
}

// After lists checkpoints behind one, in order, up to limit.
func (t Table) After(ctx context.Context, epoch, size int64, limit int) ([]Row, error) {
	return t.read(ctx, `where (epoch, size) > ($1, $2) order by epoch, size limit $3`, epoch, size, limit)
}

func (t Table) read(ctx context.Context, condition string, args ...any) ([]Row, error) {
	found, err := t.pool.Query(ctx, `select `+rowColumns+` from log.tree_checkpoints `+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	rows, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (r Row, err error) {
		var root, frontier []byte
		if err := row.Scan(&r.Epoch, &r.Size, &r.Previous, &root, &frontier, &r.Note, &r.At); err != nil {
			return r, err
		}
		r.Root = tlog.Hash(root)
		if len(frontier) > 0 {
			r.Frontier, err = ParseTile(frontier, len(frontier)/tlog.HashSize)
		}
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return rows, nil
}

// errFollowed says that another checkpoint follows the one that this was to follow.
var errFollowed = errors.New("another integrator was faster")

// insert publishes a checkpoint. The error is errFollowed if the one before it is
// followed already.
func (t Table) insert(ctx context.Context, r Row) error {
	_, err := t.pool.Exec(ctx, `
		insert into log.tree_checkpoints (epoch, size, previous, root, frontier, note) values ($1, $2, $3, $4, $5, $6)`,
		r.Epoch, r.Size, r.Previous, r.Root[:], appendTile([]byte{}, r.Frontier), r.Note)
	const uniqueViolation = "23505"
	var broken *pgconn.PgError
	if errors.As(err, &broken) && broken.Code == uniqueViolation {
		return errFollowed
	}
	if err != nil {
		return fmt.Errorf("publish a checkpoint: %w", err)
	}
	return nil
}

// NoteUpTo is the newest checkpoint, as signed, that covers no more than a size; "" if
// there is none.
func (t Table) NoteUpTo(ctx context.Context, epoch, size int64) (string, error) {
	rows, err := t.read(ctx, `where epoch = $1 and size <= $2 order by size desc limit 1`, epoch, size)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0].Note, nil
}

// Between lists the checkpoints of all epochs with sizes in a range, both ends included,
// by size.
func (t Table) Between(ctx context.Context, first, last int64) ([]Row, error) {
	return t.read(ctx, `where size between $1 and $2 order by size, epoch`, first, last)
}
