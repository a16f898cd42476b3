// Package reposearch finds repositories by a part of their name. It follows the log
// asynchronously.
package reposearch

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/projections"
)

// Projection keeps the names. It implements projections.Follower and
// projections.Folder.
type Projection struct{}

// Name implements projections.Projection.
func (Projection) Name() string { return "reposearch" }

// Tables implements projections.Projection.
func (Projection) Tables() []string { return []string{"repository_names"} }

// Needs implements projections.Projection: any unknown event of a repository may be
// about its name.
func (Projection) Needs(eventType string) bool { return strings.HasPrefix(eventType, "repository.") }

// Policy implements projections.Follower.
func (Projection) Policy() projections.Policy { return projections.Policy{} }

// Queue implements projections.Follower.
func (Projection) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	for _, e := range events {
		switch event := e.Event.(type) {
		case repository.Created:
			flight.Queue(`insert into repository_names (repository, project, name, slug) values ($1, $2, $3, $4)`,
				event.ID, event.Project, event.Name, event.Slug)
		case repository.Renamed:
			flight.Queue(`update repository_names set name = $2, slug = $3 where repository = $1`, event.ID, event.Name, event.Slug)
		case repository.Moved:
			flight.Queue(`update repository_names set project = $2 where repository = $1`, event.ID, event.Project)
		case repository.Deleted:
			flight.Queue(`update repository_names set deleted = true where repository = $1`, event.ID)
		case repository.Restored:
			flight.Queue(`update repository_names set deleted = false, project = $2, name = $3, slug = $4 where repository = $1`,
				event.ID, event.Project, event.Name, event.Slug)
		}
	}
	return nil
}

// NewFold implements projections.Folder.
func (Projection) NewFold() projections.Fold { return &fold{names: map[domain.RepositoryID]name{}} }

// Independent implements projections.Folder.
func (Projection) Independent() bool { return false }

// fold keeps of each repository what later events have not replaced: nil is what was said
// before. It implements projections.Fold.
type fold struct{ names map[domain.RepositoryID]name }

type name struct {
	created    bool
	project    *domain.ProjectID
	name, slug *string
	deleted    *bool
}

func (n name) then(later name) name {
	if later.created {
		return later
	}
	return name{n.created, or(later.project, n.project), or(later.name, n.name), or(later.slug, n.slug), or(later.deleted, n.deleted)}
}

func or[T any](first, second *T) *T {
	if first != nil {
		return first
	}
	return second
}

// Add implements projections.Fold.
func (f *fold) Add(events []domain.Recorded) {
	yes, no := true, false
	for _, e := range events {
		switch event := e.Event.(type) {
		case repository.Created:
			f.add(event.ID, name{true, &event.Project, &event.Name, &event.Slug, &no})
		case repository.Renamed:
			f.add(event.ID, name{name: &event.Name, slug: &event.Slug})
		case repository.Moved:
			f.add(event.ID, name{project: &event.Project})
		case repository.Deleted:
			f.add(event.ID, name{deleted: &yes})
		case repository.Restored:
			f.add(event.ID, name{project: &event.Project, name: &event.Name, slug: &event.Slug, deleted: &no})
		}
	}
}

func (f *fold) add(id domain.RepositoryID, n name) { f.names[id] = f.names[id].then(n) }

// Merge implements projections.Fold.
func (f *fold) Merge(later projections.Fold) {
	for id, n := range later.(*fold).names {
		f.add(id, n)
	}
}

// Bytes implements projections.Fold.
func (f *fold) Bytes() int { return 300 * len(f.names) }

// Rows implements projections.Fold.
func (f *fold) Rows(string) ([]string, pgx.CopyFromSource) {
	var rows [][]any
	for id, n := range f.names {
		if n.created {
			rows = append(rows, []any{int64(id), int64(*n.project), *n.name, *n.slug, *n.deleted})
		}
	}
	return []string{"repository", "project", "name", "slug", "deleted"}, pgx.CopyFromRows(rows)
}

// Queries searches the names.
type Queries struct{ pool *pgxpool.Pool }

// NewQueries makes Queries on a database.
func NewQueries(pool *pgxpool.Pool) *Queries { return &Queries{pool: pool} }

// ByName lists up to limit repositories whose name or slug contains text, whatever
// its case, the closest names first. What the caller may see is not its concern.
func (q *Queries) ByName(ctx context.Context, text string, limit int) ([]domain.RepositoryID, error) {
	pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(text)) + "%"
	rows, err := q.pool.Query(ctx, `
		select repository from repository_names
		where not deleted and (lower(name) like $1 or slug like $1)
		order by similarity(lower(name), lower($2)) desc, lower(name), repository limit $3`,
		pattern, text, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[domain.RepositoryID])
}
