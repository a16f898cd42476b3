package login

import (
	"context"
	"errors"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/access"
)

// Person is what a provider says of who has logged in there.
type Person struct {
	Identity                 account.Identity
	Name, DisplayName, Email string
}

// UnknownError says that there is no user for a person, and what to do.
type UnknownError struct{ Message string }

func (e *UnknownError) Error() string { return e.Message }

// Accounts finds the users of persons. Who has been here before is found by what the provider
// calls him, which never changes and is never given to another, and not by his name.
type Accounts struct {
	Log        *eventstore.Log
	Users      *access.Reader
	LinkByName bool // the first time, to a user of that name
	Create     bool // a user if there is none of that name
	Seats      int  // how many users may be able to log in; 0 for any number
}

// Find finds the user of a person, or makes one. An *UnknownError says that there is none.
func (a Accounts) Find(ctx context.Context, p Person, request string) (access.Login, error) {
	login, err := a.Users.LoginByIdentity(ctx, p.Identity)
	var missing *domain.NotFoundError
	if !errors.As(err, &missing) {
		return login, err
	}
	if p.Name == "" {
		return login, &UnknownError{"The provider does not say what you are called. Ask an administrator."}
	}
	meta := domain.Metadata{Auth: "oidc", RequestID: request, Correlation: request}
	found, err := a.Users.UserByName(ctx, p.Name)
	switch {
	case err == nil && !a.LinkByName:
		return login, &UnknownError{"There is a user with your name, who is not linked to your account at the provider. Ask an administrator."}
	case err == nil:
		err = a.link(ctx, found.ID, p.Identity, meta)
	case errors.As(err, &missing) && !a.Create:
		return login, &UnknownError{"There is no user for you here. Ask an administrator."}
	case errors.As(err, &missing):
		err = a.create(ctx, p, meta)
	}
	var conflict *domain.ConflictError
	var invalid *domain.InvalidError
	switch {
	case errors.As(err, &conflict):
		return login, &UnknownError{conflict.Message}
	case errors.As(err, &invalid):
		return login, &UnknownError{"What the provider says of you cannot be used here: " + invalid.Message}
	case err != nil:
		return login, err
	}
	return a.Users.LoginByIdentity(ctx, p.Identity)
}

func (a Accounts) link(ctx context.Context, id domain.UserID, identity account.Identity, meta domain.Metadata) error {
	meta.Actor = id
	_, _, err := eventstore.Execute(ctx, a.Log, domain.UserStream(id), account.Evolve, meta, func(s account.State) ([]domain.Event, error) {
		if s.Inactive || s.Type != account.Normal {
			return nil, domain.Conflict("", "You may not log in here. Ask an administrator.")
		}
		return account.Decide(s, account.LinkIdentity(identity))
	})
	return err
}

func (a Accounts) create(ctx context.Context, p Person, meta domain.Metadata) error {
	if a.Seats != 0 {
		taken, err := a.Users.Seats(ctx)
		if err != nil {
			return err
		}
		if taken >= a.Seats {
			return domain.Conflict("", "There are no seats left. Ask an administrator.")
		}
	}
	number, err := a.Log.NextID(ctx, "user")
	if err != nil {
		return err
	}
	id := domain.UserID(number)
	var state account.State
	var events []domain.Event
	for _, command := range []account.Command{
		account.Create{ID: id, Profile: account.Profile{Name: p.Name, DisplayName: p.DisplayName, Email: p.Email}},
		account.LinkIdentity(p.Identity),
	} {
		decided, err := account.Decide(state, command)
		if err != nil {
			return err
		}
		for _, event := range decided {
			state = account.Evolve(state, event)
		}
		events = append(events, decided...)
	}
	granted, err := rights.Decide(nil, rights.Grant{User: id, Permission: rights.LicensedUser})
	if err != nil {
		return err
	}
	_, err = a.Log.Append(ctx, eventstore.Proposal{Stream: domain.UserStream(id), Expect: 0, Events: append(events, granted...), Meta: meta})
	return err
}
