package access

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/group"
)

// applyGroup moves the tables of groups and their members, if the event is about them.
func applyGroup(ctx context.Context, tx pgx.Tx, event domain.Event) error {
	switch e := event.(type) {
	case group.Created:
		return exec(ctx, tx, `insert into groups (id, name) values ($1, $2)`, int64(e.ID), e.Name)
	case group.Renamed:
		return exec(ctx, tx, `update groups set name = $2 where id = $1`, int64(e.ID), e.Name)
	case group.MembersAdded:
		return addMembers(ctx, tx, e.ID, e.Members)
	case group.MembersRemoved:
		return removeMembers(ctx, tx, e.ID, e.Members)
	case group.Deleted:
		return deleteGroup(ctx, tx, e.ID)
	}
	return nil
}

func addMembers(ctx context.Context, tx pgx.Tx, id domain.GroupID, m group.Members) error {
	if len(m.Groups) > 0 {
		var circle bool
		err := tx.QueryRow(ctx, above+` select exists (select from above where id = any($2::bigint[]))`, int64(id), numbers(m.Groups)).Scan(&circle)
		if err != nil {
			return err
		}
		if circle {
			return domain.Conflict("", "A group cannot be in a group that is in it, directly or by way of others.")
		}
	}
	err := exec(ctx, tx, `insert into group_users (group_id, user_id) select $1, unnest($2::bigint[])`, int64(id), numbers(m.Users))
	if err != nil {
		return err
	}
	if err := exec(ctx, tx, `insert into group_groups (group_id, child_id) select $1, unnest($2::bigint[])`, int64(id), numbers(m.Groups)); err != nil {
		return err
	}
	return refreshMemberships(ctx, tx, id, m)
}

func removeMembers(ctx context.Context, tx pgx.Tx, id domain.GroupID, m group.Members) error {
	administers, err := makesAdministrators(ctx, tx, id)
	if err != nil {
		return err
	}
	err = exec(ctx, tx, `delete from group_users where group_id = $1 and user_id = any($2::bigint[])`, int64(id), numbers(m.Users))
	if err != nil {
		return err
	}
	if err := exec(ctx, tx, `delete from group_groups where group_id = $1 and child_id = any($2::bigint[])`, int64(id), numbers(m.Groups)); err != nil {
		return err
	}
	if err := refreshMemberships(ctx, tx, id, m); err != nil || !administers {
		return err
	}
	return keepAdministrator(ctx, tx)
}

// makesAdministrators reports whether who is in a group is a system administrator by it.
func makesAdministrators(ctx context.Context, tx pgx.Tx, id domain.GroupID) (yes bool, err error) {
	err = tx.QueryRow(ctx, above+`
		select exists (select from group_grants g join above a on a.id = g.group_id where g.level = 'global' and g.permission = 'SYS_ADMIN')`,
		int64(id)).Scan(&yes)
	return yes, err
}

// deleteGroup empties the group first, so that its members leave the groups that it is in.
func deleteGroup(ctx context.Context, tx pgx.Tx, id domain.GroupID) error {
	administers, err := makesAdministrators(ctx, tx, id)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		`delete from group_users where group_id = $1`, `delete from group_groups where group_id = $1`,
	} {
		if err := exec(ctx, tx, statement, int64(id)); err != nil {
			return err
		}
	}
	if err := refreshMemberships(ctx, tx, id, group.Members{Groups: []domain.GroupID{id}}); err != nil {
		return err
	}
	for _, statement := range []string{
		`delete from group_groups where child_id = $1`, `delete from group_grants where group_id = $1`, `delete from groups where id = $1`,
	} {
		if err := exec(ctx, tx, statement, int64(id)); err != nil {
			return err
		}
	}
	if !administers {
		return nil
	}
	return keepAdministrator(ctx, tx)
}

// above is a group and all groups that it is in.
const above = `
	with recursive above (id) as (
		select $1::bigint
		union select g.group_id from group_groups g join above a on g.child_id = a.id)`

// refreshMemberships brings the memberships of a group, and of all groups that it is in, to
// what follows from the direct ones, after members have come or gone. If they were users
// only, the rows of no others are looked at.
func refreshMemberships(ctx context.Context, tx pgx.Tx, id domain.GroupID, changed group.Members) error {
	var only []int64 // nil for all
	if len(changed.Groups) == 0 {
		only = numbers(changed.Users)
	}
	return exec(ctx, tx, above+`, below (top, id) as (
			select id, id from above
			union select b.top, g.child_id from group_groups g join below b on g.group_id = b.id
		), wanted as (
			select distinct b.top as group_id, m.user_id from below b join group_users m on m.group_id = b.id
			where $2::bigint[] is null or m.user_id = any($2)
		), gone as (
			delete from memberships m using above a
			where m.group_id = a.id and ($2 is null or m.user_id = any($2))
			and not exists (select from wanted w where w.group_id = m.group_id and w.user_id = m.user_id)
		)
		insert into memberships (user_id, group_id) select user_id, group_id from wanted on conflict do nothing`, int64(id), only)
}

// numbers is never nil: that would be null.
func numbers[T domain.UserID | domain.GroupID](ids []T) []int64 {
	list := make([]int64, len(ids))
	for i, id := range ids {
		list[i] = int64(id)
	}
	return list
}
