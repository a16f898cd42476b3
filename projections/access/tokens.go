package access

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

// Token is a personal access token that has not been revoked. It may have expired.
type Token struct {
	ID          account.TokenID
	Name        string
	Permissions []access.Permission
	Created     time.Time
	Expires     *time.Time // nil: never
}

// Expired reports whether the token has ended by now.
func (t Token) Expired(now time.Time) bool { return t.Expires != nil && !now.Before(*t.Expires) }

const tokenColumns = `t.id, t.name, t.permissions, t.created_at, t.expires_at`

// TokenByHash finds a token by its SHA-256, and whose it is; the password is left
// out. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) TokenByHash(ctx context.Context, hash []byte) (Login, Token, error) {
	type both struct {
		Login
		Token
	}
	found, err := one(ctx, r.db, func(row pgx.CollectableRow) (b both, err error) {
		u, t := &b.Login, &b.Token
		err = row.Scan(&u.ID, &u.Name, &u.Slug, &u.DisplayName, &u.Email, &u.Type, &u.Active, &u.Licensed,
			&t.ID, &t.Name, &t.Permissions, &t.Created, &t.Expires)
		return b, err
	}, noToken(), `select `+userColumns+`, `+licensedColumn+`, `+tokenColumns+` from tokens t join users u on u.id = t.user_id where t.hash = $1`, hash)
	return found.Login, found.Token, err
}

// Token finds a user's token by its number. The error is a *domain.NotFoundError if
// there is none.
func (r *Reader) Token(ctx context.Context, user domain.UserID, id account.TokenID) (Token, error) {
	return one(ctx, r.db, scanToken, noToken(), `select `+tokenColumns+` from tokens t where t.user_id = $1 and t.id = $2`, user, int64(id))
}

// Tokens lists a user's tokens, the oldest first. more says that the list goes on
// behind the page.
func (r *Reader) Tokens(ctx context.Context, user domain.UserID, page Page) (list []Token, more bool, err error) {
	return collect(ctx, r.db, page, scanToken, `select `+tokenColumns+` from tokens t where t.user_id = $1 order by t.id offset `, user)
}

func noToken() error { return domain.NotFound("token", "The token does not exist.") }

func scanToken(row pgx.CollectableRow) (t Token, err error) {
	err = row.Scan(&t.ID, &t.Name, &t.Permissions, &t.Created, &t.Expires)
	return t, err
}
