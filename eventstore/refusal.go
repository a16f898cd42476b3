package eventstore

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Codes of refusals by the database: its function log.append's own, and PostgreSQL's.
const (
	codeUnseen   = "AN001"
	codeWentBack = "AN002"
	codeRuled    = "AN003"
	codeUnique   = "23505"
	codeCheck    = "23514"
)

// appendError makes ErrWentBack of the database's refusal.
func appendError(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == codeWentBack {
		return ErrWentBack
	}
	return err
}

// errDoubtful says that a batch would refuse something because of what is in memory.
var errDoubtful = errors.New("refused by what is in memory; the log must be asked")

// needsReread reports whether a batch was refused because what it was decided on is not
// the newest state of its streams, or of the rules of projects.
func needsReread(err error) bool {
	if errors.Is(err, errDoubtful) {
		return true
	}
	var refused *pgconn.PgError
	return errors.As(err, &refused) &&
		(refused.Code == codeUnseen || refused.Code == codeRuled || (refused.Code == codeUnique && refused.SchemaName == "log"))
}

// isFull reports whether the newest partition of the log has no room.
func isFull(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == codeCheck && refused.SchemaName == "log"
}
