package access

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
)

// applyLogin moves the tables of identities and of applications, if the event is about one.
func applyLogin(ctx context.Context, tx pgx.Tx, recorded domain.Recorded) (handled bool, err error) {
	switch e := recorded.Event.(type) {
	case account.IdentityLinked:
		if e.Identity.Subject == "" {
			return true, nil // erased
		}
		err = exec(ctx, tx, `insert into identities (issuer, subject, user_id) values ($1, $2, $3)`, e.Identity.Issuer, e.Identity.Subject, e.User)
	case account.ApplicationAuthorized:
		err = exec(ctx, tx, `insert into oauth_grants (id, user_id, client, scopes, created_at) values ($1, $2, $3, $4, $5)`,
			int64(e.Grant), e.User, int64(e.Client), e.Scopes, recorded.At)
	case account.ApplicationRevoked:
		err = exec(ctx, tx, `delete from oauth_grants where id = $1`, int64(e.Grant))
	case oauth.ClientCreated:
		err = exec(ctx, tx, `insert into oauth_clients (id, client_id, name, secret_hash, redirect_uris, scopes, created_at) values ($1, $2, $3, $4, $5, $6, $7)`,
			int64(e.ID), e.ClientID, e.Client.Name, e.SecretHash, e.Client.RedirectURIs, e.Client.Scopes, recorded.At)
	case oauth.ClientChanged:
		err = exec(ctx, tx, `update oauth_clients set name = $2, redirect_uris = $3, scopes = $4 where id = $1`,
			int64(e.ID), e.Client.Name, e.Client.RedirectURIs, e.Client.Scopes)
	case oauth.ClientSecretChanged:
		err = exec(ctx, tx, `update oauth_clients set secret_hash = $2 where id = $1`, int64(e.ID), e.SecretHash)
	case oauth.ClientDeleted:
		if err = exec(ctx, tx, `delete from oauth_grants where client = $1`, int64(e.ID)); err == nil {
			err = exec(ctx, tx, `delete from oauth_clients where id = $1`, int64(e.ID))
		}
	default:
		return false, nil
	}
	return true, err
}

// loginColumns are those of a user whom something else than a password names; the password's
// hash is left out.
const loginColumns = userColumns + `, ` + licensedColumn + `, u.password_version, u.session_epoch`

func (l *Login) fields() []any {
	return []any{&l.ID, &l.Name, &l.Slug, &l.DisplayName, &l.Email, &l.Type, &l.Active, &l.Licensed, &l.PasswordVersion, &l.SessionEpoch}
}

func scanLogin(row pgx.CollectableRow) (l Login, err error) {
	err = row.Scan(l.fields()...)
	return l, err
}

// LoginByIdentity finds the user whom a provider knows by a subject. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) LoginByIdentity(ctx context.Context, identity account.Identity) (Login, error) {
	return one(ctx, r.db, scanLogin, noUser(identity.Subject), `
		select `+loginColumns+` from identities i join users u on u.id = i.user_id where i.issuer = $1 and i.subject = $2`, identity.Issuer, identity.Subject)
}

// LoginByID finds what is needed to log a user in whom something else than a password has
// named. The error is a *domain.NotFoundError if there is none.
func (r *Reader) LoginByID(ctx context.Context, id domain.UserID) (Login, error) {
	return one(ctx, r.db, scanLogin, noUser("of this number"), `select `+loginColumns+` from users u where u.id = $1`, id)
}
