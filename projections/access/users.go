package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

// User is a user as he is now.
type User struct {
	ID          domain.UserID
	Name        string
	Slug        string
	DisplayName string
	Email       string
	Type        account.Type
	Active      bool
}

// Login is what is needed to judge whether a user may log in.
type Login struct {
	User
	Licensed        bool   // holds a global permission, of which LICENSED_USER is the weakest
	PasswordHash    string // PHC string; "" if the user has no password
	PasswordVersion int64  // changes whenever the password does
	SessionEpoch    int64  // changes whenever the user's sessions end
}

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Reader asks about users, tokens and permissions. It is safe for concurrent use.
type Reader struct{ db Querier }

// NewReader makes a Reader on a pool made by eventstore.Connect.
func NewReader(db Querier) *Reader { return &Reader{db: db} }

const licensedColumn = `(
	exists (select from grants g where g.user_id = u.id and g.level = 'global')
	or exists (select from group_grants g join memberships m on m.group_id = g.group_id where m.user_id = u.id and g.level = 'global'))`

// userText narrows users u to those with a text, the first parameter, in a name or the e-mail
// address.
const userText = `($1 = '' or position(lower($1) in lower(u.name)) > 0 or position(lower($1) in lower(u.display_name)) > 0
	or position(lower($1) in lower(u.email)) > 0)`

// holder is true for users that nobody is and that nobody manages as users: those of access
// keys and of projects' and repositories' tokens.
const holder = `u.type in ('KEY', 'TOKEN')`

const userColumns = `u.id, u.name, u.slug, u.display_name, u.email, u.type, u.active`

// User finds a user by his number. The error is a *domain.NotFoundError if there is
// none.
func (r *Reader) User(ctx context.Context, id domain.UserID) (User, error) {
	return one(ctx, r.db, scanUser, noUser(fmt.Sprint(id)), `select `+userColumns+` from users u where u.id = $1`, id)
}

// UserByName finds a user by his name, whatever its case. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) UserByName(ctx context.Context, name string) (User, error) {
	return one(ctx, r.db, scanUser, noUser(name), `select `+userColumns+` from users u where lower(u.name) = lower($1) and not `+holder, name)
}

// UserBySlug finds a user by his slug, whatever its case. The error is a
// *domain.NotFoundError if there is none.
func (r *Reader) UserBySlug(ctx context.Context, slug string) (User, error) {
	return one(ctx, r.db, scanUser, noUser(slug), `select `+userColumns+` from users u where u.slug = $1 and not `+holder, strings.ToLower(slug))
}

// LoginByName finds what is needed to log a user in by his name, whatever its case.
// The error is a *domain.NotFoundError if there is none.
func (r *Reader) LoginByName(ctx context.Context, name string) (Login, error) {
	return one(ctx, r.db, func(row pgx.CollectableRow) (l Login, err error) {
		err = row.Scan(&l.ID, &l.Name, &l.Slug, &l.DisplayName, &l.Email, &l.Type, &l.Active, &l.Licensed, &l.PasswordHash, &l.PasswordVersion, &l.SessionEpoch)
		return l, err
	}, noUser(name), `
		select `+userColumns+`, `+licensedColumn+`, coalesce(u.password_hash, ''), u.password_version, u.session_epoch
		from users u where lower(u.name) = lower($1)`, name)
}

// HasAdministrator reports whether somebody has ever been made system
// administrator: whether the installation has been set up.
func (r *Reader) HasAdministrator(ctx context.Context) (bool, error) {
	return one(ctx, r.db, pgx.RowTo[bool], nil, `
		select exists (select from grants where level = 'global' and permission = 'SYS_ADMIN')
			or exists (select from group_grants g join memberships m on m.group_id = g.group_id
				where g.level = 'global' and g.permission = 'SYS_ADMIN')`)
}

// Page is the part of a list that is wanted.
type Page struct {
	Start, Limit int
}

// Requirement is a permission that listed users must have. Project is that of the
// repository, too; Readable says that anybody may read the target.
type Requirement struct {
	Permission access.Permission
	Project    domain.ProjectID
	Repository domain.RepositoryID
	Readable   bool
}

