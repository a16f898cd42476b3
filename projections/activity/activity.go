// Package activity answers what happened to a repository lately. It follows the log
// asynchronously and says how far it has read.
package activity

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/repository"
)

// Projection fills the list of activities. It implements projections.Projection.
type Projection struct{}

// Name implements projections.Projection.
func (Projection) Name() string { return "activity" }

// Tables implements projections.Projection.
func (Projection) Tables() []string { return []string{"repository_activity"} }

// Apply implements projections.Projection: one row for every event on a
// repository's stream, whatever its type.
func (Projection) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	flight := &pgx.Batch{}
	for _, e := range events {
		id, ok := strings.CutPrefix(string(e.Stream), "repository/")
		if !ok {
			continue
		}
		refs, forced := 0, 0
		if push, ok := e.Event.(repository.RefsUpdated); ok {
			refs = len(push.Updates)
			for _, u := range push.Updates {
				if u.Forced {
					forced++
				}
			}
		}
		flight.Queue(`
			insert into repository_activity (repository, position, at, actor, type, refs, forced)
			values ($1::text::bigint, $2, $3, $4, $5, $6, $7)`,
			id, e.Position, e.At, e.Meta.Actor, e.Event.EventType(), refs, forced)
	}
	if flight.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, flight).Close()
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
