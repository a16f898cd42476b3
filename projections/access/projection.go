package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

// Projection keeps the tables of users, tokens, SSH keys, groups, grants and applications. It implements
// eventstore.Inline.
type Projection struct{}

// Name implements eventstore.Inline.
func (Projection) Name() string { return "access" }

// Tables implements eventstore.Inline.
func (Projection) Tables() []string {
	return []string{
		"users", "tokens", "ssh_keys", "grants", "groups", "group_users", "group_groups", "memberships", "group_grants", "project_defaults",
		"identities", "oauth_clients", "oauth_grants",
	}
}

// Needs implements eventstore.Inline.
func (Projection) Needs(eventType string) bool {
	for _, prefix := range []string{"user.", "account.", "access.", "group.", "oauth."} {
		if strings.HasPrefix(eventType, prefix) {
			return true
		}
	}
	return false
}

// Apply implements eventstore.Inline. A name or SSH key that is taken, a second set-up, a
// group in itself and the loss of the last system administrator are *domain.ConflictError; a second
// token of the same name for a project or repository is a *domain.InvalidError.
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
	case account.Created:
		p := named(e.ID, e.Profile)
		return exec(ctx, tx, `insert into users (id, name, slug, display_name, email, type, set_up) values ($1, $2, $3, $4, $5, $6, $7)`,
			e.ID, p.Name, p.Slug, p.DisplayName, p.Email, string(e.Type), e.SetUp)
	case account.ProfileChanged:
		p := named(e.ID, e.Profile)
		return exec(ctx, tx, `update users set name = $2, slug = $3, display_name = $4, email = $5 where id = $1`,
			e.ID, p.Name, p.Slug, p.DisplayName, p.Email)
	case account.PasswordSet:
		return exec(ctx, tx, `update users set password_hash = nullif($2, ''), password_version = $3, session_epoch = $3 where id = $1`,
			e.ID, e.Secret.Hash, recorded.Position)
	case account.Erased:
		return erase(ctx, tx, e.ID, recorded.Position)
	case account.Activated:
		return exec(ctx, tx, `update users set active = true where id = $1`, e.ID)
	case account.Deactivated:
		return deactivate(ctx, tx, e.ID, recorded.Position)
	case account.SessionsEnded:
		return exec(ctx, tx, `update users set session_epoch = $2 where id = $1`, e.ID, recorded.Position)
	case account.TokenCreated:
		if len(e.Details.Hash) == 0 {
			return nil // erased: the token opens nothing any more
		}
		return exec(ctx, tx, `insert into tokens (id, user_id, name, hash, permissions, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)`,
			int64(e.ID), e.User, e.Details.Name, e.Details.Hash, texts(e.Permissions), recorded.At, e.Expires)
	case account.TokenChanged:
		return changeToken(ctx, tx, e)
	case account.TokenRevoked:
		return removeTokens(ctx, tx, `id = $1`, int64(e.ID))
	case account.SSHKeyAdded:
		return addSSHKey(ctx, tx, e, recorded.At)
	case account.SSHKeyRemoved:
		return removeSSHKey(ctx, tx, e)
	}
	for _, apply := range []func(context.Context, pgx.Tx, domain.Recorded) (bool, error){applyGrant, applyLogin} {
		if handled, err := apply(ctx, tx, recorded); handled {
			return err
		}
	}
	return applyGroup(ctx, tx, recorded.Event)
}

// applyGrant moves the tables of grants, if the event is about one.
func applyGrant(ctx context.Context, tx pgx.Tx, recorded domain.Recorded) (handled bool, err error) {
	var lost access.Permission
	switch e := recorded.Event.(type) {
	case access.Granted:
		level, target := address(e.Target)
		lost, err = e.Old, exec(ctx, tx, `
			insert into grants (user_id, level, target, permission, rank) values ($1, $2, $3, $4, $5)
			on conflict (user_id, level, target) do update set permission = excluded.permission, rank = excluded.rank`,
			e.User, level, target, string(e.Permission), e.Permission.Rank())
		if err == nil && e.Old == "" {
			err = keepTokenNamesApart(ctx, tx, e.User)
		}
	case access.Revoked:
		level, target := address(e.Target)
		lost, err = e.Permission, exec(ctx, tx, `delete from grants where user_id = $1 and level = $2 and target = $3`, e.User, level, target)
	case access.GroupGranted:
		level, target := address(e.Target)
		lost, err = e.Old, exec(ctx, tx, `
			insert into group_grants (group_id, level, target, permission, rank) values ($1, $2, $3, $4, $5)
			on conflict (group_id, level, target) do update set permission = excluded.permission, rank = excluded.rank`,
			int64(e.Group), level, target, string(e.Permission), e.Permission.Rank())
	case access.GroupRevoked:
		level, target := address(e.Target)
		lost, err = e.Permission, exec(ctx, tx, `delete from group_grants where group_id = $1 and level = $2 and target = $3`, int64(e.Group), level, target)
	case access.DefaultChanged:
		if e.Permission == "" {
			return true, exec(ctx, tx, `delete from project_defaults where project = $1`, e.Project)
		}
		return true, exec(ctx, tx, `
			insert into project_defaults (project, permission, rank) values ($1, $2, $3)
			on conflict (project) do update set permission = excluded.permission, rank = excluded.rank`,
			e.Project, string(e.Permission), e.Permission.Rank())
	default:
		return false, nil
	}
	if err == nil && lost == access.SysAdmin {
		err = keepAdministrator(ctx, tx)
	}
	return true, err
}

