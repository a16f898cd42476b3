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

// Held finds what a user holds on the installation, on a project and on a repository, of
// which either may be 0: by himself, by his groups and by default. An inactive user holds
// nothing.
func (r *Reader) Held(ctx context.Context, user domain.UserID, project domain.ProjectID, repository domain.RepositoryID) (Held, error) {
	return r.held(ctx, `
		select h.permission from access.holdings($1) h
		where (h.level = 'global' or (h.level = 'project' and h.target = $2) or (h.level = 'repository' and h.target = $3))
		and exists (select from users u where u.id = $1 and u.active)`, user, project, repository)
}

// HeldExcept is Held without what a holder has been granted on a target: what is left to the
// user if that is taken away.
func (r *Reader) HeldExcept(
	ctx context.Context, user domain.UserID, project domain.ProjectID, repository domain.RepositoryID, holder access.Holder, target access.Target,
) (Held, error) {
	if holder.User != 0 && holder.User != user {
		return r.Held(ctx, user, project, repository)
	}
	level, id := address(target)
	via := new(int64(holder.Group))
	if holder == (access.Holder{}) {
		via = nil // the default
	}
	return r.held(ctx, `
		select h.permission from access.holdings($1) h
		where (h.level = 'global' or (h.level = 'project' and h.target = $2) or (h.level = 'repository' and h.target = $3))
		and not (h.via is not distinct from $4::bigint and h.level = $5 and h.target = $6)
		and exists (select from users u where u.id = $1 and u.active)`, user, project, repository, via, level, id)
}

func (r *Reader) held(ctx context.Context, sql string, args ...any) (Held, error) {
	rows, err := r.db.Query(ctx, sql, args...)
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
		where `+userText+` and g.level = $2 and g.target = $3 and not `+holder+`
		order by lower(u.name) collate "C" offset `, text, level, id)
}

// Default is what everybody who may log in may do with a project, "" for nothing.
func (r *Reader) Default(ctx context.Context, project domain.ProjectID) (access.Permission, error) {
	return one(ctx, r.db, pgx.RowTo[access.Permission], nil,
		`select coalesce((select permission from project_defaults where project = $1), '')`, project)
}
