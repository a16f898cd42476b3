// Package lfs keeps which Git LFS objects and locks repositories have, in the transaction
// that appends their events.
package lfs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/lfs"
)

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Reader asks for objects, locks and settings. It is safe for concurrent use.
type Reader struct{ db Querier }

// NewReader makes a Reader on a pool made by eventstore.Connect.
func NewReader(db Querier) *Reader { return &Reader{db} }

// Object is an object that a repository has.
type Object struct {
	Size    int64  // bytes
	Storage string // folder of the repository that it was uploaded to, which may be one that this one was forked from
}

// Objects finds those that a repository has.
func (r *Reader) Objects(ctx context.Context, id domain.RepositoryID, oids []lfs.OID) (map[lfs.OID]Object, error) {
	names := make([][]byte, len(oids))
	for i := range oids {
		names[i] = oids[i][:]
	}
	rows, err := r.db.Query(ctx, `
		select o.oid, o.size, s.storage from lfs_lineage l
		join lfs_objects o on o.repository = l.ancestor and o.position <= l.until
		join lfs_repositories s on s.repository = o.repository
		where l.repository = $1 and o.oid = any($2)`, id, names)
	if err != nil {
		return nil, fmt.Errorf("look for LFS objects: %w", err)
	}
	found := make(map[lfs.OID]Object, len(oids))
	var oid []byte
	var o Object
	if _, err := pgx.ForEachRow(rows, []any{&oid, &o.Size, &o.Storage}, func() error {
		found[lfs.OID(oid)] = o
		return nil
	}); err != nil {
		return nil, fmt.Errorf("look for LFS objects: %w", err)
	}
	return found, nil
}

// Repository is what a repository has and may have.
type Repository struct {
	Storage string // its own folder
	Objects int64  // uploaded to it
	lfs.Settings
	lfs.Room
}

const repositoryQuery = `
	select r.storage, r.objects, coalesce(s.off, false), coalesce(s.quota, 0), r.bytes, coalesce(p.quota, 0),
		case when p.quota > 0 then (select sum(o.bytes) from lfs_repositories o where o.project = r.project and not o.deleted)::bigint else 0 end
	from lfs_repositories r
	left join lfs_settings s on s.level = 'repository' and s.target = r.repository
	left join lfs_settings p on p.level = 'project' and p.target = r.project
	where r.repository = $1`

// Repository finds a repository's. The error is a *domain.NotFoundError if there is none.
func (r *Reader) Repository(ctx context.Context, id domain.RepositoryID) (Repository, error) {
	return one(ctx, r.db, func(row pgx.CollectableRow) (v Repository, err error) {
		err = row.Scan(&v.Storage, &v.Objects, &v.Off, &v.Settings.Quota, &v.Used, &v.ProjectQuota, &v.ProjectUsed)
		v.Room.Quota = v.Settings.Quota
		return v, err
	}, domain.NotFound("repository", "The repository does not exist."), repositoryQuery, id)
}

func roomOf(ctx context.Context, db Querier, id domain.RepositoryID) (lfs.Room, error) {
	found, err := NewReader(db).Repository(ctx, id)
	return found.Room, err
}

// Project is what the repositories of a project have together, and may have.
type Project struct {
	Objects, Bytes int64
	lfs.Settings
}

// Project finds a project's.
func (r *Reader) Project(ctx context.Context, id domain.ProjectID) (Project, error) {
	return one(ctx, r.db, func(row pgx.CollectableRow) (v Project, err error) {
		return v, row.Scan(&v.Objects, &v.Bytes, &v.Quota)
	}, nil, `
		select coalesce(sum(objects), 0)::bigint, coalesce(sum(bytes), 0)::bigint,
			coalesce((select quota from lfs_settings where level = 'project' and target = $1), 0)
		from lfs_repositories where project = $1 and not deleted`, id)
}

// Lock is a lock and who has it.
type Lock struct {
	lfs.Lock
	At        time.Time
	OwnerName string // as people know him; "" for one that was erased
}

// LockFilter narrows a list of locks; zero fields do not.
type LockFilter struct {
	ID    lfs.LockID
	Path  string
	After lfs.LockID // those with higher numbers
	Limit int        // at most so many; it must be given
}

// Locks lists locks of a repository by their numbers.
func (r *Reader) Locks(ctx context.Context, id domain.RepositoryID, f LockFilter) ([]Lock, error) {
	rows, err := r.db.Query(ctx, `
		select l.id, l.repository, l.path, l.owner, l.locked_at, coalesce(nullif(u.display_name, ''), u.name, '')
		from lfs_locks l left join users u on u.id = l.owner
		where l.repository = $1 and l.id > $2 and ($3 = 0 or l.id = $3) and ($4 = '' or l.path = $4) order by l.id limit $5`,
		id, int64(f.After), int64(f.ID), f.Path, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list LFS locks: %w", err)
	}
	locks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Lock, err error) {
		return l, row.Scan(&l.ID, &l.Repository, &l.Path, &l.Owner, &l.At, &l.OwnerName)
	})
	if err != nil {
		return nil, fmt.Errorf("list LFS locks: %w", err)
	}
	return locks, nil
}

// CountLocks is how many locks a repository has.
func (r *Reader) CountLocks(ctx context.Context, id domain.RepositoryID) (int, error) {
	return one(ctx, r.db, pgx.RowTo[int], nil, `select count(*) from lfs_locks where repository = $1`, id)
}

// one reads one row; missing is the error if there is none.
func one[T any](ctx context.Context, db Querier, scan pgx.RowToFunc[T], missing error, sql string, args ...any) (v T, err error) {
	rows, err := db.Query(ctx, sql, args...)
	if err == nil {
		v, err = pgx.CollectExactlyOneRow(rows, scan)
	}
	if errors.Is(err, pgx.ErrNoRows) && missing != nil {
		return v, missing
	}
	if err != nil {
		return v, fmt.Errorf("read Git LFS tables: %w", err)
	}
	return v, nil
}
