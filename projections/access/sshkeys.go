package access

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

// SSHKey is an SSH key that has not been removed. It may have expired.
type SSHKey struct {
	ID        account.SSHKeyID
	User      domain.UserID
	Algorithm string // such as RSA
	Bits      int
	Label     string
	Key       []byte // in the form of RFC 4253, section 6.6
	Created   time.Time
	Expires   *time.Time // nil: never
	Used      *time.Time // when it last opened a connection, to the minute; nil: never
}

// Expired reports whether the key has ended by now.
func (k SSHKey) Expired(now time.Time) bool { return k.Expires != nil && !now.Before(*k.Expires) }

func addSSHKey(ctx context.Context, tx pgx.Tx, e account.SSHKeyAdded, at time.Time) error {
	if len(e.Details.Key) == 0 {
		return nil // erased: the key opens nothing any more
	}
	fingerprint := sha256.Sum256(e.Details.Key)
	return exec(ctx, tx, `
		insert into ssh_keys (id, user_id, fingerprint, key, algorithm, bits, label, created_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		int64(e.ID), e.User, fingerprint[:], e.Details.Key, e.Algorithm, e.Bits, e.Details.Label, at, e.Expires)
}

// removeSSHKey refuses to take an access key away that somebody has just been given access by.
func removeSSHKey(ctx context.Context, tx pgx.Tx, e account.SSHKeyRemoved) error {
	var granted bool
	err := tx.QueryRow(ctx, `
		select exists (select from users u join grants g on g.user_id = u.id where u.id = $1 and u.type = 'KEY')`, e.User).Scan(&granted)
	if err != nil {
		return err
	}
	if granted {
		return domain.Conflict("", "The access key is in use.")
	}
	if err := exec(ctx, tx, `delete from access.ssh_key_uses where key_id = $1`, int64(e.ID)); err != nil {
		return err
	}
	return exec(ctx, tx, `delete from ssh_keys where id = $1`, int64(e.ID))
}

func eraseSSHKeys(ctx context.Context, tx pgx.Tx, user domain.UserID) error {
	err := exec(ctx, tx, `delete from access.ssh_key_uses where key_id in (select id from ssh_keys where user_id = $1)`, user)
	if err != nil {
		return err
	}
	return exec(ctx, tx, `delete from ssh_keys where user_id = $1`, user)
}

const sshKeyColumns = `k.id, k.user_id, k.algorithm, k.bits, k.label, k.key, k.created_at, k.expires_at, x.used_at`

const sshKeyTables = `ssh_keys k left join ssh_key_uses x on x.key_id = k.id`

// SSHKeyByKey finds a key by what it is, and whose it is; the password is left out. The
// error is a *domain.NotFoundError if there is none.
func (r *Reader) SSHKeyByKey(ctx context.Context, key []byte) (Login, SSHKey, error) {
	type both struct {
		Login
		SSHKey
	}
	fingerprint := sha256.Sum256(key)
	found, err := one(ctx, r.db, func(row pgx.CollectableRow) (b both, err error) {
		u, k := &b.Login, &b.SSHKey
		err = row.Scan(&u.ID, &u.Name, &u.Slug, &u.DisplayName, &u.Email, &u.Type, &u.Active, &u.Licensed,
			&k.ID, &k.User, &k.Algorithm, &k.Bits, &k.Label, &k.Key, &k.Created, &k.Expires, &k.Used)
		return b, err
	}, noSSHKey(), `
		select `+userColumns+`, `+licensedColumn+`, `+sshKeyColumns+` from `+sshKeyTables+` join users u on u.id = k.user_id
		where k.fingerprint = $1`, fingerprint[:])
	return found.Login, found.SSHKey, err
}

// SSHKeysOfEmail lists the keys, as SSH writes them (RFC 4253, section 6.6), of the active
// people who have an e-mail address, whatever its case: those that have not expired.
func (r *Reader) SSHKeysOfEmail(ctx context.Context, email string) ([][]byte, error) {
	rows, err := r.db.Query(ctx, `
		select k.key from ssh_keys k join users u on u.id = k.user_id
		where lower(u.email) = lower($1) and u.email <> '' and u.active and not `+holder+`
		and (k.expires_at is null or k.expires_at > clock_timestamp()) order by k.id`, email)
	if err != nil {
		return nil, fmt.Errorf("read SSH keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("read SSH keys: %w", err)
	}
	return keys, nil
}

// SSHKey finds a person's key by its number. The error is a *domain.NotFoundError if there
// is none, and for an access key.
func (r *Reader) SSHKey(ctx context.Context, id account.SSHKeyID) (SSHKey, error) {
	return one(ctx, r.db, scanSSHKey, noSSHKey(), `
		select `+sshKeyColumns+` from `+sshKeyTables+` join users u on u.id = k.user_id where k.id = $1 and u.type <> 'KEY'`, int64(id))
}

// SSHKeyEnds says when a user's key ends, nil if never; it may be an access key. The error is
// a *domain.NotFoundError if he has none of that number.
func (r *Reader) SSHKeyEnds(ctx context.Context, user domain.UserID, id account.SSHKeyID) (*time.Time, error) {
	return one(ctx, r.db, pgx.RowTo[*time.Time], noSSHKey(), `select expires_at from ssh_keys where user_id = $1 and id = $2`, user, int64(id))
}

// SSHKeys lists a user's keys, the oldest first. more says that the list goes on behind
// the page.
func (r *Reader) SSHKeys(ctx context.Context, user domain.UserID, page Page) (list []SSHKey, more bool, err error) {
	return collect(ctx, r.db, page, scanSSHKey, `select `+sshKeyColumns+` from `+sshKeyTables+` where k.user_id = $1 order by k.id offset `, user)
}

// AccessKey is an SSH key and what it gives on one project or repository.
type AccessKey struct {
	SSHKey
	Permission access.Permission
	Target     access.Target
}

const accessKeyQuery = `select ` + sshKeyColumns + `, g.permission, g.level, g.target from ` + sshKeyTables + `
	join users u on u.id = k.user_id and u.type = 'KEY' join grants g on g.user_id = k.user_id `

// AccessKey finds what an access key gives on a target. The error is a
// *domain.NotFoundError if it gives nothing there.
func (r *Reader) AccessKey(ctx context.Context, id account.SSHKeyID, target access.Target) (AccessKey, error) {
	level, on := address(target)
	return one(ctx, r.db, scanAccessKey, noSSHKey(), accessKeyQuery+`where k.id = $1 and g.level = $2 and g.target = $3`, int64(id), level, on)
}

// AccessKeyUses lists what an access key gives, level by level; nothing for a number that is
// none.
func (r *Reader) AccessKeyUses(ctx context.Context, id account.SSHKeyID) ([]AccessKey, error) {
	rows, err := r.db.Query(ctx, accessKeyQuery+`where k.id = $1 order by g.level, g.target`, int64(id))
	if err != nil {
		return nil, fmt.Errorf("list uses of an access key: %w", err)
	}
	uses, err := pgx.CollectRows(rows, scanAccessKey)
	if err != nil {
		return nil, fmt.Errorf("list uses of an access key: %w", err)
	}
	return uses, nil
}

// AccessKeyFilter narrows a list of access keys.
type AccessKeyFilter struct {
	Label   string // what the label begins with, whatever its case
	Minimum access.Permission
	Within  domain.ProjectID // lists keys of this project too
}

// AccessKeys lists the access keys of a target, the oldest first. more says that the list
// goes on behind the page.
func (r *Reader) AccessKeys(ctx context.Context, target access.Target, f AccessKeyFilter, page Page) (list []AccessKey, more bool, err error) {
	level, on := address(target)
	return collect(ctx, r.db, page, scanAccessKey, accessKeyQuery+`
		where ((g.level = $1 and g.target = $2) or (g.level = 'project' and g.target = $3))
		and starts_with(lower(k.label), lower($4)) and g.rank >= $5
		order by k.id, g.level offset `, level, on, f.Within, f.Label, f.Minimum.Rank())
}

func noSSHKey() error { return domain.NotFound("sshKey", "The SSH key does not exist.") }

func scanSSHKey(row pgx.CollectableRow) (k SSHKey, err error) {
	err = row.Scan(&k.ID, &k.User, &k.Algorithm, &k.Bits, &k.Label, &k.Key, &k.Created, &k.Expires, &k.Used)
	return k, err
}

func scanAccessKey(row pgx.CollectableRow) (k AccessKey, err error) {
	var level access.Level
	var on int64
	err = row.Scan(&k.ID, &k.User, &k.Algorithm, &k.Bits, &k.Label, &k.Key, &k.Created, &k.Expires, &k.Used, &k.Permission, &level, &on)
	if level == access.Project {
		k.Target.Project = domain.ProjectID(on)
	} else {
		k.Target.Repository = domain.RepositoryID(on)
	}
	return k, err
}
