package rest

import (
	"errors"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
)

// The users of access keys and tokens end with the last that they are granted, and nothing is
// granted them on what has been deleted: it may be restored, without keys and tokens.

// granting is who holds what on a project or repository, with the state of that.
type granting[S any] struct {
	target S
	grants rights.State
}

func (granting[S]) evolve(evolve func(S, domain.Event) S) func(granting[S], domain.Event) granting[S] {
	return func(g granting[S], event domain.Event) granting[S] {
		return granting[S]{evolve(g.target, event), rights.Evolve(g.grants, event)}
	}
}

// grantOnLiving decides on a command to grant something to the user of an access key or token.
func (a *API) grantOnLiving(c *call, t rights.Target, command rights.Command) error {
	if t.Level() == rights.Repository {
		return grantOn(a, c, t, repository.Evolve, repository.State.Exists, domain.NotFound("repository", "The repository does not exist."), command)
	}
	return grantOn(a, c, t, project.Evolve, project.State.Exists, domain.NotFound("project", "The project does not exist."), command)
}

func grantOn[S any](a *API, c *call, t rights.Target, evolve func(S, domain.Event) S, exists func(S) bool, missing error, command rights.Command) error {
	_, _, err := eventstore.Execute(c.ctx(), a.Log, t.Stream(0), granting[S]{}.evolve(evolve), c.meta, func(g granting[S]) ([]domain.Event, error) {
		if !exists(g.target) {
			return nil, missing
		}
		return rights.Decide(g.grants, command)
	})
	return err
}

// deleteTarget decides on a command that deletes a project or repository, and takes all its access
// keys and tokens away in the same step.
func deleteTarget[S, C any](a *API, c *call, t rights.Target, evolve func(S, domain.Event) S, decide func(S, C) ([]domain.Event, error), command C) error {
	var holders []domain.UserID
	_, _, err := eventstore.Execute(c.ctx(), a.Log, t.Stream(0), granting[S]{}.evolve(evolve), c.meta, func(g granting[S]) ([]domain.Event, error) {
		deleted, err := decide(g.target, command)
		if err != nil {
			return nil, err
		}
		// At least as new as what is decided on: a grant that comes now has it decided anew.
		if holders, err = a.Users.Holders(c.ctx(), t); err != nil {
			return nil, err
		}
		var events []domain.Event
		for _, id := range holders {
			revoked, err := rights.Decide(g.grants, rights.Revoke{User: id, Target: t})
			if err != nil {
				return nil, err
			}
			events = append(events, revoked...)
		}
		return append(events, deleted...), nil
	})
	if err != nil {
		return err
	}
	for _, id := range holders {
		if err := a.endHolder(c, id); err != nil {
			return err
		}
	}
	return nil
}

// endHolder ends the user of an access key or token that is granted nothing any more.
func (a *API) endHolder(c *call, id domain.UserID) error {
	granted, err := a.Users.Granted(c.ctx(), id)
	if err != nil || granted {
		return err
	}
	err = execute(a, c, domain.UserStream(id), account.Evolve, account.Decide, account.Command(account.End{}))
	var inUse *domain.ConflictError
	if errors.As(err, &inUse) {
		return nil // it was given anew meanwhile
	}
	return err
}
