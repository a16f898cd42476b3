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

// Projection fills the list of activities. It implements projections.Follower and
// projections.Folder.
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
	var rows rows
	rows.Add(events)
	if len(rows.positions) > 0 {
		flight.Queue(`
			insert into repository_activity (repository, position, at, actor, type, refs, forced)
			select repository, position, at, actor, type, refs, forced
			from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::text[], $6::int[], $7::int[])
				as a (repository, position, at, actor, type, refs, forced)`,
			rows.repositories, rows.positions, rows.at, rows.actors, rows.types, rows.refs, rows.forced)
	}
	return nil
}

// NewFold implements projections.Folder.
func (Projection) NewFold() projections.Fold { return &rows{} }

// Independent implements projections.Folder.
func (Projection) Independent() bool { return true }

// rows are activities, column by column. They implement projections.Fold.
type rows struct {
	repositories, positions, actors []int64
	at                              []time.Time
	types                           []string
	refs, forced                    []int32
}

// Add implements projections.Fold.
func (r *rows) Add(events []domain.Recorded) {
	for _, e := range events {
		id, ok := repositoryOf(e.Stream)
		if !ok || maintains(e.Event) {
			continue
		}
		moved, byForce := count(e.Event)
		r.repositories, r.positions, r.at = append(r.repositories, id), append(r.positions, e.Position), append(r.at, e.At)
		r.actors, r.types = append(r.actors, int64(e.Meta.Actor)), append(r.types, e.Event.EventType())
		r.refs, r.forced = append(r.refs, moved), append(r.forced, byForce)
	}
}

// Merge implements projections.Fold; rows are independent.
func (*rows) Merge(projections.Fold) {}

// Bytes implements projections.Fold.
func (r *rows) Bytes() int { return 80 * len(r.positions) }

// Rows implements projections.Fold.
func (r *rows) Rows(string) ([]string, pgx.CopyFromSource) {
	return []string{"repository", "position", "at", "actor", "type", "refs", "forced"},
		pgx.CopyFromSlice(len(r.positions), func(i int) ([]any, error) {
			return []any{r.repositories[i], r.positions[i], r.at[i], r.actors[i], r.types[i], r.refs[i], r.forced[i]}, nil
		})
}

func repositoryOf(stream domain.Stream) (int64, bool) {
	number, ok := strings.CutPrefix(string(stream), "repository/")
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(number, 10, 64)
	return id, err == nil
}

// maintains reports whether an event is about how objects are stored: nobody's activity.
func maintains(event domain.Event) bool {
	switch event.(type) {
	case repository.PacksCombined, repository.PacksRemoved:
		return true
	}
	return false
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
