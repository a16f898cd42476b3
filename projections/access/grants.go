package access

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// Held is the permissions somebody holds on what a question is about.
type Held []access.Permission

// Allow reports whether they imply what is needed.
func (h Held) Allow(need access.Permission) bool {
	for _, p := range h {
		if p.Implies(need) {
			return true
		}
	}
	return false
}

// Held finds what a user has been granted on the installation, on a project and on
// a repository, of which either may be 0. An inactive user holds nothing.
func (r *Reader) Held(ctx context.Context, user domain.UserID, project domain.ProjectID, repository domain.RepositoryID) (Held, error) {
	rows, err := r.db.Query(ctx, `
		select g.permission from grants g join users u on u.id = g.user_id
		where g.user_id = $1 and u.active and (
			g.level = 'global'
			or (g.level = 'project' and g.target = $2)
			or (g.level = 'repository' and g.target = $3))`, user, project, repository)
	if err != nil {
		return nil, fmt.Errorf("read permissions: %w", err)
	}
	held, err := pgx.CollectRows(rows, pgx.RowTo[access.Permission])
	if err != nil {
		return nil, fmt.Errorf("read permissions: %w", err)
	}
	return held, nil
}

// Grant is a permission and who has it.
type Grant struct {
	User       User
	Permission access.Permission
}

// Grants lists who has been granted what on a target itself, by name. text narrows
// the list as UserFilter's does. more says that the list goes on behind the page.
func (r *Reader) Grants(ctx context.Context, target access.Target, text string, page Page) (list []Grant, more bool, err error) {
	level, id := address(target)
	return collect(ctx, r.db, page, func(row pgx.CollectableRow) (g Grant, err error) {
		u := &g.User
		err = row.Scan(&u.ID, &u.Name, &u.Slug, &u.DisplayName, &u.Email, &u.Type, &u.Active, &g.Permission)
		return g, err
	}, `
		select `+userColumns+`, g.permission from grants g join users u on u.id = g.user_id
		where g.level = $1 and g.target = $2 and not `+holder+`
		and ($3 = '' or position(lower($3) in lower(u.name)) > 0 or position(lower($3) in lower(u.display_name)) > 0
			or position(lower($3) in lower(u.email)) > 0)
		order by lower(u.name) collate "C" offset `, level, id, text)
}
