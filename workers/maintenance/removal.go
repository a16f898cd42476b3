package maintenance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/faultpoint"
	"github.com/annal-git/annal/gitfs/store"
)

// Fault points of a removal, see package faultpoint.
const (
	RemovalTrashed  = "removal.trashed"
	RemovalAppended = "removal.appended"
)

// FaultPoints are the fault points of a removal, in their order.
var FaultPoints = []string{store.TrashMoved, RemovalTrashed, RemovalAppended}

// sweepDue looks through the folders of repositories that were not looked through for
// long.
func (t *tending) sweepDue(ctx context.Context) error {
	due, err := t.ids(ctx, "look for folders to sweep", `
		select repository from refs.repository_state s where `+mine+` and not deleted and not exists (
			select from workers.maintenance m where m.repository = s.repository and m.swept_at > clock_timestamp() - $3::interval)
		limit $4`, t.config.SweepEvery, perRound)
	if err != nil {
		return err
	}
	for _, id := range due {
		if err := t.sweep(ctx, id); err != nil {
			var gone *domain.NotFoundError
			if ctx.Err() != nil {
				return nil
			}
			if !errors.As(err, &gone) {
				t.config.Logger.Error("a folder of the shared home could not be swept", "repository", int64(id), "error", err)
			}
		}
	}
	return nil
}

// sweep notes which files of a repository are not listed.
func (t *tending) sweep(ctx context.Context, id domain.RepositoryID) error {
	before, err := t.config.Snapshots.Snapshot(ctx, id)
	if err != nil {
		return err
	}
	packs, staged, err := t.config.Store.Leftovers(ctx, before.Storage)
	if err != nil {
		return err
	}
	// After the folder: what has been registered by then is listed.
	after, err := t.config.Snapshots.Snapshot(ctx, id)
	if err != nil {
		return err
	}
	var names []string
	var ids [][]byte
	for _, pack := range packs {
		if !slices.ContainsFunc(after.Packs, func(p git.Pack) bool { return p.ID == pack }) {
			names, ids = append(names, store.PackName(pack)), append(ids, pack[:])
		}
	}
	for _, name := range staged {
		names, ids = append(names, name), append(ids, nil)
	}
	return pgx.BeginFunc(ctx, t.config.Pool, func(tx pgx.Tx) error {
		flight := &pgx.Batch{}
		flight.Queue(`
			insert into workers.unlisted (repository, name, storage, pack, superseded)
			select $1, name, $2, pack, false from unnest($3::text[], $4::bytea[]) as n (name, pack)
			on conflict (repository, name) do nothing`, id, before.Storage, names, ids)
		// What is listed by now, or has gone by itself.
		flight.Queue(`delete from workers.unlisted where repository = $1 and trash is null and not name = any($2)`, id, append([]string{}, names...))
		flight.Queue(`
			insert into workers.maintenance (repository, swept_at) values ($1, clock_timestamp())
			on conflict (repository) do update set swept_at = excluded.swept_at`, id)
		return tx.SendBatch(ctx, flight).Close()
	})
}

// unlisted is a row of workers.unlisted.
type unlisted struct {
	Repository domain.RepositoryID
	Name       string
	Storage    string
	Pack       []byte
	Trash      *string
}

const unlistedColumns = `repository, name, storage, pack, trash`

