package refs

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/eventstore"
	ruled "github.com/annal-git/annal/projections/rules"
)

// Reader serves snapshots.
type Reader struct {
	pool     *pgxpool.Pool
	log      *eventstore.Log
	cache    *cache
	pasts    *pasts
	projects *ruled.Projects
}

// pastShare is the part of the memory for refs that views of the past may take.
const pastShare = 4

// NewReader makes a reader whose caches hold at most cacheBytes of refs and packs.
func NewReader(pool *pgxpool.Pool, log *eventstore.Log, cacheBytes int64) *Reader {
	return &Reader{
		pool: pool, log: log, cache: newCache(cacheBytes - cacheBytes/pastShare), pasts: newPasts(cacheBytes / pastShare),
		projects: ruled.NewProjects(pool, log),
	}
}

// Snapshot returns the repository as it is now, on every node: one indexed read
// tells whether the cached one still holds, and if not brings what changed since.
// A repository that does not exist or was deleted is a *domain.NotFoundError.
// Afterwards the log knows what was decided before the call (eventstore.Log.Unchanged).
func (r *Reader) Snapshot(ctx context.Context, id domain.RepositoryID) (*Snapshot, error) {
	snapshot, err := r.current(ctx, r.cache.entry(id))
	if err != nil {
		return nil, err
	}
	if !snapshot.exists() {
		return nil, domain.NotFound("repository", "The repository does not exist.")
	}
	return snapshot, nil
}

// DeletedOrNot is Snapshot of a repository that may be deleted.
func (r *Reader) DeletedOrNot(ctx context.Context, id domain.RepositoryID) (*Snapshot, error) {
	snapshot, err := r.current(ctx, r.cache.entry(id))
	if err == nil && snapshot.Version == 0 {
		err = domain.NotFound("repository", "The repository does not exist.")
	}
	return snapshot, err
}

// Repositories lists all repositories, deleted ones included, as far as the rows have
// followed the log.
func (r *Reader) Repositories(ctx context.Context) ([]domain.RepositoryID, error) {
	rows, err := r.pool.Query(ctx, `select repository from repository_state order by repository`)
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[domain.RepositoryID])
}

func (r *Reader) current(ctx context.Context, e *entry) (*Snapshot, error) {
	if cached, _ := e.state(); cached == nil {
		if err := r.first(ctx, e); err != nil {
			return nil, err
		}
	}
	known := r.log.KnownHead()
	cached, seen := e.state()
	tail := tailOf(cached, seen)
	if err := r.log.Fresh(ctx, tail); err != nil {
		return nil, err
	}
	fresh := cached
	if len(tail.Events) > 0 {
		var err error
		if fresh, err = cached.after(tail.Events); err != nil {
			return nil, err
		}
	}
	return r.cache.put(e, fresh, max(known, fresh.Position)), nil
}

// first loads a snapshot into the cache: one load a repository at a time, the others find
// its result, which may be older than their question.
func (r *Reader) first(ctx context.Context, e *entry) error {
	e.loading.Lock()
	defer e.loading.Unlock()
	if cached, _ := e.state(); cached != nil {
		return nil
	}
	known := r.log.KnownHead()
	// One view of the database, so that the rows and what the log holds behind them fit together.
	return pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		fresh, err := r.load(ctx, tx, e.id)
		if err == nil {
			r.cache.put(e, fresh, max(known, fresh.Position))
		}
		return err
	})
}

func tailOf(s *Snapshot, known int64) *eventstore.Tail {
	return &eventstore.Tail{Stream: domain.RepositoryStream(s.Repository), Version: s.Version, Known: known}
}

// load reads the rows, and the events that the rows have not followed yet.
func (r *Reader) load(ctx context.Context, tx pgx.Tx, id domain.RepositoryID) (*Snapshot, error) {
	rows := emptySnapshot(id)
	var all []git.Ref
	flight := &pgx.Batch{}
	flight.Queue(`select storage, position, version, head, deleted, removed, fork from repository_state where repository = $1`, id).
		QueryRow(func(row pgx.Row) error {
			err := row.Scan(&rows.Storage, &rows.Position, &rows.Version, &rows.Head, &rows.deleted, &rows.removed, &rows.Fork)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil // never made, or a moment ago
			}
			return err
		})
	flight.Queue(`select name, id, peeled from refs where repository = $1`, id).Query(func(rows pgx.Rows) error {
		var ref git.Ref
		var id, peeled []byte
		_, err := pgx.ForEachRow(rows, []any{&ref.Name, &id, &peeled}, func() error {
			ref.ID, ref.Peeled = git.ObjectID(id), git.ZeroID
			if peeled != nil {
				ref.Peeled = git.ObjectID(peeled)
			}
			all = append(all, ref)
			return nil
		})
		return err
	})
	flight.Queue(`select pack, objects, bytes, storage from packs where repository = $1 order by position, pack`, id).Query(func(found pgx.Rows) error {
		var pack git.Pack
		var id []byte
		_, err := pgx.ForEachRow(found, []any{&id, &pack.Objects, &pack.Bytes, &pack.Storage}, func() error {
			pack.ID = git.ObjectID(id)
			rows.packs.bulk = append(rows.packs.bulk, pack)
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, flight).Close(); err != nil {
		return nil, fmt.Errorf("read the repository's refs: %w", err)
	}
	rows.Refs = rows.Refs.with(all)
	tail := tailOf(rows, rows.Position)
	if err := r.log.ReadTails(ctx, tx, tail); err != nil {
		return nil, err
	}
	now, err := rows.after(tail.Events)
	if err != nil {
		return nil, err
	}
	// The rows of rules are those of the whole view, whatever the others have followed.
	own, project, err := ruled.OfRepository(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if project != 0 {
		next := *now
		next.project, next.rules, next.demands = project, own, &demands{}
		now = &next
	}
	return now, nil
}
