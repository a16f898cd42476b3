package access

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// Holders lists the users of access keys and tokens that a project or repository has granted
// something.
func (r *Reader) Holders(ctx context.Context, target access.Target) ([]domain.UserID, error) {
	level, on := address(target)
	rows, err := r.db.Query(ctx, `
		select u.id from grants g join users u on u.id = g.user_id
		where g.level = $1 and g.target = $2 and `+holder+` order by u.id`, level, on)
	if err != nil {
		return nil, fmt.Errorf("list access keys and tokens: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[domain.UserID])
	if err != nil {
		return nil, fmt.Errorf("list access keys and tokens: %w", err)
	}
	return list, nil
}

// Granted reports whether a user has been granted anything by himself.
func (r *Reader) Granted(ctx context.Context, user domain.UserID) (bool, error) {
	return one(ctx, r.db, pgx.RowTo[bool], nil, `select exists (select from grants where user_id = $1)`, user)
}
