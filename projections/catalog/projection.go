package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
)

// Projection keeps the catalog's tables. It implements eventstore.Inline.
type Projection struct{}

// Name implements eventstore.Inline.
func (Projection) Name() string { return "catalog" }

// Tables implements eventstore.Inline.
func (Projection) Tables() []string {
	return []string{"projects", "repositories", "deleted_repositories"}
}

// Needs implements eventstore.Inline.
func (Projection) Needs(eventType string) bool {
	return strings.HasPrefix(eventType, "project.") || (strings.HasPrefix(eventType, "repository.") && eventType != repository.RefsUpdated{}.EventType())
}

// Apply implements eventstore.Inline. A key, name or slug that is taken, a project
// that is not there and the deletion of one that has repositories are
// *domain.ConflictError.
func (Projection) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	for _, recorded := range events {
		if err := apply(ctx, tx, recorded); err != nil {
			return refusal(err, recorded)
		}
	}
	return nil
}

func apply(ctx context.Context, tx pgx.Tx, recorded domain.Recorded) error {
	switch e := recorded.Event.(type) {
	case project.Created:
		return exec(ctx, tx, `insert into projects (id, key, name, description, public) values ($1, $2, $3, $4, $5)`,
			e.ID, e.Key, e.Name, e.Description, e.Public)
	case project.Updated:
		return exec(ctx, tx, `update projects set key = $2, name = $3, description = $4, public = $5 where id = $1`,
			e.ID, e.Key, e.Name, e.Description, e.Public)
	case project.Deleted:
		return exec(ctx, tx, `delete from projects where id = $1`, e.ID)
	case repository.Created:
		return exec(ctx, tx, `
			insert into repositories (id, project_id, slug, name, description, public, forkable, default_branch, storage, hierarchy_id)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			e.ID, e.Project, e.Slug, e.Name, e.Description, e.Public, e.Forkable, e.DefaultBranch, e.Storage, hierarchy(e.Storage))
	case repository.Forked:
		return exec(ctx, tx, `
			update repositories r set origin = $2, hierarchy_id = coalesce(
				(select o.hierarchy_id from repositories o where o.id = $2),
				(select o.hierarchy_id from deleted_repositories o where o.id = $2), r.hierarchy_id)
			where r.id = $1`, e.ID, e.Origin)
	case repository.Renamed:
		return exec(ctx, tx, `update repositories set name = $2, slug = $3 where id = $1`, e.ID, e.Name, e.Slug)
	case repository.Moved:
		return exec(ctx, tx, `update repositories set project_id = $2 where id = $1`, e.ID, e.Project)
	case repository.SettingsChanged:
		return exec(ctx, tx, `update repositories set description = $2, public = $3, forkable = $4 where id = $1`,
			e.ID, e.Description, e.Public, e.Forkable)
	case repository.DefaultBranchChanged:
		return exec(ctx, tx, `update repositories set default_branch = $2 where id = $1`, e.ID, e.New)
	case repository.Deleted:
		return exec(ctx, tx, `
			with gone as (delete from repositories where id = $1 returning *)
			insert into deleted_repositories
				(id, project_id, slug, name, description, public, forkable, default_branch, storage, hierarchy_id, origin, deleted_at)
			select id, project_id, slug, name, description, public, forkable, default_branch, storage, hierarchy_id, origin, $2 from gone`,
			e.ID, recorded.At)
	case repository.Restored:
		return exec(ctx, tx, `
			with back as (delete from deleted_repositories where id = $1 returning *)
			insert into repositories
				(id, project_id, slug, name, description, public, forkable, default_branch, storage, hierarchy_id, origin)
			select id, $2, $3, $4, description, public, forkable, default_branch, storage, hierarchy_id, origin from back`,
			e.ID, e.Project, e.Slug, e.Name)
	}
	return nil
}

func exec(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	_, err := tx.Exec(ctx, sql, args...)
	return err
}

// hierarchy makes the hierarchy id of a repository that is nobody's fork: twenty
// hexadecimal digits, as Bitbucket's are.
func hierarchy(storage string) string {
	digits := strings.ReplaceAll(storage, "-", "")
	return digits[:min(len(digits), 20)]
}

// refusal turns a broken constraint into the answer for the user.
func refusal(err error, recorded domain.Recorded) error {
	var broken *pgconn.PgError
	if errors.As(err, &broken) {
		switch _, deleting := recorded.Event.(project.Deleted); {
		case broken.ConstraintName == "projects_key":
			return domain.Conflict("key", "This project key is already in use.")
		case broken.ConstraintName == "projects_name":
			return domain.Conflict("name", "This project name is already in use.")
		case broken.ConstraintName == "repositories_slug":
			return domain.Conflict("name", "This repository URL is already taken.")
		case broken.ConstraintName == "repositories_project_id_fkey" && deleting:
			return domain.Conflict("", "The project cannot be deleted because it has repositories.")
		case broken.ConstraintName == "repositories_project_id_fkey":
			return domain.Conflict("project", "The project does not exist any more.")
		}
	}
	return fmt.Errorf("catalog: event %d: %w", recorded.Position, err)
}
