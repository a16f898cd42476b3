// Package activity answers what happened to a repository lately. It follows the log
// asynchronously and says how far it has read.
package activity

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/projections"
)

// Projection fills the list of activities. It implements projections.Follower.
type Projection struct{}

// Name implements projections.Projection.
func (Projection) Name() string { return "activity" }

// Tables implements projections.Projection.
func (Projection) Tables() []string { return []string{"repository_activity"} }

// Needs implements projections.Projection: what an event says beyond its type is not
// needed of those that are unknown.
func (Projection) Needs(string) bool { return false }

// Policy implements projections.Follower.
func (Projection) Policy() projections.Policy { return projections.Policy{} }

// Queue implements projections.Follower: one row for every event on a repository's
// stream, whatever its type.
func (Projection) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	var repositories, positions, actors []int64
	var at []time.Time
	var types []string
	var refs, forced []int32
	for _, e := range events {
		id, ok := repositoryOf(e.Stream)
		if !ok {
			continue
		}
		moved, byForce := count(e.Event)
		repositories, positions, at = append(repositories, id), append(positions, e.Position), append(at, e.At)
		actors, types = append(actors, int64(e.Meta.Actor)), append(types, e.Event.EventType())
		refs, forced = append(refs, moved), append(forced, byForce)
	}
	if len(positions) > 0 {
		flight.Queue(`
			insert into repository_activity (repository, position, at, actor, type, refs, forced)
			select repository, position, at, actor, type, refs, forced
			from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::text[], $6::int[], $7::int[])
				as a (repository, position, at, actor, type, refs, forced)`,
			repositories, positions, at, actors, types, refs, forced)
	}
	return nil
}

func repositoryOf(stream domain.Stream) (int64, bool) {
	number, ok := strings.CutPrefix(string(stream), "repository/")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(number, 10, 64)
	return id, err == nil
}

// count tells how many refs an event has moved, and how many of them by force.
func count(event domain.Event) (refs, forced int32) {
	push, _ := event.(repository.RefsUpdated)
	for _, u := range push.Updates {
		if u.Forced {
			forced++
		}
	}
	return int32(len(push.Updates)), forced //nolint:gosec // a push is far smaller
}

// Activity is one thing that happened to a repository.
type Activity struct {
	Position int64
	At       time.Time
	Actor    domain.UserID
	Type     string // of the event
	Refs     int    // how many refs a push moved
	Forced   int    // how many of them by force
}

// Queries reads the list.
type Queries struct{ pool *pgxpool.Pool }

// NewQueries makes Queries on a database.
func NewQueries(pool *pgxpool.Pool) *Queries { return &Queries{pool: pool} }

// Latest lists up to limit activities of a repository before a position (0: from
// the newest on), newest first.
func (q *Queries) Latest(ctx context.Context, id domain.RepositoryID, before int64, limit int) ([]Activity, error) {
	rows, err := q.pool.Query(ctx, `
		select position, at, actor, type, refs, forced
		from repository_activity
		where repository = $1 and ($2 = 0 or position < $2)
		order by position desc limit $3`,
		id, before, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Activity, err error) {
		err = row.Scan(&a.Position, &a.At, &a.Actor, &a.Type, &a.Refs, &a.Forced)
		return a, err
	})
}
