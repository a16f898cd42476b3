package credentials

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/projections/access"
)

// Secret is a kind of secret that applications hold. It begins each, such that people and
// scanners know what they have found and none is taken for another.
type Secret string

// The kinds.
const (
	OAuthAccess  Secret = "annal_oauth_"
	OAuthRefresh Secret = "annal_refresh_"
	OAuthClient  Secret = "annal_client_"
	OAuthCode    Secret = "annal_code_"
)

// New makes a secret and the hash to store of it.
func (kind Secret) New() (secret string, hash []byte) {
	secret = string(kind) + base64.RawURLEncoding.EncodeToString(random())
	return secret, hashToken(secret)
}

// Hash is the hash of a secret, nil for what is not of the kind.
func (kind Secret) Hash(secret string) []byte {
	encoded, ok := strings.CutPrefix(secret, string(kind))
	if !ok || decodeSecret(encoded) == nil {
		return nil
	}
	return hashToken(secret)
}

// application finds the caller for whom an application acts with an access token.
func (a *Authenticator) application(ctx context.Context, name, token string) (Caller, error) {
	login, grant, ends, err := a.users.LoginByOAuthToken(ctx, OAuthAccess.Hash(token))
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &missing):
		a.refused(ctx, login.ID, name)
		return Caller{}, &RefusedError{}
	case err != nil:
		return Caller{}, err
	case !login.Active, !login.Licensed, !a.now().Before(ends), name != "" && !strings.EqualFold(name, login.Name):
		a.refused(ctx, login.ID, name)
		return Caller{}, &RefusedError{}
	}
	return actingFor(login.User, grant, ends), nil
}

// actingFor is an application that acts for a user, until its token ends.
func actingFor(user access.User, grant access.OAuthGrant, ends time.Time) Caller {
	return Caller{
		User: user, Auth: fmt.Sprintf("oauth:%d", grant.ID), Until: ends, Scopes: oauth.Permissions(grant.Scopes),
		Application: true, Profile: slices.Contains(grant.Scopes, oauth.AccountWrite),
	}
}
