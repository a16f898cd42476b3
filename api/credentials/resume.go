package credentials

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
)

// Resumption is how a caller who has proved himself is found again by what he was given
// then, such as a signed link. It is no proof: whoever hands it out signs it.
type Resumption struct {
	User            domain.UserID `json:"u,omitempty"` // 0: nobody logged in
	Auth            string        `json:"a,omitempty"` // Caller.Auth
	PasswordVersion int64         `json:"p,omitempty"` // of one who came with a password
	Ends            int64         `json:"e,omitempty"` // when what an application came with ends, in seconds since 1970
}

// Resumption says how to find a caller again.
func (a *Authenticator) Resumption(ctx context.Context, caller Caller) (Resumption, error) {
	r := Resumption{User: caller.User.ID, Auth: caller.Auth}
	if caller.Application {
		r.Ends = caller.Until.Unix()
	}
	if caller.Auth != authPassword {
		return r, nil
	}
	login, err := a.users.LoginByID(ctx, caller.User.ID)
	r.PasswordVersion = login.PasswordVersion
	return r, err
}

// Resume finds a caller as he is now. It is a *RefusedError if what he came with does not let
// him in any more: a token or key that is gone or has ended, a password that was changed, an
// account that is not active. What there is no way to ask about is refused, too.
func (a *Authenticator) Resume(ctx context.Context, r Resumption) (Caller, error) {
	if r.User == 0 {
		return Caller{}, nil
	}
	login, err := a.users.LoginByID(ctx, r.User)
	if err != nil {
		return Caller{}, refusedIfMissing(err)
	}
	if !mayLogIn(login) {
		return Caller{}, &RefusedError{}
	}
	caller := Caller{User: login.User, Auth: r.Auth}
	kind, number, numbered := strings.Cut(r.Auth, ":")
	id, numberErr := strconv.ParseInt(number, 10, 64)
	if numbered && numberErr != nil {
		return Caller{}, &RefusedError{}
	}
	var ends *time.Time
	switch {
	case r.Auth == authPassword && login.PasswordVersion == r.PasswordVersion:
	case kind == "token" && numbered:
		token, err := a.users.Token(ctx, r.User, account.TokenID(id))
		if err != nil {
			return Caller{}, refusedIfMissing(err)
		}
		caller.Scopes, ends = token.Permissions, token.Expires
	case kind == "ssh-key" && numbered:
		if ends, err = a.users.SSHKeyEnds(ctx, r.User, account.SSHKeyID(id)); err != nil {
			return Caller{}, refusedIfMissing(err)
		}
	case kind == "oauth" && numbered:
		grant, err := a.users.OAuthGrant(ctx, r.User, account.GrantID(id))
		if err != nil {
			return Caller{}, refusedIfMissing(err)
		}
		until := time.Unix(r.Ends, 0)
		caller = actingFor(login.User, grant, until)
		ends = &until
	default:
		return Caller{}, &RefusedError{}
	}
	if ends != nil {
		if caller.Until = *ends; !a.now().Before(*ends) {
			return Caller{}, &RefusedError{}
		}
	}
	return caller, nil
}

func refusedIfMissing(err error) error {
	var missing *domain.NotFoundError
	if errors.As(err, &missing) {
		return &RefusedError{}
	}
	return err
}
