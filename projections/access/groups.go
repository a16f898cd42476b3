package access

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// Group is a group as it is now.
type Group struct {
	ID   domain.GroupID
	Name string
}

// GroupGrant is a permission and the group that has it.
type GroupGrant struct {
	Group      Group
	Permission access.Permission
}

const groupColumns = `g.id, g.name`

// Group finds a group by its number. The error is a *domain.NotFoundError if there is none.
func (r *Reader) Group(ctx context.Context, id domain.GroupID) (Group, error) {
	return one(ctx, r.db, scanGroup, noGroup(fmt.Sprint(id)), `select `+groupColumns+` from groups g where g.id = $1`, int64(id))
}

// GroupByName finds a group by its name, whatever its case. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) GroupByName(ctx context.Context, name string) (Group, error) {
	return one(ctx, r.db, scanGroup, noGroup(name), `select `+groupColumns+` from groups g where lower(g.name) = lower($1)`, name)
}

// Groups finds the groups that a user is in, directly or by way of other groups, in order.
func (r *Reader) Groups(ctx context.Context, user domain.UserID) ([]domain.GroupID, error) {
	rows, err := r.db.Query(ctx, `select group_id from memberships where user_id = $1 order by group_id`, user)
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[domain.GroupID])
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	return ids, nil
}

// GroupNames are the names of groups, in the order of their numbers; those that are not there
// are left out.
func (r *Reader) GroupNames(ctx context.Context, ids []domain.GroupID) ([]string, error) {
	rows, err := r.db.Query(ctx, `select name from groups where id = any($1) order by id`, ids)
	if err != nil {
		return nil, fmt.Errorf("read names of groups: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read names of groups: %w", err)
	}
	return names, nil
}

// GroupFilter narrows a list of groups.
type GroupFilter struct {
	Text    string         // part of the name, whatever its case
	Of      domain.UserID  // groups that a user is directly in; 0: any
	NotOf   domain.UserID  // groups that he is not directly in; 0: any
	In      domain.GroupID // groups directly in another; 0: any
	Without *access.Target // groups that have been granted nothing on it
}

// GroupList lists groups by name. more says that the list goes on behind the page.
func (r *Reader) GroupList(ctx context.Context, f GroupFilter, page Page) (list []Group, more bool, err error) {
	level, target := "", int64(0)
	if f.Without != nil {
		level, target = address(*f.Without)
	}
	return collect(ctx, r.db, page, scanGroup, `
		select `+groupColumns+` from groups g
		where ($1 = '' or position(lower($1) in lower(g.name)) > 0)
		and ($2 = 0 or exists (select from group_users m where m.group_id = g.id and m.user_id = $2))
		and ($3 = 0 or not exists (select from group_users m where m.group_id = g.id and m.user_id = $3))
		and ($4 = 0 or exists (select from group_groups m where m.group_id = $4 and m.child_id = g.id))
		and ($5 = '' or not exists (select from group_grants p where p.group_id = g.id and p.level = $5 and p.target = $6))
		order by lower(g.name) collate "C" offset `, f.Text, f.Of, f.NotOf, int64(f.In), level, target)
}

// GroupGrants lists which groups have been granted what on a target itself, by name. text
// is a part of the name.
func (r *Reader) GroupGrants(ctx context.Context, target access.Target, text string, page Page) (list []GroupGrant, more bool, err error) {
	level, id := address(target)
	return collect(ctx, r.db, page, func(row pgx.CollectableRow) (g GroupGrant, err error) {
		err = row.Scan(&g.Group.ID, &g.Group.Name, &g.Permission)
		return g, err
	}, `
		select `+groupColumns+`, p.permission from group_grants p join groups g on g.id = p.group_id
		where ($1 = '' or position(lower($1) in lower(g.name)) > 0) and p.level = $2 and p.target = $3
		order by lower(g.name) collate "C" offset `, text, level, id)
}

// HeldByGroup finds what the members of a group hold on the installation by it: what it, and
// the groups that it is in, have been granted.
func (r *Reader) HeldByGroup(ctx context.Context, id domain.GroupID) (Held, error) {
	return r.held(ctx, above+`
		select g.permission from group_grants g join above a on a.id = g.group_id where g.level = 'global'`, int64(id))
}

// HeldOutside finds what a user would hold on the installation if a group did not exist.
func (r *Reader) HeldOutside(ctx context.Context, user domain.UserID, id domain.GroupID) (Held, error) {
	return r.held(ctx, `
		with recursive outside (id) as (
			select group_id from group_users where user_id = $1 and group_id <> $2
			union select g.group_id from group_groups g join outside o on g.child_id = o.id where g.group_id <> $2)
		select g.permission from group_grants g join outside o on o.id = g.group_id where g.level = 'global'
		union all select g.permission from grants g where g.user_id = $1 and g.level = 'global'`, user, int64(id))
}

// Seats counts the active users who may log in.
func (r *Reader) Seats(ctx context.Context) (int, error) {
	return one(ctx, r.db, pgx.RowTo[int], nil, `select count(*)::int from users u where u.active and `+licensedColumn)
}

// Unseated counts the active users, among some and those in some groups, who may not log in
// now: the seats that it takes to let them.
func (r *Reader) Unseated(ctx context.Context, users []domain.UserID, groups []domain.GroupID) (int, error) {
	return one(ctx, r.db, pgx.RowTo[int], nil, `
		select count(*)::int from users u
		where u.active and not `+licensedColumn+` and (u.id = any($1)
			or exists (select from memberships m where m.user_id = u.id and m.group_id = any($2)))`, numbers(users), numbers(groups))
}

func noGroup(name string) error {
	return domain.NotFound("group", "Group %q does not exist.", clip(name))
}

func scanGroup(row pgx.CollectableRow) (g Group, err error) {
	err = row.Scan(&g.ID, &g.Name)
	return g, err
}
