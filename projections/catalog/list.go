package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Viewer is for whom a list is made.
type Viewer struct {
	User domain.UserID // 0: nobody logged in
	All  bool          // may administer everything, so that no grant is asked for
}

// Page is the part of a list that is wanted.
type Page struct {
	Start, Limit int
}

// ProjectFilter narrows a list of projects. Rank is how strong a project
// permission the viewer must have (access.Permission.Rank); at 0 it is enough to
// see the project, which whoever may read one of its repositories does.
type ProjectFilter struct {
	Viewer Viewer
	Rank   int
	Name   string // part of the name, whatever its case
}

// Projects lists projects by name. more says that the list goes on behind the page.
func (r *Reader) Projects(ctx context.Context, f ProjectFilter, page Page) (list []Project, more bool, err error) {
	return collect(ctx, r.db, page, scanProject, `
		select p.id, p.key, p.name, p.description, p.public from projects p
		where ($1
			or (p.public and $3 <= 1)
			or p.id in (select g.target from access.holdings($2) g
				where g.level = 'project' and g.rank >= $3)
			or ($3 = 0 and p.id in (select r.project_id from repositories r where r.public))
			or ($3 = 0 and p.id in (select r.project_id from access.holdings($2) g join repositories r on r.id = g.target
				where g.level = 'repository')))
		and ($4 = '' or position(lower($4) in lower(p.name)) > 0)
		order by lower(p.name) collate "C", p.id
		offset $5 limit $6`,
		f.Viewer.All, f.Viewer.User, f.Rank, f.Name)
}

// ShowsProject reports whether the viewer may read one of a project's repositories,
// by a grant on it or because it is public, and so may see the project.
func (r *Reader) ShowsProject(ctx context.Context, viewer Viewer, id domain.ProjectID) (bool, error) {
	return one(ctx, r.db, pgx.RowTo[bool], nil, `
		select exists (select from repositories r
			where r.project_id = $1 and ($2 or r.public or exists (select from access.holdings($3) g
				where g.level = 'repository' and g.target = r.id)))`,
		id, viewer.All, viewer.User)
}

// Readable finds which of some projects and repositories the viewer may read. It
// serves streams of events, where asking for each would be a query an event.
func (r *Reader) Readable(ctx context.Context, viewer Viewer, projects []domain.ProjectID, repositories []domain.RepositoryID) (
	readableProjects map[domain.ProjectID]bool, readableRepositories map[domain.RepositoryID]bool, err error,
) {
	readableProjects, readableRepositories = map[domain.ProjectID]bool{}, map[domain.RepositoryID]bool{}
	rows, err := r.db.Query(ctx, `
		select false, p.id from projects p
		where p.id = any($3) and ($1 or p.public or exists (select from access.holdings($2) g
			where g.level = 'project' and g.target = p.id))
		union all
		select true, r.id from repositories r join projects p on p.id = r.project_id
		where r.id = any($4) and ($1 or r.public or p.public or exists (select from access.holdings($2) g
			where ((g.level = 'repository' and g.target = r.id) or (g.level = 'project' and g.target = p.id))))`,
		viewer.All, viewer.User, projects, repositories)
	if err != nil {
		return nil, nil, fmt.Errorf("read the catalog: %w", err)
	}
	var repository bool
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&repository, &id}, func() error {
		if repository {
			readableRepositories[domain.RepositoryID(id)] = true
		} else {
			readableProjects[domain.ProjectID(id)] = true
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the catalog: %w", err)
	}
	return readableProjects, readableRepositories, nil
}

// Visibility narrows a list to what anybody may read, or to what not everybody may.
type Visibility string

// The visibilities; "" is both.
const (
	Public  Visibility = "public"
	Private Visibility = "private"
)

// RepositoryFilter narrows a list of repositories. Rank is how strong a repository
// permission the viewer must have (access.Permission.Rank), at least 1; what
// anybody may read satisfies 1.
type RepositoryFilter struct {
	Viewer      Viewer
	Rank        int
	Project     domain.ProjectID // 0: any
	ProjectKey  string           // whole, whatever its case; "" is any
	ProjectName string           // part of the name, whatever its case
	Name        string           // part of the name, whatever its case
	Visibility  Visibility
	Origin      domain.RepositoryID // only direct forks of it; 0: any
	Hierarchy   string              // only of these origins and forks; "": any
	Except      domain.RepositoryID // not this one
}

// Repositories lists repositories by name. more says that the list goes on behind
// the page.
func (r *Reader) Repositories(ctx context.Context, f RepositoryFilter, page Page) (list []Repository, more bool, err error) {
	return collect(ctx, r.db, page, scanRepository, `
		select `+repositoryColumns+`
		from repositories r join projects p on p.id = r.project_id
		where ($1
			or ($3 <= 1 and (r.public or p.public))
			or r.id in (select g.target from access.holdings($2) g
				where g.level = 'repository' and g.rank >= $3)
			or p.id in (select g.target from access.holdings($2) g
				where g.level = 'project' and g.rank >= $3))
		and ($4 = 0 or p.id = $4)
		and ($5 = '' or p.key = upper($5))
		and ($6 = '' or position(lower($6) in lower(p.name)) > 0)
		and ($7 = '' or position(lower($7) in lower(r.name)) > 0)
		and ($8 = '' or ($8 = 'public') = (r.public or p.public))
		and ($9 = 0 or r.origin = $9)
		and ($10 = '' or r.hierarchy_id = $10)
		and r.id <> $11
		order by lower(r.name) collate "C", r.id
		offset $12 limit $13`,
		f.Viewer.All, f.Viewer.User, f.Rank, f.Project, f.ProjectKey, f.ProjectName, f.Name, string(f.Visibility), f.Origin, f.Hierarchy, f.Except)
}

// DeletedRepositories lists the deleted repositories, the last one first. more says
// that the list goes on behind the page.
func (r *Reader) DeletedRepositories(ctx context.Context, page Page) (list []Repository, more bool, err error) {
	return collect(ctx, r.db, page, scanRepository, `
		select r.id, r.slug, r.name, r.description, r.public, r.forkable, r.default_branch, r.storage, r.hierarchy_id, coalesce(r.origin, 0),
			r.project_id, coalesce(p.key, ''), coalesce(p.name, ''), coalesce(p.description, ''), coalesce(p.public, false)
		from deleted_repositories r left join projects p on p.id = r.project_id
		order by r.deleted_at desc, r.id
		offset $1 limit $2`)
}

// collect reads one row more than the page, to know whether there is one.
func collect[T any](ctx context.Context, db Querier, page Page, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, bool, error) {
	rows, err := db.Query(ctx, sql, append(args, page.Start, page.Limit+1)...)
	if err != nil {
		return nil, false, fmt.Errorf("list from the catalog: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, false, fmt.Errorf("list from the catalog: %w", err)
	}
	if len(list) > page.Limit {
		return list[:page.Limit], true, nil
	}
	return list, false, nil
}
