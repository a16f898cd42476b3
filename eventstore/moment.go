package eventstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/annal-git/annal/domain"
)

// PositionAt is the position of the last event that was appended at or before a time, 0 if
// there is none. Time never goes back along the log, so the answer for a time that has
// passed does not change.
func (l *Log) PositionAt(ctx context.Context, when time.Time) (position int64, err error) {
	// Halves the log until one event is left.
	err = l.pool.QueryRow(ctx, `
		with recursive search (low, high) as (
			select 0::bigint, coalesce((select position from log.events order by position desc limit 1), 0)
			union all
			select case when e.at <= $1 then e.position else s.low end, case when e.at <= $1 then s.high else e.position - 1 end
			from search s cross join lateral (select position, at from log.events where position = (s.low + s.high + 1) / 2) e
			where s.low < s.high)
		select low from search where low = high`, when).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("look for a time in the log: %w", err)
	}
	return position, nil
}

// VersionAt is the version that a stream had right after the event at a position, 0 if it
// had not begun.
func (l *Log) VersionAt(ctx context.Context, stream domain.Stream, position int64) (version int64, err error) {
	err = l.pool.QueryRow(ctx, `
		with recursive search (low, high) as (
			select 0::bigint, coalesce((select version from log.events where stream = $1 order by version desc limit 1), 0)
			union all
			select case when e.position <= $2 then e.version else s.low end, case when e.position <= $2 then s.high else e.version - 1 end
			from search s cross join lateral (
				select position, version from log.events where stream = $1 and version = (s.low + s.high + 1) / 2) e
			where s.low < s.high)
		select low from search where low = high`, string(stream), position).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("look for the version of %s: %w", stream, err)
	}
	return version, nil
}

// FoldStream hands the events of a stream behind a version, up to another, to yield, in
// order and one at a time, however many and large they are: without metadata and personal
// parts. An event of a type that is not registered is an *UnknownTypeError. The first
// error ends it.
func (l *Log) FoldStream(ctx context.Context, stream domain.Stream, after, to int64, yield func(domain.Recorded) error) error {
	expected := after
	take := func(r row) error {
		if expected++; r.version() != expected {
			return fmt.Errorf("stream %s has version %d where %d should be", stream, r.version(), expected)
		}
		event, err := l.options.Types.decode(string(r.name()), r.body(), nil)
		if err != nil {
			return fmt.Errorf("event %d: %w", r.position(), err)
		}
		if unknown, ok := event.(domain.Unknown); ok {
			return &UnknownTypeError{Position: r.position(), Type: unknown.Type}
		}
		return yield(domain.Recorded{Position: r.position(), Stream: stream, Version: r.version(), At: r.at(), Event: event})
	}
	if err := scan(ctx, l.pool, take, math.MaxInt, `where e.stream = $1 and e.version > $2 and e.version <= $3 order by e.version`,
		string(stream), after, to); err != nil {
		return err
	}
	if expected != to {
		return fmt.Errorf("stream %s ends at version %d, before %d", stream, expected, to)
	}
	return nil
}

// FoldDecisions hands the events of all streams whose names are from one name on and before
// another, up to a position of the log, to yield: pushes left out, each stream's in order, one
// at a time, without metadata and personal parts. An event of a type that is not registered is
// an *UnknownTypeError. The first error ends it.
func (l *Log) FoldDecisions(ctx context.Context, from, before domain.Stream, position int64, yield func(domain.Recorded) error) error {
	take := func(r row) error {
		event, err := l.options.Types.decode(string(r.name()), r.body(), nil)
		if err != nil {
			return fmt.Errorf("event %d: %w", r.position(), err)
		}
		if unknown, ok := event.(domain.Unknown); ok {
			return &UnknownTypeError{Position: r.position(), Type: unknown.Type}
		}
		return yield(domain.Recorded{Position: r.position(), Version: r.version(), At: r.at(), Event: event})
	}
	return scan(ctx, l.pool, take, math.MaxInt, `
		where e.stream >= $1 and e.stream < $2 and e.type <> 'repository.refs_updated.v1' and e.position <= $3
		order by e.stream, e.version`, string(from), string(before), position)
}
