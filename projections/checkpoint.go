package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
)

// Checkpoints tells how far each Follower has read.
type Checkpoints struct{ pool *pgxpool.Pool }

// NewCheckpoints makes Checkpoints on a database.
func NewCheckpoints(pool *pgxpool.Pool) *Checkpoints { return &Checkpoints{pool: pool} }

// Position is how far all shards of a projection have read, 0 if one has never run.
func (c *Checkpoints) Position(ctx context.Context, name string) (position int64, err error) {
	err = c.pool.QueryRow(ctx, `
		select case when count(*) = max(r.shards) then min(p.position) else 0 end
		from projections.runners r cross join lateral (
			select position from projections.checkpoints
			where projection = r.projection and shard = r.shard order by position desc limit 1) p
		where r.projection = $1`, name).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("read the checkpoint of %s: %w", name, err)
	}
	return position, nil
}

// Status is how one shard of a Follower stands.
type Status struct {
	Name     string
	Shard    int
	Shards   int
	Position int64
	MovedAt  time.Time
	Owner    string // of its lease, "" if nobody runs it
	Term     int64
	Parked   int    // events set aside
	Error    string // of the event it stands at
	Stopped  int64  // position of the event that has stopped it, 0 if none has
}

// Statuses lists every shard of every Follower that has ever run, by name.
func (c *Checkpoints) Statuses(ctx context.Context) ([]Status, error) {
	rows, err := c.pool.Query(ctx, `
		select r.projection, r.shard, r.shards, p.position, p.moved_at, coalesce(l.owner, ''), r.term,
			(select count(*) from projections.parked k where k.projection = r.projection and k.shard = r.shard),
			coalesce(r.error, ''), case when r.attempts >= $1 and r.trying = p.position + 1 then r.trying else 0 end
		from projections.runners r
		cross join lateral (
			select position, moved_at from projections.checkpoints
			where projection = r.projection and shard = r.shard order by position desc limit 1) p
		left join workers.leases l on l.name = 'projection/' || r.projection || '/' || r.shard and l.expires > clock_timestamp()
		order by r.projection, r.shard`, maxAttempts)
	if err != nil {
		return nil, fmt.Errorf("list projections: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Status, err error) {
		err = row.Scan(&s.Name, &s.Shard, &s.Shards, &s.Position, &s.MovedAt, &s.Owner, &s.Term, &s.Parked, &s.Error, &s.Stopped)
		return s, err
	})
}

// LeaseName is the lease under which a shard of a projection is run.
func LeaseName(projection string, shard int) string {
	return fmt.Sprintf("projection/%s/%d", projection, shard)
}

// Parked is an event that a projection has set aside.
type Parked struct {
	Projection string
	Position   int64
	Stream     domain.Stream
	Attempts   int // 0: it waits behind an earlier event of its stream
	Error      string
	At         time.Time
}

// Parked lists up to limit events behind a position that a projection has set aside, in
// log order.
func (c *Checkpoints) Parked(ctx context.Context, name string, after int64, limit int) ([]Parked, error) {
	rows, err := c.pool.Query(ctx, `
		select projection, position, stream, attempts, error, parked_at from projections.parked
		where projection = $1 and position > $2 order by position limit $3`, name, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list what %s has set aside: %w", name, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Parked, err error) {
		err = row.Scan(&p.Projection, &p.Position, &p.Stream, &p.Attempts, &p.Error, &p.At)
		return p, err
	})
}
