package access

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annal-git/annal/domain/account"
)

// Executor is a pool or a transaction.
type Executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Uses writes down when SSH keys and access tokens are used. It is beside the log: what it keeps decides
// nothing.
type Uses struct{ db Executor }

// NewUses makes Uses on a pool made by eventstore.Connect.
func NewUses(db Executor) *Uses { return &Uses{db: db} }

// SSHKey writes down that a key was used. Within a minute of the last time it does nothing.
func (u *Uses) SSHKey(ctx context.Context, id account.SSHKeyID, at time.Time) error {
	_, err := u.db.Exec(ctx, `
		insert into ssh_key_uses (key_id, used_at) select id, $2 from ssh_keys where id = $1
		on conflict (key_id) do update set used_at = excluded.used_at
		where ssh_key_uses.used_at < excluded.used_at - interval '1 minute'`, int64(id), at)
	if err != nil {
		return fmt.Errorf("note the use of an SSH key: %w", err)
	}
	return nil
}

// Token writes down that a token was used. Within a minute of the last time it does nothing.
func (u *Uses) Token(ctx context.Context, id account.TokenID, at time.Time) error {
	_, err := u.db.Exec(ctx, `
		insert into token_uses (token_id, used_at) select id, $2 from tokens where id = $1
		on conflict (token_id) do update set used_at = excluded.used_at
		where token_uses.used_at < excluded.used_at - interval '1 minute'`, int64(id), at)
	if err != nil {
		return fmt.Errorf("note the use of an access token: %w", err)
	}
	return nil
}