func deactivate(ctx context.Context, tx pgx.Tx, id domain.UserID, position int64) error {
	var administrator bool
	err := tx.QueryRow(ctx, `
		update users u set active = false, session_epoch = $2 where id = $1 returning `+administers, id, position).Scan(&administrator)
	if err != nil || !administrator {
		return err
	}
	return keepAdministrator(ctx, tx)
}

// erase leaves of a user what a rebuild would: a number under a made-up name. The new
// version of the password makes nodes forget what they remember of it.
func erase(ctx context.Context, tx pgx.Tx, id domain.UserID, position int64) error {
	if err := deactivate(ctx, tx, id, position); err != nil {
		return err
	}
	if err := removeTokens(ctx, tx, `user_id = $1`, int64(id)); err != nil {
		return err
	}
	for _, table := range []string{"refusals", "group_users", "memberships", "identities", "oauth_grants"} {
		if err := exec(ctx, tx, `delete from `+table+` where user_id = $1`, id); err != nil {
			return err
		}
	}
	if err := eraseSSHKeys(ctx, tx, id); err != nil {
		return err
	}
	p := named(id, account.Profile{})
	return exec(ctx, tx, `
		update users set name = $2, slug = $3, display_name = $4, email = '', password_hash = null, password_version = $5
		where id = $1`, id, p.Name, p.Slug, p.DisplayName, position)
}

// administers says of a user u whether he is a system administrator, by himself or by one of
// his groups.
const administers = `(
	exists (select from grants g where g.user_id = u.id and g.level = 'global' and g.permission = 'SYS_ADMIN')
	or exists (select from group_grants g join memberships m on m.group_id = g.group_id
		where m.user_id = u.id and g.level = 'global' and g.permission = 'SYS_ADMIN'))`

// keepAdministrator refuses what has left the installation without an active system
// administrator. It is asked when one goes.
func keepAdministrator(ctx context.Context, tx pgx.Tx) error {
	var one bool
	err := tx.QueryRow(ctx, `
		select exists (select from grants g join users u on u.id = g.user_id
			where g.level = 'global' and g.permission = 'SYS_ADMIN' and u.active)
		or exists (select from group_grants g join memberships m on m.group_id = g.group_id join users u on u.id = m.user_id
			where g.level = 'global' and g.permission = 'SYS_ADMIN' and u.active)`).Scan(&one)
	if err == nil && !one {
		return domain.Conflict("", "The last system administrator cannot be removed.")
	}
	return err
}

func exec(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	_, err := tx.Exec(ctx, sql, args...)
	return err
}

func address(t access.Target) (level string, target int64) {
	switch t.Level() {
	case access.Repository:
		return string(access.Repository), int64(t.Repository)
	case access.Project:
		return string(access.Project), int64(t.Project)
	default:
		return string(access.Global), 0
	}
}

func texts(permissions []access.Permission) []string {
	list := make([]string, len(permissions))
	for i, p := range permissions {
		list[i] = string(p)
	}
	return list
}

// named gives a user whose profile was erased a name that nobody can have chosen:
// names do not start with a dash.
func named(id domain.UserID, p account.Profile) account.Profile {
	if p.Name == "" {
		name := fmt.Sprintf("-erased-%d", id)
		return account.Profile{Name: name, Slug: name, DisplayName: "Erased user"}
	}
	return p
}

// refusal turns a broken constraint into the answer for the user.
func refusal(err error, recorded domain.Recorded) error {
	var conflict *domain.ConflictError
	if errors.As(err, &conflict) {
		return conflict
	}
	var invalid *domain.InvalidError
	if errors.As(err, &invalid) {
		return invalid
	}
	var broken *pgconn.PgError
	if errors.As(err, &broken) {
		switch {
		case broken.ConstraintName == "users_name", broken.ConstraintName == "users_slug":
			return domain.Conflict("name", "This user name is already in use.")
		case broken.ConstraintName == "groups_name":
			return domain.Conflict("name", "This group name is already in use.")
		case strings.HasSuffix(broken.ConstraintName, "_group_id_fkey"), strings.HasSuffix(broken.ConstraintName, "_child_id_fkey"):
			return domain.Conflict("name", "The group does not exist.")
		case broken.ConstraintName == "ssh_keys_fingerprint":
			return domain.Conflict("text", "This SSH key has already been added to Annal.")
		case broken.ConstraintName == "identities_pkey", broken.ConstraintName == "identities_user":
			return domain.Conflict("", "This account of the provider is linked to another user.")
		case strings.HasSuffix(broken.ConstraintName, "_client_fkey"):
			return domain.Conflict("", "The application does not exist.")
		case broken.ConstraintName == "users_set_up":
			return domain.Conflict("", "Annal has been set up already.")
		case strings.HasSuffix(broken.ConstraintName, "_user_id_fkey"):
			return domain.Conflict("name", "The user does not exist.")
		}
	}
	return fmt.Errorf("access: event %d: %w", recorded.Position, err)
}
