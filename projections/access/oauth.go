package access

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
)

// OAuthClient is an application that may ask users to act for them.
type OAuthClient struct {
	ID           domain.OAuthClientID
	ClientID     string // by which it calls itself
	Name         string
	RedirectURIs []string
	Scopes       []string
	Created      time.Time
	SecretHash   []byte // SHA-256
}

// OAuthGrant is what a user lets an application do.
type OAuthGrant struct {
	ID      account.GrantID
	User    domain.UserID
	Client  domain.OAuthClientID
	Name    string // of the application
	Scopes  []string
	Created time.Time
}

const (
	clientColumns = `c.id, c.client_id, c.name, c.redirect_uris, c.scopes, c.created_at, c.secret_hash`
	// What an application may no longer ask for, it may no longer do.
	grantColumns = `g.id, g.user_id, g.client, c.name, array(select s from unnest(g.scopes) s where s = any(c.scopes)), g.created_at`
)

func scanClient(row pgx.CollectableRow) (c OAuthClient, err error) {
	err = row.Scan(&c.ID, &c.ClientID, &c.Name, &c.RedirectURIs, &c.Scopes, &c.Created, &c.SecretHash)
	return c, err
}

func (g *OAuthGrant) fields() []any {
	return []any{&g.ID, &g.User, &g.Client, &g.Name, &g.Scopes, &g.Created}
}

func scanGrant(row pgx.CollectableRow) (g OAuthGrant, err error) {
	err = row.Scan(g.fields()...)
	return g, err
}

func noClient() error { return domain.NotFound("client", "The application does not exist.") }
func noGrant() error  { return domain.NotFound("grant", "The authorization does not exist.") }

// OAuthClient finds an application by its number. The error is a *domain.NotFoundError if there
// is none.
func (r *Reader) OAuthClient(ctx context.Context, id domain.OAuthClientID) (OAuthClient, error) {
	return one(ctx, r.db, scanClient, noClient(), `select `+clientColumns+` from oauth_clients c where c.id = $1`, int64(id))
}

// OAuthClientByName finds an application by what it calls itself. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) OAuthClientByName(ctx context.Context, clientID string) (OAuthClient, error) {
	return one(ctx, r.db, scanClient, noClient(), `select `+clientColumns+` from oauth_clients c where c.client_id = $1`, clientID)
}

// OAuthClients lists applications, the oldest first. more says that the list goes on behind the
// page.
func (r *Reader) OAuthClients(ctx context.Context, page Page) (list []OAuthClient, more bool, err error) {
	return collect(ctx, r.db, page, scanClient, `select `+clientColumns+` from oauth_clients c order by c.id offset `)
}

// OAuthGrants lists what a user lets applications do, the oldest first.
func (r *Reader) OAuthGrants(ctx context.Context, user domain.UserID, page Page) (list []OAuthGrant, more bool, err error) {
	return collect(ctx, r.db, page, scanGrant, `select `+grantColumns+` from oauth_grants g join oauth_clients c on c.id = g.client where g.user_id = $1 order by g.id offset `, user)
}

// OAuthGrant finds what a user lets an application do. The error is a *domain.NotFoundError if
// there is no such grant.
func (r *Reader) OAuthGrant(ctx context.Context, user domain.UserID, id account.GrantID) (OAuthGrant, error) {
	return one(ctx, r.db, scanGrant, noGrant(), `
		select `+grantColumns+` from oauth_grants g join oauth_clients c on c.id = g.client where g.user_id = $1 and g.id = $2`, user, int64(id))
}

// LoginByOAuthToken finds whom an application acts for by an access token, what he lets it do,
// and when the token ends. The error is a *domain.NotFoundError if there is none.
func (r *Reader) LoginByOAuthToken(ctx context.Context, hash []byte) (Login, OAuthGrant, time.Time, error) {
	type all struct {
		Login
		OAuthGrant
		ends time.Time
	}
	found, err := one(ctx, r.db, func(row pgx.CollectableRow) (a all, err error) {
		err = row.Scan(append(append(a.Login.fields(), a.OAuthGrant.fields()...), &a.ends)...)
		return a, err
	}, noToken(), `
		select `+loginColumns+`, `+grantColumns+`, t.ends_at
		from oauth_tokens t join oauth_grants g on g.id = t.grant_id join oauth_clients c on c.id = g.client join users u on u.id = g.user_id
		where t.hash = $1 and not t.refresh`, hash)
	return found.Login, found.OAuthGrant, found.ends, err
}

// OAuthTokens keeps authorization codes and the tokens of applications, for all nodes together.
// They are beside the log; what they are worth is not: each stands for a grant, which is a row
// of the projection. It is safe for concurrent use.
type OAuthTokens struct {
	pool *pgxpool.Pool
	made atomic.Int64 // since the tables were last cleared up
}

