// Package gpgkeys keeps the GPG keys of users, in the transaction that appends their
// events, for those who manage them and for those who verify signatures.
package gpgkeys

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/gpgkey"
)

// Projection keeps the table of keys. It implements eventstore.Inline.
type Projection struct{}

// Name implements eventstore.Inline.
func (Projection) Name() string { return "gpgkeys" }

// Tables implements eventstore.Inline.
func (Projection) Tables() []string { return []string{"gpg_keys"} }

// Needs implements eventstore.Inline.
func (Projection) Needs(eventType string) bool {
	return strings.HasPrefix(eventType, "gpg_key.") || eventType == account.Erased{}.EventType()
}

// Apply implements eventstore.Inline.
func (Projection) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	for _, recorded := range events {
		if err := apply(ctx, tx, recorded.Event); err != nil {
			return fmt.Errorf("gpgkeys at event %d: %w", recorded.Position, err)
		}
	}
	return nil
}

func apply(ctx context.Context, tx pgx.Tx, event domain.Event) error {
	switch e := event.(type) {
	case gpgkey.Added:
		if e.Details.Text == "" {
			return nil // erased: it verifies nothing any more
		}
		details, err := json.Marshal(e.Details)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `insert into gpg_keys (id, user_id, details) values ($1, $2, $3)`, int64(e.ID), e.User, string(details))
		return err
	case gpgkey.Removed:
		_, err := tx.Exec(ctx, `delete from gpg_keys where id = $1`, int64(e.ID))
		return err
	case account.Erased:
		_, err := tx.Exec(ctx, `delete from gpg_keys where user_id = $1`, e.ID)
		return err
	}
	return nil
}

// Key is a user's key.
type Key struct {
	ID   gpgkey.ID
	User domain.UserID
	gpgkey.Details
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Reader asks for keys. It is safe for concurrent use.
type Reader struct{ db Querier }

// NewReader makes a Reader on a pool made by eventstore.Connect.
func NewReader(db Querier) *Reader { return &Reader{db} }

// OfUser lists a user's keys, of which there are at most gpgkey.MaxKeys, the oldest first.
func (r *Reader) OfUser(ctx context.Context, user domain.UserID) ([]Key, error) {
	return r.collect(ctx, `select id, user_id, details from gpg_keys where user_id = $1 order by id`, user)
}

// OfEmail lists the keys of the active users who have an e-mail address, whatever its case.
func (r *Reader) OfEmail(ctx context.Context, email string) ([]Key, error) {
	if email == "" {
		return nil, nil
	}
	return r.collect(ctx, `
		select k.id, k.user_id, k.details from gpg_keys k join users u on u.id = k.user_id
		where lower(u.email) = lower($1) and u.active order by k.id limit 1000`, email)
}

func (r *Reader) collect(ctx context.Context, sql string, args ...any) ([]Key, error) {
	rows, err := r.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("list GPG keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Key, err error) {
		var details string
		if err := row.Scan(&k.ID, &k.User, &details); err != nil {
			return k, err
		}
		return k, json.Unmarshal([]byte(details), &k.Details)
	})
	if err != nil {
		return nil, fmt.Errorf("list GPG keys: %w", err)
	}
	return keys, nil
}
