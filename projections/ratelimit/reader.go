package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/ratelimit"
)

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Reader asks for settings and refusals. It is safe for concurrent use.
type Reader struct{ db Querier }

// NewReader makes a Reader on a pool made by eventstore.Connect.
func NewReader(db Querier) *Reader { return &Reader{db} }

// Rules returns all that has been set, and the position of the newest event that it includes.
// It returns nil if there is no event behind the position known, which is at least 0; pass -1
// for the first time.
func (r *Reader) Rules(ctx context.Context, known int64) (*ratelimit.Rules, int64, error) {
	settings, position, err := r.settings(ctx)
	if err != nil || position <= known {
		return nil, known, err
	}
	rows, err := r.db.Query(ctx, `select user_id, exempt, capacity, fill_rate from rate_limit_users`)
	if err != nil {
		return nil, 0, fmt.Errorf("read rate limits: %w", err)
	}
	rules := &ratelimit.Rules{Settings: settings, Users: map[domain.UserID]ratelimit.Own{}}
	var user domain.UserID
	var own ratelimit.Own
	// They may be newer than the position; then they are read once more.
	if _, err := pgx.ForEachRow(rows, []any{&user, &own.Exempt, &own.Limit.Capacity, &own.Limit.FillRate}, func() error {
		rules.Users[user] = own
		return nil
	}); err != nil {
		return nil, 0, fmt.Errorf("read rate limits: %w", err)
	}
	return rules, position, nil
}

// Settings returns those of the installation.
func (r *Reader) Settings(ctx context.Context) (ratelimit.Settings, error) {
	settings, _, err := r.settings(ctx)
	return settings, err
}

func (r *Reader) settings(ctx context.Context) (s ratelimit.Settings, position int64, err error) {
	rows, err := r.db.Query(ctx, `select position, enabled, capacity, fill_rate from rate_limit_settings`)
	if err != nil {
		return s, 0, fmt.Errorf("read rate limits: %w", err)
	}
	s = ratelimit.State{}.Settings()
	if _, err := pgx.ForEachRow(rows, []any{&position, &s.Enabled, &s.Default.Capacity, &s.Default.FillRate}, func() error { return nil }); err != nil {
		return s, 0, fmt.Errorf("read rate limits: %w", err)
	}
	return s, position, nil
}

// User is a user with settings of his own.
type User struct {
	ID  domain.UserID
	Own ratelimit.Own
}

// Page is the part of a list that is wanted.
type Page struct{ Start, Limit int }

// Users lists the users with settings of their own by name. text is a part of the name or
// display name, whatever its case. more says that the list goes on behind the page.
func (r *Reader) Users(ctx context.Context, text string, page Page) (list []User, more bool, err error) {
	list, err = r.users(ctx, `
		select s.user_id, s.exempt, s.capacity, s.fill_rate from rate_limit_users s join users u on u.id = s.user_id
		where position(lower($1) in lower(u.name)) > 0 or position(lower($1) in lower(u.display_name)) > 0
		order by lower(u.name) collate "C" offset $2 limit $3`, text, page.Start, page.Limit+1)
	if err != nil || len(list) <= page.Limit {
		return list, false, err
	}
	return list[:page.Limit], true, nil
}

// User returns the settings of one user. The error is a *domain.NotFoundError if he has none.
func (r *Reader) User(ctx context.Context, id domain.UserID) (ratelimit.Own, error) {
	list, err := r.users(ctx, `select user_id, exempt, capacity, fill_rate from rate_limit_users where user_id = $1`, id)
	if err != nil {
		return ratelimit.Own{}, err
	}
	if len(list) == 0 {
		return ratelimit.Own{}, ratelimit.NoSettings()
	}
	return list[0].Own, nil
}

func (r *Reader) users(ctx context.Context, sql string, args ...any) ([]User, error) {
	rows, err := r.db.Query(ctx, sql, args...)
	if err == nil {
		var list []User
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (u User, err error) {
			return u, row.Scan(&u.ID, &u.Own.Exempt, &u.Own.Limit.Capacity, &u.Own.Limit.FillRate)
		})
		if err == nil {
			return list, nil
		}
	}
	return nil, errors.Join(errors.New("read the rate limits of users"), err)
}

// Refused is how often a user was refused in the last day, and when last.
type Refused struct {
	User  domain.UserID
	Count int64
	Last  time.Time
}

// History lists who was refused in the last day: the latest first, or those who were refused
// most often. more says that the list goes on behind the page.
func (r *Reader) History(ctx context.Context, often bool, page Page) (list []Refused, more bool, err error) {
	order := `max(r.last) desc`
	if often {
		order = `sum(r.rejected) desc`
	}
	rows, err := r.db.Query(ctx, `
		select r.user_id, sum(r.rejected)::bigint, max(r.last) from rejections r join users u on u.id = r.user_id
		where r.last > now() - $1::interval group by r.user_id order by `+order+`, r.user_id offset $2 limit $3`, remembered, page.Start, page.Limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("read who was refused: %w", err)
	}
	list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Refused])
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("read who was refused: %w", err)
	case len(list) > page.Limit:
		return list[:page.Limit], true, nil
	}
	return list, false, nil
}
