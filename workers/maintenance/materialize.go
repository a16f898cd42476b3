package maintenance

import (
	"context"
	"errors"

	"github.com/annal-git/annal/domain"
)

// materializeDue writes the refs of repositories that have changed beside their objects,
// for plain git. It is no handler of events, for one writing does for all pushes before
// it: a repository that is pushed to a hundred times a second is written once a round.
func (t *tending) materializeDue(ctx context.Context) error {
	for {
		due, err := t.ids(ctx, "look for refs to write", `
			select s.repository from refs.repository_state s left join workers.maintenance m using (repository)
			where s.`+mine+` and not s.deleted and s.version > coalesce(m.refs_version, 0)
			order by s.position limit $3`, perRound)
		if err != nil {
			return err
		}
		for _, id := range due {
			if err := t.materialize(ctx, id); err != nil {
				return err
			}
		}
		if len(due) < perRound {
			return nil
		}
	}
}

func (t *tending) materialize(ctx context.Context, id domain.RepositoryID) error {
	snapshot, err := t.config.Snapshots.Snapshot(ctx, id)
	var gone *domain.NotFoundError
	if errors.As(err, &gone) {
		return nil // deleted a moment ago
	}
	if err != nil {
		return err
	}
	if err := t.config.Store.Materialize(ctx, snapshot); err != nil {
		return err
	}
	// A row that was behind the log is found again and written anew, which harms nothing.
	_, err = t.config.Pool.Exec(ctx, `
		insert into workers.maintenance (repository, refs_version) values ($1, $2)
		on conflict (repository) do update set refs_version = excluded.refs_version`, id, snapshot.Version)
	return err
}