func (t *tending) unlisted(ctx context.Context, query string, args ...any) ([]unlisted, error) {
	rows, err := t.config.Pool.Query(ctx, query, append([]any{t.shard, shards}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("look for files to remove: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[unlisted])
	if err != nil {
		return nil, fmt.Errorf("look for files to remove: %w", err)
	}
	return list, nil
}

// removeDue takes unlisted files a step further.
func (t *tending) removeDue(ctx context.Context) error {
	_, err := t.config.Pool.Exec(ctx, `
		with asked as (
			update workers.unlisted set asked_at = clock_timestamp()
			where `+mine+` and asked_at is null and trash is null
			and seen_at < clock_timestamp() - case when superseded then $3::interval else $4::interval end
			returning repository, name)
		delete from workers.unlisted_answers a using asked where a.repository = asked.repository and a.name = asked.name`,
		t.shard, shards, t.config.Readers, t.config.Orphans)
	if err != nil {
		return fmt.Errorf("ask who reads files to remove: %w", err)
	}
	return errors.Join(
		t.pages(ctx, t.removeAnswered),
		t.pages(ctx, t.emptyTrash))
}

// pages takes a step until fewer files than fit into one are left for it: a busy repository
// leaves more packs behind in a round than fit. It ends at the first failure, which would
// only come again.
func (t *tending) pages(ctx context.Context, step func(ctx context.Context) (files int, failed bool, err error)) error {
	for ctx.Err() == nil {
		files, failed, err := step(ctx)
		if err != nil || failed || files < perRemoval {
			return err
		}
	}
	return ctx.Err()
}

// perRemoval bounds how many files are taken up at a time, and so how many packs one event
// names.
const perRemoval = 500

// removeAnswered moves the files to the trash that nobody reads.
func (t *tending) removeAnswered(ctx context.Context) (files int, failed bool, err error) {
	answered, err := t.unlisted(ctx, `
		select `+unlistedColumns+` from workers.unlisted u
		where `+mine+` and asked_at is not null and removed_at is null
		and (trash is not null or not exists (
			select from workers.pack_readers r where r.seen_at > clock_timestamp() - $3::interval and not exists (
				select from workers.unlisted_answers a where a.repository = u.repository and a.name = u.name and a.node = r.node)))
		order by asked_at limit $4`, readerDead, perRemoval)
	if err != nil {
		return 0, false, err
	}
	ofOne := map[domain.RepositoryID][]unlisted{}
	for _, u := range answered {
		ofOne[u.Repository] = append(ofOne[u.Repository], u)
	}
	for id, files := range ofOne {
		if err := t.remove(ctx, id, files); err != nil {
			failed = true
			if ctx.Err() == nil {
				t.config.Logger.Error("files could not be moved to the trash", "repository", int64(id), "error", err)
			}
		}
	}
	return len(answered), failed, nil
}

// emptyTrash deletes the files that have been in the trash for long enough.
func (t *tending) emptyTrash(ctx context.Context) (files int, failed bool, err error) {
	old, err := t.unlisted(ctx, `
		select `+unlistedColumns+` from workers.unlisted where `+mine+` and removed_at < clock_timestamp() - $3::interval
		order by removed_at limit $4`, t.config.Trash, perRemoval)
	if err != nil {
		return 0, false, err
	}
	for _, u := range old {
		err := t.config.Store.EmptyTrash(ctx, u.Storage, *u.Trash)
		if err == nil {
			err = t.forget(ctx, u)
		}
		if err != nil {
			failed = true
			if ctx.Err() == nil {
				t.config.Logger.Error("the trash could not be emptied", "repository", int64(u.Repository), "file", u.Name, "error", err)
			}
		}
	}
	return len(old), failed, nil
}

// remove moves files of a repository to the trash, and back if the log says that they are
// needed. Of all packs the log is told at once: each event sends the pushes under way back
// to look for their packs.
func (t *tending) remove(ctx context.Context, id domain.RepositoryID, files []unlisted) error {
	var errs []error
	var aside, kept []unlisted // in the trash: to be declared gone, and to be put back
	var packs []git.ObjectID
	for _, u := range files {
		listed, err := t.putAside(ctx, &u)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", u.Name, err))
		case u.Trash == nil: // it stays where it is
		case listed:
			kept = append(kept, u)
		default:
			aside = append(aside, u)
			if u.Pack != nil {
				packs = append(packs, git.ObjectID(u.Pack))
			}
		}
	}
	faultpoint.Reach(RemovalTrashed)
	gone, err := t.declareGone(ctx, id, packs)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	faultpoint.Reach(RemovalAppended)
	for _, u := range aside {
		if u.Pack != nil && !slices.Contains(gone, git.ObjectID(u.Pack)) {
			kept = append(kept, u)
			continue
		}
		t.metrics.removed.Inc()
		_, err = t.config.Pool.Exec(ctx, `update workers.unlisted set removed_at = clock_timestamp() where repository = $1 and name = $2`, u.Repository, u.Name)
		errs = append(errs, err)
	}
	for _, u := range kept {
		t.metrics.restored.Inc()
		err := t.config.Store.Restore(ctx, u.Storage, u.Name, *u.Trash)
		if err == nil {
			err = t.forget(ctx, u)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// putAside moves a file to the trash, unless it is listed. One that is and has been moved
// before keeps its Trash.
func (t *tending) putAside(ctx context.Context, u *unlisted) (listed bool, err error) {
	listed, err = t.listed(ctx, *u)
	switch {
	case err != nil:
		return false, err
	case listed && u.Trash == nil:
		return true, t.forget(ctx, *u)
	case listed:
		return true, nil
	}
	if u.Trash == nil {
		folder := uuid.Must(uuid.NewV7()).String()
		// Noted before anything is moved, so that whoever comes next finds it.
		_, err := t.config.Pool.Exec(ctx, `update workers.unlisted set trash = $3 where repository = $1 and name = $2`, u.Repository, u.Name, folder)
		if err != nil {
			return false, err
		}
		u.Trash = &folder
	}
	return false, t.config.Store.Trash(ctx, u.Storage, u.Name, *u.Trash)
}

// settle is how far behind the log the tables of refs may be when packs are removed: at
// most half of the time for which superseded ones stay.
const settle = time.Minute

// listed reports whether any repository lists a pack, a fork of this one or itself, or might
// without being known to.
func (t *tending) listed(ctx context.Context, u unlisted) (listed bool, err error) {
	if u.Pack == nil {
		return false, nil
	}
	// A fork that was made a moment ago may not be in the tables yet, but it has taken packs
	// that were listed then, long after those that are removed now. One whose stream is set
	// aside, or tables that stand still, would hide it for ever.
	settled, err := t.config.Log.PositionAt(ctx, time.Now().Add(-min(settle, t.config.Readers/2)))
	if err != nil {
		return false, err
	}
	err = t.config.Pool.QueryRow(ctx, `
		select exists (select from refs.packs where pack = $1)
			or exists (select from projections.parked where projection = 'refs')
			or coalesce((select min(position) from projections.checkpoints where projection = 'refs'), 0) < $2`, u.Pack, settled).Scan(&listed)
	return listed, err
}

// declareGone has the log say that packs are gone, and returns which: those that the
// repository does not list. One that is deleted keeps its files.
func (t *tending) declareGone(ctx context.Context, id domain.RepositoryID, packs []git.ObjectID) (gone []git.ObjectID, err error) {
	if len(packs) == 0 {
		return nil, nil
	}
	appended, err := t.config.Log.Append(ctx, eventstore.Proposal{
		Stream: domain.RepositoryStream(id), Claim: repository.RemovePacks{Packs: packs}, Meta: domain.Metadata{Auth: "system"},
	})
	var deleted *domain.NotFoundError
	if errors.As(err, &deleted) {
		return nil, nil
	}
	for _, e := range appended.Events {
		if removed, ok := e.Event.(repository.PacksRemoved); ok {
			gone = append(gone, removed.Packs...)
		}
	}
	return gone, err
}

func (t *tending) forget(ctx context.Context, u unlisted) error {
	flight := &pgx.Batch{}
	flight.Queue(`delete from workers.unlisted_answers where repository = $1 and name = $2`, u.Repository, u.Name)
	flight.Queue(`delete from workers.unlisted where repository = $1 and name = $2`, u.Repository, u.Name)
	return t.config.Pool.SendBatch(ctx, flight).Close()
}
