package maintenance

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/workers"
)

// readerDead is how long after it was last seen a process does not count any more.
const readerDead = 15 * time.Second

// Reader tells which of the packs that shall be removed this process does not read any
// more. It is a workers.Service.
type Reader struct {
	pool   *pgxpool.Pool
	store  *store.Store
	logger *slog.Logger
	every  time.Duration
	id     uuid.UUID
}

// Name implements workers.Service.
func (*Reader) Name() string { return "reader of packs" }

// Run implements workers.Service.
func (r *Reader) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.answer(ctx); err != nil && ctx.Err() == nil {
			r.logger.Warn("others could not be told which packs this node reads", "error", err)
		}
		workers.Pause(ctx, r.every)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if _, err := r.pool.Exec(ctx, `delete from workers.pack_readers where node = $1`, r.id); err != nil {
		r.logger.Warn("this node could not leave the table of readers", "error", err)
	}
	return nil
}

// answer says that this process is there, and which packs it has let go.
func (r *Reader) answer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readerDead/3)
	defer cancel()
	var asked []unlisted
	flight := &pgx.Batch{}
	flight.Queue(`
		insert into workers.pack_readers (node) values ($1)
		on conflict (node) do update set seen_at = clock_timestamp()`, r.id)
	flight.Queue(`delete from workers.pack_readers where seen_at < clock_timestamp() - $1::interval`, 60*readerDead)
	flight.Queue(`
		select `+unlistedColumns+` from workers.unlisted u
		where asked_at is not null and trash is null and not exists (
			select from workers.unlisted_answers a where a.repository = u.repository and a.name = u.name and a.node = $1)`, r.id).
		Query(func(rows pgx.Rows) (err error) {
			asked, err = pgx.CollectRows(rows, pgx.RowToStructByPos[unlisted])
			return err
		})
	if err := r.pool.SendBatch(ctx, flight).Close(); err != nil || len(asked) == 0 {
		return err
	}
	var repositories []domain.RepositoryID
	var names []string
	for _, u := range asked {
		if u.Pack == nil || !r.store.Reads(u.Storage, git.ObjectID(u.Pack)) {
			repositories, names = append(repositories, u.Repository), append(names, u.Name)
		}
	}
	_, err := r.pool.Exec(ctx, `
		insert into workers.unlisted_answers (repository, name, node)
		select repository, name, $1 from unnest($2::bigint[], $3::text[]) as n (repository, name)
		on conflict do nothing`, r.id, repositories, names)
	return err
}
