package access

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

// Token is an access token that has not been revoked. It may have expired.
type Token struct {
	ID          account.TokenID
	User        domain.UserID
	Name        string
	Permissions []access.Permission
	Created     time.Time
	Expires     *time.Time // nil: never
	Used        *time.Time // last, to the minute; nil: never
}

// Expired reports whether the token has ended by now.
func (t Token) Expired(now time.Time) bool { return t.Expires != nil && !now.Before(*t.Expires) }

const tokenColumns = `t.id, t.user_id, t.name, t.permissions, t.created_at, t.expires_at, x.used_at`

const tokenTables = `tokens t left join token_uses x on x.token_id = t.id`

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
			&t.ID, &t.User, &t.Name, &t.Permissions, &t.Created, &t.Expires, &t.Used)
		return b, err
	}, noToken(), `select `+userColumns+`, `+licensedColumn+`, `+tokenColumns+` from `+tokenTables+` join users u on u.id = t.user_id where t.hash = $1`, hash)
	return found.Login, found.Token, err
}

// Token finds a user's token by its number. The error is a *domain.NotFoundError if
// there is none.
func (r *Reader) Token(ctx context.Context, user domain.UserID, id account.TokenID) (Token, error) {
	return one(ctx, r.db, scanToken, noToken(), `select `+tokenColumns+` from `+tokenTables+` where t.user_id = $1 and t.id = $2`, user, int64(id))
}

// Tokens lists a user's tokens, the oldest first. more says that the list goes on
// behind the page.
func (r *Reader) Tokens(ctx context.Context, user domain.UserID, page Page) (list []Token, more bool, err error) {
	return collect(ctx, r.db, page, scanToken, `select `+tokenColumns+` from `+tokenTables+` where t.user_id = $1 order by t.id offset `, user)
}

// accessTokens are tokens of projects and repositories, and what their users have been granted.
const accessTokens = `select ` + tokenColumns + ` from ` + tokenTables + `
	join users u on u.id = t.user_id and u.type = 'TOKEN' join grants g on g.user_id = t.user_id `

// AccessToken finds a token of a project or repository by its number. The error is a
// *domain.NotFoundError if the target has none of that number.
func (r *Reader) AccessToken(ctx context.Context, target access.Target, id account.TokenID) (Token, error) {
	level, on := address(target)
	return one(ctx, r.db, scanToken, noToken(), accessTokens+`where g.level = $1 and g.target = $2 and t.id = $3`, level, on, int64(id))
}

// AccessTokens lists the tokens of a project or repository, the oldest first. more says that the
// list goes on behind the page.
func (r *Reader) AccessTokens(ctx context.Context, target access.Target, page Page) (list []Token, more bool, err error) {
	level, on := address(target)
	return collect(ctx, r.db, page, scanToken, accessTokens+`where g.level = $1 and g.target = $2 order by t.id offset `, level, on)
}

// keepTokenNamesApart refuses what gives two tokens of a project or repository the same name. It is
// asked when one has come or was renamed.
func keepTokenNamesApart(ctx context.Context, tx pgx.Tx, user domain.UserID) error {
	var same bool
	err := tx.QueryRow(ctx, `
		select exists (
			select from users u join tokens t on t.user_id = u.id join grants g on g.user_id = u.id
			join grants o on o.level = g.level and o.target = g.target and o.user_id <> u.id
			join users v on v.id = o.user_id and v.type = 'TOKEN' join tokens s on s.user_id = v.id
			where u.id = $1 and u.type = 'TOKEN' and lower(s.name) = lower(t.name))`, user).Scan(&same)
	if err == nil && same {
		return account.TokenNameTaken()
	}
	return err
}

func changeToken(ctx context.Context, tx pgx.Tx, e account.TokenChanged) error {
	err := exec(ctx, tx, `update tokens set name = coalesce(nullif($2, ''), name), permissions = $3 where id = $1`,
		int64(e.ID), e.Details.Name, texts(e.Permissions))
	if err != nil {
		return err
	}
	return keepTokenNamesApart(ctx, tx, e.User)
}

func removeTokens(ctx context.Context, tx pgx.Tx, condition string, id int64) error {
	if err := exec(ctx, tx, `delete from access.token_uses where token_id in (select id from tokens where `+condition+`)`, id); err != nil {
		return err
	}
	return exec(ctx, tx, `delete from tokens where `+condition, id)
}

func noToken() error { return domain.NotFound("token", "The token does not exist.") }

func scanToken(row pgx.CollectableRow) (t Token, err error) {
	err = row.Scan(&t.ID, &t.User, &t.Name, &t.Permissions, &t.Created, &t.Expires, &t.Used)
	return t, err
}
