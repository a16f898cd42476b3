// Package refhistory answers where the refs of a repository pointed at any position of
// the log. It follows the log asynchronously.
package refhistory

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/projections"
)

// Projection keeps every value that each ref ever had. It implements
// projections.Follower and projections.Folder.
type Projection struct{}

// Name implements projections.Projection.
func (Projection) Name() string { return "refhistory" }

// Tables implements projections.Projection.
func (Projection) Tables() []string { return []string{"ref_history"} }

// Needs implements projections.Projection: any unknown event of a repository may have
// moved its refs.
func (Projection) Needs(eventType string) bool { return strings.HasPrefix(eventType, "repository.") }

// Policy implements projections.Follower. It is critical because auditors rest on it: a
// history that stands still is seen, one with a hole is not.
func (Projection) Policy() projections.Policy { return projections.Policy{Critical: true} }

// Queue implements projections.Follower.
func (Projection) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	var rows rows
	rows.Add(events)
	if len(rows.positions) > 0 {
		flight.Queue(`
			insert into ref_history (repository, name, position, id, peeled, forced)
			select repository, name, position, id, peeled, forced
			from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[], $6::boolean[])
				as h (repository, name, position, id, peeled, forced)`,
			rows.repositories, rows.names, rows.positions, rows.ids, rows.peeled, rows.forced)
	}
	return nil
}

// NewFold implements projections.Folder.
func (Projection) NewFold() projections.Fold { return &rows{} }

// Independent implements projections.Folder.
func (Projection) Independent() bool { return true }

// rows are values of refs, column by column. They implement projections.Fold.
type rows struct {
	repositories, positions []int64
	names                   []string
	ids, peeled             [][]byte
	forced                  []bool
}

// Add implements projections.Fold.
func (r *rows) Add(events []domain.Recorded) {
	for _, e := range events {
		push, ok := e.Event.(repository.RefsUpdated)
		number, isRepository := strings.CutPrefix(string(e.Stream), "repository/")
		id, err := strconv.ParseInt(number, 10, 64)
		if !ok || !isRepository || err != nil {
			continue
		}
		for _, u := range push.Updates {
			r.repositories, r.names, r.positions = append(r.repositories, id), append(r.names, u.Name), append(r.positions, e.Position)
			r.ids, r.peeled, r.forced = append(r.ids, u.New[:]), append(r.peeled, optional(u.Peeled)), append(r.forced, u.Forced)
		}
	}
}

// optional is an id for a column that is null when there is none.
func optional(id git.ObjectID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}

// Merge implements projections.Fold; rows are independent.
func (*rows) Merge(projections.Fold) {}

// Bytes implements projections.Fold.
func (r *rows) Bytes() int { return 200 * len(r.positions) }

// Rows implements projections.Fold.
func (r *rows) Rows(string) ([]string, pgx.CopyFromSource) {
	return []string{"repository", "name", "position", "id", "peeled", "forced"},
		pgx.CopyFromSlice(len(r.positions), func(i int) ([]any, error) {
			return []any{r.repositories[i], r.names[i], r.positions[i], r.ids[i], r.peeled[i], r.forced[i]}, nil
		})
}

// Queries reads the history.
type Queries struct{ pool *pgxpool.Pool }

// NewQueries makes Queries on a database.
func NewQueries(pool *pgxpool.Pool) *Queries { return &Queries{pool: pool} }

// Named lists what refs of a repository have ever named, each once, as far as the
// projection has read.
func (q *Queries) Named(ctx context.Context, id domain.RepositoryID) ([]git.ObjectID, error) {
	found, err := q.pool.Query(ctx, `
		select distinct id from ref_history where repository = $1 and id <> '\x0000000000000000000000000000000000000000'`, id)
	if err != nil {
		return nil, fmt.Errorf("read the history of refs: %w", err)
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (git.ObjectID, error) {
		var id []byte
		err := row.Scan(&id)
		if err != nil {
			return git.ZeroID, err
		}
		return git.ObjectID(id), nil
	})
}

// At lists the refs of a repository as they were right after the event at a position, by
// name. It does not know whether the projection has read that far.
func (q *Queries) At(ctx context.Context, id domain.RepositoryID, position int64) ([]git.Ref, error) {
	found, err := q.pool.Query(ctx, `
		select name, id, peeled from (
			select distinct on (name) name, id, peeled from ref_history
			where repository = $1 and position <= $2 order by name, position desc) h
		where id <> '\x0000000000000000000000000000000000000000' order by name`, id, position)
	if err != nil {
		return nil, fmt.Errorf("read the history of refs: %w", err)
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (ref git.Ref, err error) {
		var id, peeled []byte
		if err := row.Scan(&ref.Name, &id, &peeled); err != nil {
			return ref, err
		}
		ref.ID = git.ObjectID(id)
		if peeled != nil {
			ref.Peeled = git.ObjectID(peeled)
		}
		return ref, nil
	})
}
