package eventstore

import (
	"context"
	"fmt"

	"github.com/annal-git/annal/domain"
)

// Search is what events are looked for by; zero fields do not matter.
type Search struct {
	Actor  domain.UserID
	Type   string // such as access.granted.v1, or what a type begins with, such as access.
	Stream domain.Stream
}

// Everything reports whether nothing in particular is looked for.
func (s Search) Everything() bool { return s == Search{} }

const found = `($2 = 0 or (e.meta ->> 'actor')::bigint = $2) and ($3 = '' or starts_with(e.type, $3)) and ($4 = '' or e.stream = $4)`

// Find reads events after a position and up to another, in order, as ReadStored does: up to limit,
// and fewer where they are large, but none only if there are none. Nothing is indexed but streams:
// it takes as long as reading that part of the log.
func (l *Log) Find(ctx context.Context, s Search, after, upTo int64, limit int) ([]Stored, error) {
	return queryStored(ctx, l.pool, pageBytes, `where e.position > $1 and `+found+` and e.position <= $5 order by e.position limit $6`,
		after, s.Actor, s.Type, string(s.Stream), upTo, limit)
}

// FindNewest is the position behind which the newest events lie that are looked for, n of them or
// all that there are.
func (l *Log) FindNewest(ctx context.Context, s Search, upTo int64, n int) (after int64, err error) {
	err = l.pool.QueryRow(ctx, `
		select coalesce(min(position) - 1, $1) from (
			select e.position from log.events e where e.position <= $1 and `+found+` order by e.position desc limit $5) newest`,
		upTo, s.Actor, s.Type, string(s.Stream), n).Scan(&after)
	if err != nil {
		return 0, fmt.Errorf("search the log: %w", err)
	}
	return after, nil
}
