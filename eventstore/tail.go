package eventstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Tail is what a stream holds behind a version that somebody has seen already.
type Tail struct {
	Stream  domain.Stream
	Version int64 // the newest seen
	Known   int64 // position up to which the stream was seen; nothing older is looked at

	Events []domain.Recorded // filled in by ReadTails, in order; without metadata and personal data
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// ReadTails fills in the events of several tails in one round trip. Whoever keeps the
// state of a stream in memory asks so, before each use, whether it is still the newest:
// for a stream that has not moved it is one look into one index. An event of a type that
// is not registered is an *UnknownTypeError: who does not know it does not know the state.
func (l *Log) ReadTails(ctx context.Context, q Querier, tails ...*Tail) error {
	flight := &pgx.Batch{}
	for _, t := range tails {
		flight.Queue(`select position, version, at, id, type, body::text from log.tail($1, $2, $3)`, string(t.Stream), t.Version, t.Known).
			Query(func(rows pgx.Rows) error { return l.scanTail(rows, t) })
	}
	if err := q.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("read the newest events of a stream: %w", err)
	}
	return nil
}

func (l *Log) scanTail(rows pgx.Rows, t *Tail) error {
	var position, version int64
	var at time.Time
	var id uuid.UUID
	var name, body string
	t.Events = nil
	_, err := pgx.ForEachRow(rows, []any{&position, &version, &at, &id, &name, &body}, func() error {
		return t.add(l.options.Types, position, version, at, id, name, body)
	})
	return err
}

// add takes in the next event of the stream.
func (t *Tail) add(types *Registry, position, version int64, at time.Time, id uuid.UUID, name, body string) error {
	if expected := t.Version + int64(len(t.Events)) + 1; version != expected {
		return fmt.Errorf("stream %s has version %d where %d should be", t.Stream, version, expected)
	}
	event, err := types.Decode(name, []byte(body), nil)
	if unknown, ok := errors.AsType[*UnknownTypeError](err); ok {
		unknown.Position = position
	}
	if err != nil {
		return err
	}
	t.Events = append(t.Events, domain.Recorded{
		Position: position, Stream: t.Stream, Version: version, ID: id.String(), At: at.UTC(), Event: event,
	})
	return nil
}
