package eventstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// transaction is the one that is open on a connection. It was begun, and will be ended,
// in flights with other statements.
type transaction struct{ conn *pgx.Conn }

var errNotHere = errors.New("the append's transaction ends with the batch")

func (t transaction) Begin(ctx context.Context) (pgx.Tx, error) { return nil, errNotHere }
func (t transaction) Commit(context.Context) error              { return errNotHere }
func (t transaction) Rollback(context.Context) error            { return errNotHere }
func (t transaction) LargeObjects() pgx.LargeObjects            { return pgx.LargeObjects{} }
func (t transaction) Conn() *pgx.Conn                           { return t.conn }

func (t transaction) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return t.conn.CopyFrom(ctx, table, columns, rows)
}

func (t transaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.conn.SendBatch(ctx, b)
}

func (t transaction) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return t.conn.Prepare(ctx, name, sql)
}

func (t transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return t.conn.Exec(ctx, sql, args...)
}

func (t transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.conn.Query(ctx, sql, args...)
}

func (t transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.conn.QueryRow(ctx, sql, args...)
}
