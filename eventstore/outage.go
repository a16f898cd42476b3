package eventstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Outage reports whether an error of this or any other query says that the database
// does not answer, rather than that the question was wrong: it cannot be reached, goes
// down or comes up, or has no connection left.
func Outage(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		// Classes of PostgreSQL's error codes: connection exception, operator
		// intervention (shutdown, crash, starting), too many connections.
		return strings.HasPrefix(answer.Code, "08") || strings.HasPrefix(answer.Code, "57P") || answer.Code == "53300"
	}
	var connect *pgconn.ConnectError
	// Not net.Error: the errors of files have its methods, too.
	var network *net.OpError
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}
