package access

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/effective"
	"github.com/annal-git/annal/eventstore"
)

// Past is who could do what with a repository at a position of the log.
type Past struct {
	*effective.State
	Repository domain.RepositoryID
	Position   int64
}

// PastOf folds the log into who could do what with a repository at a moment, written as
// domain.ParseMoment reads it; "" is now. It reads the events of the repository, but no pushes,
// of the projects that it was in, and of all users and groups. A moment that has not come, or
// at which the repository did not exist, is a *domain.NotFoundError about the "position";
// what is no moment is a *domain.InvalidError.
func PastOf(ctx context.Context, log *eventstore.Log, repository domain.RepositoryID, moment string) (Past, error) {
	position, err := positionOf(ctx, log, moment)
	if err != nil {
		return Past{}, err
	}
	past := Past{State: effective.New(), Repository: repository, Position: position}
	fold := func(from, before domain.Stream) error {
		return log.FoldDecisions(ctx, from, before, position, func(e domain.Recorded) error {
			past.Apply(e.Event)
			return nil
		})
	}
	// Nothing that ends the name of a stream comes before "!".
	if err := fold(domain.RepositoryStream(repository), domain.RepositoryStream(repository)+"!"); err != nil {
		return Past{}, err
	}
	project, existed := past.Project(repository)
	if !existed {
		return Past{}, domain.NotFound("position", "The repository did not exist at position %d of the log.", position)
	}
	for _, r := range [][2]domain.Stream{
		{domain.ProjectStream(project), domain.ProjectStream(project) + "!"},
		{"group/", "group0"}, // "0" comes after "/"
		{"user/", "user0"},
	} {
		if err := fold(r[0], r[1]); err != nil {
			return Past{}, err
		}
	}
	return past, nil
}

func positionOf(ctx context.Context, log *eventstore.Log, moment string) (int64, error) {
	head, err := log.Head(ctx)
	if err != nil || moment == "" {
		return head, err
	}
	when, err := domain.ParseMoment(moment)
	switch {
	case err != nil:
		return 0, err
	case when.Position > head:
		return 0, domain.NotFound("position", "The log has not reached position %d yet.", when.Position)
	case when.Position > 0:
		return when.Position, nil
	case when.Time.After(time.Now()):
		return 0, domain.NotFound("position", "It is not %s yet.", when.Time.Format(time.RFC3339))
	}
	return log.PositionAt(ctx, when.Time)
}

// UsersByID finds users by their numbers, as they are now. Numbers that nobody has are left
// out.
func (r *Reader) UsersByID(ctx context.Context, ids []domain.UserID) (map[domain.UserID]User, error) {
	rows, err := r.db.Query(ctx, `select `+userColumns+` from users u where u.id = any($1)`, numbers(ids))
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanUser)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	found := make(map[domain.UserID]User, len(list))
	for _, u := range list {
		found[u.ID] = u
	}
	return found, nil
}
