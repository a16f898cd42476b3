package domain

import "fmt"

// InvalidError says that one field of a command does not fit. Message is a whole
// sentence for the user.
type InvalidError struct {
	Field   string // the field's name in Bitbucket's JSON, "" for the command as a whole
	Message string
}

func (e *InvalidError) Error() string { return e.Message }

// Invalid makes an InvalidError.
func Invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Message: fmt.Sprintf(format, args...)}
}

// ConflictError says that a command is right but the state forbids it, such as a
// name already taken. Message is a whole sentence for the user.
type ConflictError struct {
	Field   string
	Message string
}

func (e *ConflictError) Error() string { return e.Message }

// Conflict makes a ConflictError.
func Conflict(field, format string, args ...any) error {
	return &ConflictError{Field: field, Message: fmt.Sprintf(format, args...)}
}

// NotFoundError says that what a command is about does not exist, or not for
// this caller.
type NotFoundError struct {
	What    string // "project", "repository", "user", ...
	Message string
}

func (e *NotFoundError) Error() string { return e.Message }

// NotFound makes a NotFoundError.
func NotFound(what, format string, args ...any) error {
	return &NotFoundError{What: what, Message: fmt.Sprintf(format, args...)}
}

// UnavailableError says that a command cannot be carried out now, by no fault of its
// own. Message is a whole sentence for the user.
type UnavailableError struct{ Message string }

func (e *UnavailableError) Error() string { return e.Message }