// MaxRequirements is how many requirements of a UserFilter count.
const MaxRequirements = 50

// UserFilter narrows a list of users.
type UserFilter struct {
	Text         string // part of the name, display name or e-mail address, whatever its case
	Requirements []Requirement
	In, NotIn    domain.GroupID // users directly in a group, or not; 0: any
	Without      *access.Target // users who have been granted nothing on it by themselves
	Licensed     bool           // only active users who may log in
}

// Users lists users by name. more says that the list goes on behind the page.
func (r *Reader) Users(ctx context.Context, f UserFilter, page Page) (list []User, more bool, err error) {
	level, target := "", int64(0)
	if f.Without != nil {
		level, target = address(*f.Without)
	}
	sql := `select ` + userColumns + ` from users u
		where not ` + holder + ` and ` + userText + `
		and ($2 = 0 or exists (select from group_users g where g.group_id = $2 and g.user_id = u.id))
		and ($3 = 0 or not exists (select from group_users g where g.group_id = $3 and g.user_id = u.id))
		and ($4 = '' or not exists (select from grants g where g.user_id = u.id and g.level = $4 and g.target = $5))
		and (not $6 or u.active and ` + licensedColumn + `)`
	args := []any{f.Text, int64(f.In), int64(f.NotIn), level, target, f.Licensed}
	for _, q := range f.Requirements[:min(len(f.Requirements), MaxRequirements)] {
		n := len(args)
		// Of the permissions that imply the one required, each level has a weakest.
		sql += fmt.Sprintf(`
			and exists (select from access.holdings(u.id) g where (
				(g.level = 'global' and g.rank >= $%d)
				or (g.level = 'project' and g.target = $%d and g.rank >= $%d)
				or (g.level = 'repository' and g.target = $%d and g.rank >= $%d)))`, n+1, n+2, n+3, n+4, n+5)
		global, onProject, onRepository := weakest(q)
		args = append(args, global, q.Project, onProject, q.Repository, onRepository)
	}
	return collect(ctx, r.db, page, scanUser, sql+` order by lower(u.name) collate "C" offset `, args...)
}

// unreachable is a rank that no permission has.
const unreachable = 99

// weakest finds the rank of the weakest permission of each level that satisfies q.
func weakest(q Requirement) (global, project, repository int) {
	of := func(candidates ...access.Permission) int {
		for _, p := range candidates {
			if p.Implies(q.Permission) {
				return p.Rank()
			}
		}
		return unreachable
	}
	global = of(access.LicensedUser, access.ProjectCreate, access.Admin, access.SysAdmin)
	if q.Readable && q.Permission.Rank() == 1 {
		global = access.LicensedUser.Rank()
	}
	return global, of(access.OnProject...), of(access.OnRepository...)
}

func noUser(name string) error { return domain.NotFound("user", "User %q does not exist.", clip(name)) }

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

func scanUser(row pgx.CollectableRow) (u User, err error) {
	err = row.Scan(&u.ID, &u.Name, &u.Slug, &u.DisplayName, &u.Email, &u.Type, &u.Active)
	return u, err
}

func one[T any](ctx context.Context, db Querier, scan pgx.RowToFunc[T], missing error, sql string, args ...any) (T, error) {
	var zero T
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return zero, fmt.Errorf("read users and permissions: %w", err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, scan)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return zero, missing
	case err != nil:
		return zero, fmt.Errorf("read users and permissions: %w", err)
	}
	return value, nil
}

// collect reads one row more than the page, to know whether there is one. The query
// ends with "offset".
func collect[T any](ctx context.Context, db Querier, page Page, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, bool, error) {
	n := len(args)
	rows, err := db.Query(ctx, sql+fmt.Sprintf(`$%d limit $%d`, n+1, n+2), append(args, page.Start, page.Limit+1)...)
	if err != nil {
		return nil, false, fmt.Errorf("list users and permissions: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, false, fmt.Errorf("list users and permissions: %w", err)
	}
	if len(list) > page.Limit {
		return list[:page.Limit], true, nil
	}
	return list, false, nil
}
