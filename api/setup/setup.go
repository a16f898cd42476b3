// Package setup makes the first administrator of an installation: for the command
// line, which knows his password, and for whoever holds the one-time token that the
// log of a new node shows.
package setup

import (
	"context"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
)

// Administrator is who the first administrator shall be.
type Administrator struct {
	Name        string `json:"name"`
	DisplayName string `json:"displayName"` // "" means the name
	Email       string `json:"emailAddress"`
	Password    string `json:"password"`
}

// Create makes the first administrator, with SYS_ADMIN, in one append. Errors are
// *domain.InvalidError for what does not fit, and *domain.ConflictError if the
// installation has been set up, by whatever node, or the name is taken.
func Create(ctx context.Context, log *eventstore.Log, hash *credentials.Authenticator, who Administrator, meta domain.Metadata) error {
	hashed, err := hash.NewPassword(ctx, who.Name, who.Password)
	if err != nil {
		return err
	}
	number, err := log.NextID(ctx, "user")
	if err != nil {
		return err
	}
	id := domain.UserID(number)
	events, err := account.Decide(account.State{}, account.Create{
		ID: id, SetUp: true, PasswordHash: hashed,
		Profile: account.Profile{Name: who.Name, DisplayName: who.DisplayName, Email: who.Email},
	})
	if err != nil {
		return err
	}
	granted, err := rights.Decide(nil, rights.Grant{User: id, Permission: rights.SysAdmin})
	if err != nil {
		return err
	}
	_, err = log.Append(ctx, eventstore.Proposal{Stream: domain.UserStream(id), Expect: 0, Events: append(events, granted...), Meta: meta})
	return err
}
