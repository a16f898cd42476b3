package maintenance

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/maintenance"
	"github.com/annal-git/annal/gitfs/store"
)

// perRound bounds what is taken up at a time.
const perRound = 100

// mine restricts repositories to those of the shard, which is $1 of $2.
const mine = `repository % $2 = $1`

func (t *tending) ids(ctx context.Context, what, query string, args ...any) ([]domain.RepositoryID, error) {
	rows, err := t.config.Pool.Query(ctx, query, append([]any{t.shard, shards}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[domain.RepositoryID])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return ids, nil
}

// requested lists the repositories whose maintenance somebody has asked for.
func (t *tending) requested(ctx context.Context) ([]domain.RepositoryID, error) {
	return t.ids(ctx, "look for requested maintenance", `
		select repository from workers.maintenance where requested is not null and `+mine+`
		order by requested limit $3`, perRound)
}

// waits is true of repositories that have failed lately: for longer after each time.
const waits = `exists (
	select from workers.maintenance m where m.repository = p.repository and m.failures > 0
	and m.finished > clock_timestamp() - least(m.failures, 12) ^ 2 * interval '1 minute')`

// crowded lists the repositories with more packs than the least that may be too many,
// among those that were pushed to since the last time: at first, all. The refs that
// follow the log say how many packs there are; where they have not come yet is looked at
// next time.
func (t *tending) crowded(ctx context.Context) (ids []domain.RepositoryID, followed int64, err error) {
	err = t.config.Pool.QueryRow(ctx, `select coalesce((select max(position) from projections.checkpoints where projection = 'refs'), 0)`).Scan(&followed)
	if err != nil {
		return nil, 0, fmt.Errorf("look for repositories with many packs: %w", err)
	}
	least := t.config.Thresholds.Packs
	if least == 0 {
		least = maintenance.DefaultPacks
	}
	if t.followed == 0 {
		ids, err = t.ids(ctx, "look for repositories with many packs", `
			select repository from refs.packs p where `+mine+` and not `+waits+` group by repository having count(*) > $3`, least)
		return ids, followed, err
	}
	ids, err = t.ids(ctx, "look for repositories with many packs", `
		select repository from refs.packs p
		where `+mine+` and not `+waits+` and repository in (
			select repository from workers.maintenance where failures > 0
			union select substr(stream, length('repository/') + 1)::bigint from log.events
			where position > $4 and position <= $5 and type = 'repository.refs_updated.v1')
		group by repository having count(*) > $3`, least, t.followed, followed)
	return ids, followed, err
}

// scattered lists repositories that have got packs since they were wholly combined, and
// that was long ago.
func (t *tending) scattered(ctx context.Context) ([]domain.RepositoryID, error) {
	return t.ids(ctx, "look for repositories that were not repacked for long", `
		select repository from (
			select repository, min(position) as oldest from refs.packs p where `+mine+` and not `+waits+` group by repository having count(distinct position) > 1) p
		where coalesce(
			(select full_at from workers.maintenance m where m.repository = p.repository),
			(select at from log.events where position = p.oldest)) < clock_timestamp() - $3::interval
		limit $4`, t.config.FullEvery, perRound)
}

// begun notes that a job has started.
func (t *tending) begun(ctx context.Context, id domain.RepositoryID, kind maintenance.Kind) error {
	_, err := t.config.Pool.Exec(ctx, `
		insert into workers.maintenance as m (repository, started, node, job) values ($1, clock_timestamp(), $2, $3)
		on conflict (repository) do update set started = excluded.started, finished = null, node = excluded.node, job = excluded.job, outcome = ''`,
		id, t.config.Node, string(kind))
	return err
}

// finished notes what came of a job. A request that came while it ran is kept.
func (t *tending) finished(ctx context.Context, id domain.RepositoryID, kind maintenance.Kind, outcome string, full bool) error {
	_, err := t.config.Pool.Exec(ctx, `
		insert into workers.maintenance as m (repository, started, finished, node, job, outcome, full_at)
		values ($1, clock_timestamp(), clock_timestamp(), $2, $3, $4, case when $5 then clock_timestamp() end)
		on conflict (repository) do update set
			finished = excluded.finished, node = excluded.node, job = excluded.job, outcome = excluded.outcome, failures = 0,
			full_at = coalesce(excluded.full_at, m.full_at),
			requested = case when m.requested > m.started then m.requested end`,
		id, t.config.Node, string(kind), outcome, full)
	return err
}

// failed notes that a job has failed; a request is not tried again by itself.
func (t *tending) failed(ctx context.Context, id domain.RepositoryID) error {
	_, err := t.config.Pool.Exec(ctx, `
		insert into workers.maintenance as m (repository, started, finished, node, outcome, failures) values ($1, clock_timestamp(), clock_timestamp(), $2, $3, 1)
		on conflict (repository) do update set finished = excluded.finished, outcome = excluded.outcome, failures = m.failures + 1, requested = null`,
		id, t.config.Node, "It failed; the log of the node says why.")
	return err
}

// noteSuperseded begins the way of packs out of the shared home.
func (t *tending) noteSuperseded(ctx context.Context, id domain.RepositoryID, storage string, packs []git.ObjectID) error {
	var names []string
	var ids [][]byte
	for _, pack := range packs {
		names, ids = append(names, store.PackName(pack)), append(ids, pack[:])
	}
	_, err := t.config.Pool.Exec(ctx, `
		insert into workers.unlisted as u (repository, name, storage, pack, superseded)
		select $1, name, $2, pack, true from unnest($3::text[], $4::bytea[]) as n (name, pack)
		on conflict (repository, name) do update set superseded = true, seen_at = excluded.seen_at, asked_at = null
			where u.trash is null`, id, storage, names, ids)
	return err
}
