package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annal-git/annal/eventstore"
)

// ErrFenced says that somebody else has moved the projection: the owner of a later
// term, or a rebuild. Nothing was applied.
var ErrFenced = errors.New("somebody else has moved the projection")

// StoppedError says that a projection stands before an event and does not go on by
// itself.
type StoppedError struct {
	Projection string
	Position   int64 // of the event
	Err        error
}

func (e *StoppedError) Error() string {
	return fmt.Sprintf("%s stands before event %d: %v", e.Projection, e.Position, e.Err)
}

func (e *StoppedError) Unwrap() error { return e.Err }

// UnknownTypeError says that a projection needs an event which a newer version has
// written. It goes on when this node is upgraded.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("its type %s is of a newer version of Annal, and the projection needs it: upgrade this node", e.Type)
}

// fenced is the code with which projections.advance refuses.
const fenced = "AN101"

// translate makes ErrFenced of the database's word for it.
func translate(err error) error {
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == fenced {
		return fmt.Errorf("%w: %s", ErrFenced, answer.Message)
	}
	return err
}

// blameless tells whether an error has other causes than the event that was applied:
// nothing is counted against that.
func blameless(err error) bool {
	if errors.Is(err, ErrFenced) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || eventstore.Outage(err) {
		return true
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return false
	}
	// A standby, locks and deadlocks; insufficient resources.
	switch answer.Code {
	case "25006", "40001", "40P01", "55P03":
		return true
	}
	return strings.HasPrefix(answer.Code, "53")
}
