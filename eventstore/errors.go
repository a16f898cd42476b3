package eventstore

import (
	"fmt"

	"github.com/annal-git/annal/domain"
)

// ErrClosed is returned for appends after Close.
var ErrClosed error = &domain.UnavailableError{Message: "This node is stopping. Try again."}

// ErrMaintenance is returned for appends while the node is under maintenance.
var ErrMaintenance error = &domain.UnavailableError{Message: "This node is under maintenance and takes no changes. Try again later."}

// ErrWentBack is returned for appends once the database has turned out to lack events that
// this node has seen: it was restored, or replaced by a copy that was behind.
var ErrWentBack error = &domain.UnavailableError{
	Message: "The database lacks changes that were made before, so this node takes no new ones. An operator must look into it and start the node again.",
}

// VersionConflictError says that a stream was not at the version its proposal
// expected; nothing was appended.
type VersionConflictError struct {
	Stream           domain.Stream
	Expected, Actual int64
}

func (e *VersionConflictError) Error() string {
	return fmt.Sprintf("stream %s is at version %d, expected %d", e.Stream, e.Actual, e.Expected)
}

// UnknownOutcomeError says that the database went away while committing and has
// not come back to say whether it did. ID is the one that its events have if it did.
type UnknownOutcomeError struct {
	ID  string
	Err error
}

func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("the database was lost while committing %s, so whether it happened is not known yet: %v", e.ID, e.Err)
}

// Unwrap tells the user what he can do.
func (e *UnknownOutcomeError) Unwrap() []error {
	return []error{e.Err, &domain.UnavailableError{
		Message: "The database was lost while the change was being made, so whether it happened is not known yet. Look before you repeat it.",
	}}
}

// UnknownTypeError says that the log holds an event type that this version of
// Annal cannot read.
type UnknownTypeError struct {
	Position int64
	Type     string
}

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("event %d has the type %q, which this version does not know", e.Position, e.Type)
}
