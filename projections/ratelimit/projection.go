package ratelimit

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/ratelimit"
)

// Projection keeps the settings. It implements eventstore.Inline.
type Projection struct{}

// Name implements eventstore.Inline.
func (Projection) Name() string { return "ratelimit" }

// Tables implements eventstore.Inline.
func (Projection) Tables() []string { return []string{"rate_limit_settings", "rate_limit_users"} }

// Needs implements eventstore.Inline.
func (Projection) Needs(eventType string) bool {
	return strings.HasPrefix(eventType, ratelimit.EventTypes) || eventType == account.Erased{}.EventType()
}

// Apply implements eventstore.Inline.
func (Projection) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	for _, recorded := range events {
		if err := apply(ctx, tx, recorded); err != nil {
			return fmt.Errorf("ratelimit at event %d: %w", recorded.Position, err)
		}
	}
	return nil
}

func apply(ctx context.Context, tx pgx.Tx, recorded domain.Recorded) (err error) {
	switch e := recorded.Event.(type) {
	case ratelimit.SettingsChanged:
		return settings(ctx, tx, recorded.Position, e.Settings)
	case ratelimit.UsersSet:
		_, err = tx.Exec(ctx, `
			insert into rate_limit_users (user_id, exempt, capacity, fill_rate) select u, $2, $3, $4 from unnest($1::bigint[]) u
			on conflict (user_id) do update set exempt = excluded.exempt, capacity = excluded.capacity, fill_rate = excluded.fill_rate`,
			e.Users, e.Exempt, e.Limit.Capacity, e.Limit.FillRate)
	case ratelimit.UserReset:
		_, err = tx.Exec(ctx, `delete from rate_limit_users where user_id = $1`, e.User)
	case account.Erased:
		_, err = tx.Exec(ctx, `delete from rate_limit_users where user_id = $1`, e.ID)
		return err // nobody logs in as him
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return moved(ctx, tx, recorded.Position)
}

func settings(ctx context.Context, tx pgx.Tx, position int64, s ratelimit.Settings) error {
	_, err := tx.Exec(ctx, `
		insert into rate_limit_settings (one, position, enabled, capacity, fill_rate) values (true, $1, $2, $3, $4)
		on conflict (one) do update set position = excluded.position, enabled = excluded.enabled, capacity = excluded.capacity, fill_rate = excluded.fill_rate`,
		position, s.Enabled, s.Default.Capacity, s.Default.FillRate)
	return err
}

// moved notes that something has changed about users.
func moved(ctx context.Context, tx pgx.Tx, position int64) error {
	changed, err := tx.Exec(ctx, `update rate_limit_settings set position = $1`, position)
	if err != nil || changed.RowsAffected() > 0 {
		return err
	}
	return settings(ctx, tx, position, ratelimit.State{}.Settings())
}
