package eventstore_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{domain.Invalid("x", "wrong"), false},
		{context.Canceled, false},
		{fmt.Errorf("write: %w", &fs.PathError{Op: "write", Err: syscall.ENOSPC}), false},
		{&pgconn.PgError{Code: "23505"}, false},
		{fmt.Errorf("read: %w", &pgconn.PgError{Code: "57P01"}), true},
		{&pgconn.PgError{Code: "08006"}, true},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
	} {
		if got := eventstore.Outage(c.err); got != c.want {
			t.Errorf("%v: %t", c.err, got)
		}
	}
	_, err := pgconn.Connect(t.Context(), "postgres://nobody@127.0.0.1:1/none?connect_timeout=1")
	if !eventstore.Outage(err) {
		t.Errorf("a server that is not there: %v", err)
	}
}
