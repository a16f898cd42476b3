package lfs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/repository"
)

// Projection keeps the tables of objects, locks and settings. It implements
// eventstore.Inline.
type Projection struct{}

// Name implements eventstore.Inline.
func (Projection) Name() string { return "lfs" }

// Tables implements eventstore.Inline.
func (Projection) Tables() []string {
	return []string{"lfs_repositories", "lfs_lineage", "lfs_objects", "lfs_locks", "lfs_settings"}
}

// Needs implements eventstore.Inline.
func (Projection) Needs(eventType string) bool {
	switch eventType {
	case repository.Created{}.EventType(), repository.Forked{}.EventType(), repository.Moved{}.EventType(),
		repository.Deleted{}.EventType(), repository.Restored{}.EventType():
		return true
	}
	return strings.HasPrefix(eventType, lfs.EventTypes)
}

// ErrKnown refuses an object that the repository has already.
var ErrKnown = errors.New("the repository has this object already")

// Apply implements eventstore.Inline. It refuses with ErrKnown an object that is there,
// with a *lfs.QuotaError one that does not fit, and with a *domain.ConflictError a lock on a
// path that is locked and the release of one that has been released.
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
	case repository.Created:
		err := exec(ctx, tx, `
			insert into lfs_repositories (repository, project, storage, deleted, objects, bytes) values ($1, $2, $3, false, 0, 0)`, e.ID, e.Project, e.Storage)
		if err != nil {
			return err
		}
		return exec(ctx, tx, `insert into lfs_lineage (repository, ancestor, until) values ($1, $1, $2)`, e.ID, int64(math.MaxInt64))
	case repository.Forked:
		return exec(ctx, tx, `
			insert into lfs_lineage (repository, ancestor, until)
			select $1, ancestor, least(until, $3) from lfs_lineage where repository = $2`, e.ID, e.Origin, recorded.Position)
	case repository.Moved:
		return exec(ctx, tx, `update lfs_repositories set project = $2 where repository = $1`, e.ID, e.Project)
	case repository.Deleted:
		return exec(ctx, tx, `update lfs_repositories set deleted = true where repository = $1`, e.ID)
	case repository.Restored:
		return exec(ctx, tx, `update lfs_repositories set deleted = false, project = $2 where repository = $1`, e.ID, e.Project)
	case lfs.ObjectAdded:
		return addObject(ctx, tx, e, recorded.Position)
	case lfs.Locked:
		return exec(ctx, tx, `insert into lfs_locks (id, repository, path, owner, locked_at) values ($1, $2, $3, $4, $5)`,
			int64(e.ID), e.Repository, e.Path, e.Owner, recorded.At)
	case lfs.Unlocked:
		tag, err := tx.Exec(ctx, `delete from lfs_locks where repository = $1 and id = $2`, e.Repository, int64(e.ID))
		if err == nil && tag.RowsAffected() == 0 {
			err = domain.Conflict("", "The lock has been released already.")
		}
		return err
	case lfs.SettingsChanged:
		level, target := address(e.Target)
		return exec(ctx, tx, `
			insert into lfs_settings (level, target, off, quota) values ($1, $2, $3, $4)
			on conflict (level, target) do update set off = excluded.off, quota = excluded.quota`, level, target, e.Settings.Off, e.Settings.Quota)
	}
	return nil
}

// addObject judges quotas here, where uploads of all nodes come one by one.
func addObject(ctx context.Context, tx pgx.Tx, e lfs.ObjectAdded, position int64) error {
	tag, err := tx.Exec(ctx, `
		insert into lfs_objects (repository, oid, size, position) values ($1, $2, $3, $4) on conflict (repository, oid) do nothing`,
		e.Repository, e.OID[:], e.Size, position)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return ErrKnown
	}
	room, err := roomOf(ctx, tx, e.Repository)
	if err != nil {
		return err
	}
	if err := room.Take(e.Size); err != nil {
		return err
	}
	return exec(ctx, tx, `update lfs_repositories set objects = objects + 1, bytes = bytes + $2 where repository = $1`, e.Repository, e.Size)
}

func address(t lfs.Target) (level string, id int64) {
	if t.Repository != 0 {
		return "repository", int64(t.Repository)
	}
	return "project", int64(t.Project)
}

func exec(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	_, err := tx.Exec(ctx, sql, args...)
	return err
}

// refusal turns a broken constraint into the answer for the user.
func refusal(err error, recorded domain.Recorded) error {
	var broken *pgconn.PgError
	if errors.As(err, &broken) && broken.ConstraintName == "lfs_locks_path" {
		return domain.Conflict("path", "The path is locked already.")
	}
	return fmt.Errorf("lfs: event %d: %w", recorded.Position, err)
}
