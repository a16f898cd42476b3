package maintenance

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/maintenance"
)

// Queries read how maintenance stands, and ask for it.
type Queries struct{ pool *pgxpool.Pool }

// NewQueries makes Queries on a database.
func NewQueries(pool *pgxpool.Pool) *Queries { return &Queries{pool: pool} }

// State says how maintenance of a repository stands.
func (q *Queries) State(ctx context.Context, id domain.RepositoryID) (s maintenance.State, err error) {
	err = q.pool.QueryRow(ctx, `select requested, started, finished, node, job, outcome, failures, full_at from workers.maintenance where repository = $1`, id).
		Scan(&s.Requested, &s.Started, &s.Finished, &s.Node, &s.Job, &s.Outcome, &s.Failures, &s.Full)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("read the state of maintenance: %w", err)
	}
	err = q.pool.QueryRow(ctx, `
		select count(*), coalesce(sum(objects), 0)::bigint, coalesce(sum(bytes), 0)::bigint, coalesce(max(bitmap), 0) > 0,
			(select count(*) from workers.unlisted where repository = $1)
		from refs.packs where repository = $1`, id).Scan(&s.Packs, &s.Objects, &s.Bytes, &s.Bitmap, &s.Unlisted)
	if err != nil {
		return s, fmt.Errorf("read the state of maintenance: %w", err)
	}
	return s, nil
}

// Request asks for all packs of a repository to be combined: whoever holds its lease will
// do so within seconds, or when it has done what it does now.
func (q *Queries) Request(ctx context.Context, id domain.RepositoryID) error {
	_, err := q.pool.Exec(ctx, `
		insert into workers.maintenance (repository, requested) values ($1, clock_timestamp())
		on conflict (repository) do update set requested = coalesce(workers.maintenance.requested, excluded.requested), failures = 0`, id)
	if err != nil {
		return fmt.Errorf("ask for maintenance: %w", err)
	}
	return nil
}
