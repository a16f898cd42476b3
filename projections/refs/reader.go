package refs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// Snapshot is a repository's refs and packs at one version of its stream.
type Snapshot struct {
	Repository domain.RepositoryID
	Storage    string // name of its folder on the shared home
	Position   int64  // of its newest event
	Version    int64  // of its stream
	Head       string // full name of the default branch
	Refs       *Set
	Packs      []git.Pack // oldest first; not to be changed
}

// Reader serves snapshots.
type Reader struct {
	pool  *pgxpool.Pool
	cache *cache
}

// NewReader makes a reader whose cache holds at most cacheBytes of refs and packs.
func NewReader(pool *pgxpool.Pool, cacheBytes int64) *Reader {
	return &Reader{pool: pool, cache: newCache(cacheBytes)}
}

// Snapshot returns the repository as it is now, on every node: one indexed read
// tells whether the cached one still holds, and if not only what changed since is
// read. A repository that does not exist or was deleted is a *domain.NotFoundError.
func (r *Reader) Snapshot(ctx context.Context, id domain.RepositoryID) (*Snapshot, error) {
	version, err := r.version(ctx, id)
	if err != nil {
		return nil, err
	}
	entry := r.cache.entry(id)
	if cached := entry.current(); cached != nil && cached.Version == version {
		return cached, nil
	}
	// One load a repository at a time: the others find its result.
	entry.loading.Lock()
	defer entry.loading.Unlock()
	cached := entry.current()
	if cached != nil && cached.Version >= version {
		return cached, nil
	}
	fresh, err := r.load(ctx, id, cached)
	if err != nil {
		return nil, err
	}
	r.cache.put(id, entry, fresh)
	return fresh, nil
}

func (r *Reader) version(ctx context.Context, id domain.RepositoryID) (version int64, err error) {
	err = r.pool.QueryRow(ctx, `select version from repository_state where repository = $1 and not deleted`, id).Scan(&version)
	return version, missing(err)
}

func missing(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.NotFound("repository", "The repository does not exist.")
	}
	if err != nil {
		return fmt.Errorf("read the repository's version: %w", err)
	}
	return nil
}

// load reads a snapshot, or what changed since a cached one.
func (r *Reader) load(ctx context.Context, id domain.RepositoryID, cached *Snapshot) (*Snapshot, error) {
	fresh := &Snapshot{Repository: id}
	since, set := int64(0), newSet()
	if cached != nil {
		since, set, fresh.Packs = cached.Version, cached.Refs, slices.Clone(cached.Packs)
	}
	var changed []git.Ref
	flight := &pgx.Batch{}
	flight.Queue(`select storage, position, version, head from repository_state where repository = $1 and not deleted`, id).
		QueryRow(func(row pgx.Row) error {
			return missing(row.Scan(&fresh.Storage, &fresh.Position, &fresh.Version, &fresh.Head))
		})
	flight.Queue(`select name, id, peeled from refs where repository = $1 and version > $2`, id, since).Query(func(rows pgx.Rows) error {
		var ref git.Ref
		var id, peeled []byte
		_, err := pgx.ForEachRow(rows, []any{&ref.Name, &id, &peeled}, func() error {
			ref.ID, ref.Peeled = git.ObjectID(id), git.ZeroID
			if peeled != nil {
				ref.Peeled = git.ObjectID(peeled)
			}
			changed = append(changed, ref)
			return nil
		})
		return err
	})
	flight.Queue(`select pack, objects, bytes from packs where repository = $1 and version > $2 order by version`, id, since).Query(func(rows pgx.Rows) error {
		var pack git.Pack
		var id []byte
		_, err := pgx.ForEachRow(rows, []any{&id, &pack.Objects, &pack.Bytes}, func() error {
			pack.ID = git.ObjectID(id)
			fresh.Packs = append(fresh.Packs, pack)
			return nil
		})
		return err
	})
	// One database snapshot for the three, so that they fit together.
	err := pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return tx.SendBatch(ctx, flight).Close()
	})
	if err != nil {
		return nil, fmt.Errorf("read the repository's refs: %w", err)
	}
	fresh.Refs = set.with(changed)
	return fresh, nil
}