// NewOAuthTokens makes OAuthTokens on a pool made by eventstore.Connect.
func NewOAuthTokens(pool *pgxpool.Pool) *OAuthTokens { return &OAuthTokens{pool: pool} }

// Code is an authorization code.
type Code struct {
	Grant       account.GrantID
	RedirectURI string
	Challenge   string // of PKCE by SHA-256; "" for none
	Ends        time.Time
	Used        bool // before: somebody else has it
}

// SaveCode keeps a code by its SHA-256.
func (t *OAuthTokens) SaveCode(ctx context.Context, hash []byte, c Code) error {
	_, err := t.pool.Exec(ctx, `insert into oauth_codes (hash, grant_id, redirect_uri, challenge, ends_at) values ($1, $2, $3, $4, $5)`,
		hash, int64(c.Grant), c.RedirectURI, c.Challenge, c.Ends)
	if err != nil {
		return fmt.Errorf("save an authorization code: %w", err)
	}
	return nil
}

// UseCode uses up a code of a client, and returns what it stands for. The grant of a code that was
// used before may be gone. The error is a *domain.NotFoundError if the client has no such code.
func (t *OAuthTokens) UseCode(ctx context.Context, hash []byte, client domain.OAuthClientID) (Code, OAuthGrant, error) {
	var c Code
	var g OAuthGrant
	err := pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			select o.grant_id, o.redirect_uri, o.challenge, o.ends_at, o.used, `+grantColumns+`
			from oauth_codes o join oauth_grants g on g.id = o.grant_id join oauth_clients c on c.id = g.client
			where o.hash = $1 and g.client = $2 for update of o`, hash, int64(client)).
			Scan(append([]any{&c.Grant, &c.RedirectURI, &c.Challenge, &c.Ends, &c.Used}, g.fields()...)...)
		if err == nil {
			err = exec(ctx, tx, `update oauth_codes set used = true where hash = $1`, hash)
		}
		return err
	})
	return c, g, absent(err, "use an authorization code", noGrant())
}

// Pair is an access token and the refresh token that comes with it, by their SHA-256.
type Pair struct {
	Access, Refresh         []byte
	AccessEnds, RefreshEnds time.Time
}

// SavePair keeps the tokens of a grant.
func (t *OAuthTokens) SavePair(ctx context.Context, grant account.GrantID, p Pair, now time.Time) error {
	_, err := t.pool.Exec(ctx, `insert into oauth_tokens (hash, grant_id, refresh, ends_at) values ($1, $3, false, $4), ($2, $3, true, $5)`,
		p.Access, p.Refresh, int64(grant), p.AccessEnds, p.RefreshEnds)
	if err != nil {
		return fmt.Errorf("save tokens: %w", err)
	}
	if t.made.Add(1)%sweepEvery == 0 {
		return t.sweep(ctx, now)
	}
	return nil
}

// UseRefresh uses up a refresh token of a client and returns the grant it stands for, when it ends,
// and whether it was used before. The error is a *domain.NotFoundError if the client has no such
// token.
func (t *OAuthTokens) UseRefresh(ctx context.Context, hash []byte, client domain.OAuthClientID) (g OAuthGrant, ends time.Time, used bool, err error) {
	err = pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			select o.ends_at, o.used, `+grantColumns+`
			from oauth_tokens o join oauth_grants g on g.id = o.grant_id join oauth_clients c on c.id = g.client
			where o.hash = $1 and o.refresh and g.client = $2 for update of o`, hash, int64(client)).
			Scan(append([]any{&ends, &used}, g.fields()...)...)
		if err == nil {
			err = exec(ctx, tx, `update oauth_tokens set used = true where hash = $1`, hash)
		}
		return err
	})
	return g, ends, used, absent(err, "use a refresh token", noGrant())
}

// GrantOf finds the grant that a token of a client stands for, of whichever kind. The error is a
// *domain.NotFoundError if the client has no such token.
func (t *OAuthTokens) GrantOf(ctx context.Context, hash []byte, client domain.OAuthClientID) (OAuthGrant, error) {
	var g OAuthGrant
	err := t.pool.QueryRow(ctx, `
		select `+grantColumns+` from oauth_tokens t join oauth_grants g on g.id = t.grant_id join oauth_clients c on c.id = g.client
		where t.hash = $1 and g.client = $2`, hash, int64(client)).Scan(g.fields()...)
	return g, absent(err, "find a token", noGrant())
}

func (t *OAuthTokens) sweep(ctx context.Context, now time.Time) error {
	flight := &pgx.Batch{}
	for _, table := range []string{"oauth_codes", "oauth_tokens"} {
		flight.Queue(`delete from `+table+` where ctid = any(array(select ctid from `+table+` where ends_at < $1 limit $2 for update skip locked))`, now, sweepRows)
	}
	if err := t.pool.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("clear up tokens: %w", err)
	}
	return nil
}

func absent(err error, doing string, missing error) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return missing
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}
