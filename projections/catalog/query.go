package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/project"
)

// Project is a project as it is now.
type Project struct {
	ID          domain.ProjectID
	Key         string
	Name        string
	Description string
	Public      bool
}

// Repository is a repository as it is now, with its project.
type Repository struct {
	ID            domain.RepositoryID
	Project       Project
	Slug          string
	Name          string
	Description   string
	Public        bool // itself; anybody may read it if its project is public, too
	Forkable      bool
	DefaultBranch string              // full ref name; the ref may not exist
	Storage       string              // UUID of its folder on the shared home
	HierarchyID   string              // shared by an origin and its forks
	Origin        domain.RepositoryID // that it was forked from; 0 if it was not
}

// Readable reports whether anybody may read the repository.
func (r Repository) Readable() bool { return r.Public || r.Project.Public }

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Reader asks the catalog. It is safe for concurrent use.
type Reader struct{ db Querier }

// NewReader makes a Reader on a pool made by eventstore.Connect.
func NewReader(db Querier) *Reader { return &Reader{db: db} }

// Project finds a project by its key, whatever its case. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) Project(ctx context.Context, key string) (Project, error) {
	return one(ctx, r.db, scanProject, noProject(key),
		`select id, key, name, description, public from projects p where key = $1`, project.NormalizeKey(key))
}

// ProjectByID finds a project by its number. The error is a *domain.NotFoundError
// if there is none.
func (r *Reader) ProjectByID(ctx context.Context, id domain.ProjectID) (Project, error) {
	return one(ctx, r.db, scanProject, noProject(fmt.Sprint(id)),
		`select id, key, name, description, public from projects p where id = $1`, id)
}

const repositoryColumns = `
	r.id, r.slug, r.name, r.description, r.public, r.forkable, r.default_branch, r.storage, r.hierarchy_id, coalesce(r.origin, 0),
	p.id, p.key, p.name, p.description, p.public`

// Repository finds a repository by its project's key and its slug, whatever their
// case. The error is a *domain.NotFoundError if there is none.
func (r *Reader) Repository(ctx context.Context, key, slug string) (Repository, error) {
	return one(ctx, r.db, scanRepository, noRepository(key, slug),
		`select `+repositoryColumns+` from repositories r join projects p on p.id = r.project_id where p.key = $1 and r.slug = $2`,
		project.NormalizeKey(key), strings.ToLower(slug))
}

// RepositoryByID finds a repository by its number. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) RepositoryByID(ctx context.Context, id domain.RepositoryID) (Repository, error) {
	return one(ctx, r.db, scanRepository, domain.NotFound("repository", "Repository %d does not exist.", id),
		`select `+repositoryColumns+` from repositories r join projects p on p.id = r.project_id where r.id = $1`, id)
}

// DeletedRepository finds a deleted repository by its number. Its Project has only
// an ID if it has been deleted as well. The error is a *domain.NotFoundError if
// there is none.
func (r *Reader) DeletedRepository(ctx context.Context, id domain.RepositoryID) (Repository, error) {
	return one(ctx, r.db, scanRepository, domain.NotFound("repository", "There is no deleted repository %d.", id), `
		select r.id, r.slug, r.name, r.description, r.public, r.forkable, r.default_branch, r.storage, r.hierarchy_id, coalesce(r.origin, 0),
			r.project_id, coalesce(p.key, ''), coalesce(p.name, ''), coalesce(p.description, ''), coalesce(p.public, false)
		from deleted_repositories r left join projects p on p.id = r.project_id where r.id = $1`, id)
}

func noProject(key string) error {
	return domain.NotFound("project", "Project %s does not exist.", key)
}

func noRepository(key, slug string) error {
	return domain.NotFound("repository", "Repository %s/%s does not exist.", project.NormalizeKey(key), strings.ToLower(slug))
}

func scanProject(row pgx.CollectableRow) (p Project, err error) {
	err = row.Scan(&p.ID, &p.Key, &p.Name, &p.Description, &p.Public)
	return p, err
}

func scanRepository(row pgx.CollectableRow) (r Repository, err error) {
	err = row.Scan(&r.ID, &r.Slug, &r.Name, &r.Description, &r.Public, &r.Forkable, &r.DefaultBranch, &r.Storage, &r.HierarchyID, &r.Origin,
		&r.Project.ID, &r.Project.Key, &r.Project.Name, &r.Project.Description, &r.Project.Public)
	return r, err
}

func one[T any](ctx context.Context, db Querier, scan pgx.RowToFunc[T], missing error, sql string, args ...any) (T, error) {
	var zero T
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return zero, fmt.Errorf("read the catalog: %w", err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, scan)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return zero, missing
	case err != nil:
		return zero, fmt.Errorf("read the catalog: %w", err)
	}
	return value, nil
}
