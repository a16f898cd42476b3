package credentials

import (
	"context"
	"errors"
	"fmt"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
)

// SSHKey finds the caller who holds an SSH key, given in the form of RFC 4253, section 6.6.
// That he holds it has to be proved by others. Unknown, removed and expired keys are a
// *RefusedError, and so are those of users who may not log in; the user of an access key
// needs no permission to.
func (a *Authenticator) SSHKey(ctx context.Context, key []byte) (Caller, account.SSHKeyID, error) {
	login, found, err := a.users.SSHKeyByKey(ctx, key)
	var missing *domain.NotFoundError
	switch {
	case errors.As(err, &missing):
		return Caller{}, 0, &RefusedError{}
	case err != nil:
		return Caller{}, 0, err
	case !mayLogIn(login), found.Expired(a.now()):
		return Caller{}, 0, &RefusedError{}
	}
	caller := Caller{User: login.User, Auth: fmt.Sprintf("ssh-key:%d", found.ID)}
	if found.Expires != nil {
		caller.Until = *found.Expires
	}
	return caller, found.ID, nil
}
