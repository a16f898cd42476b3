package tree_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore/eventstoretest"
)

func emptyDatabase(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return eventstoretest.Database(t)
}

// copyRows copies the log up to a position, with what was signed of it, as a backup would
// have it.
func copyRows(t *testing.T, from, to *pgxpool.Pool, last int64) {
	t.Helper()
	for _, c := range []struct{ query, into string }{
		{`select position, version, at, id, stream, type, body, meta from log.events where position <= %d order by position`, `log.events (position, version, at, id, stream, type, body, meta)`},
		{`select epoch, size, previous, root, frontier, note, at from log.tree_checkpoints where size <= %d`, `log.tree_checkpoints (epoch, size, previous, root, frontier, note, at)`},
	} {
		source, err := from.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer source.Release()
		target, err := to.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer target.Release()
		var rows bytes.Buffer
		if _, err := source.Conn().PgConn().CopyTo(t.Context(), &rows, `copy (`+fmt.Sprintf(c.query, last)+`) to stdout (format binary)`); err != nil {
			t.Fatal(err)
		}
		if _, err := target.Conn().PgConn().CopyFrom(t.Context(), &rows, `copy `+c.into+` from stdin (format binary)`); err != nil {
			t.Fatal(err)
		}
	}
}
