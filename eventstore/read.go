package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Stored is an event as the log keeps it, before decoding: what exports and
// operators read even when its type is unknown.
type Stored struct {
	Position int64
	Stream   domain.Stream
	Version  int64
	ID       string
	Type     string
	At       time.Time
	Body     json.RawMessage // canonical, as stored
	Meta     json.RawMessage // canonical, as stored

	eventPersonal  []byte // nil if there is none, or it was erased
	originPersonal []byte
}

// Decode makes the event of a stored one. Unknown types are *UnknownTypeError.
func (s Stored) Decode(types *Registry) (domain.Recorded, error) {
	event, err := types.Decode(s.Type, s.Body, s.eventPersonal)
	if err != nil {
		var unknown *UnknownTypeError
		if errors.As(err, &unknown) {
			unknown.Position = s.Position
			return domain.Recorded{}, unknown
		}
		return domain.Recorded{}, fmt.Errorf("event %d: %w", s.Position, err)
	}
	meta, err := s.metadata()
	if err != nil {
		return domain.Recorded{}, fmt.Errorf("metadata of event %d: %w", s.Position, err)
	}
	return domain.Recorded{
		Position: s.Position, Stream: s.Stream, Version: s.Version, ID: s.ID, At: s.At, Event: event, Meta: meta,
	}, nil
}

func (s Stored) metadata() (domain.Metadata, error) {
	var stored storedMeta
	if err := json.Unmarshal(s.Meta, &stored); err != nil {
		return domain.Metadata{}, err
	}
	var from origin
	if s.originPersonal != nil {
		if err := json.Unmarshal(s.originPersonal, &from); err != nil {
			return domain.Metadata{}, err
		}
	}
	return domain.Metadata{
		Actor: stored.Actor, Auth: stored.Auth, Address: from.Address, RequestID: stored.RequestID,
		Correlation: stored.Correlation, Causation: stored.Causation, Node: stored.Node,
	}, nil
}

// Head is the position of the newest event, 0 for an empty log.
func (l *Log) Head(ctx context.Context) (int64, error) {
	var head int64
	err := l.pool.QueryRow(ctx, headQuery).Scan(&head)
	return head, err
}

// HeadIn is Head as a transaction sees it.
func (l *Log) HeadIn(ctx context.Context, tx pgx.Tx) (head int64, err error) {
	err = tx.QueryRow(ctx, headQuery).Scan(&head)
	return head, err
}

const headQuery = `select coalesce((select position from log.events order by position desc limit 1), 0)`

// A page of the log is full at pageBytes, for a single push can be an event of
// megabytes. To find that out without asking for much more, it is read in parts.
const (
	pageBytes    = 4 << 20
	eventsAtOnce = 100
)

// ReadStored reads events after a position, in order: up to limit, and fewer where they
// are large. It returns none only where the log ends.
func (l *Log) ReadStored(ctx context.Context, after int64, limit int) (events []Stored, err error) {
	for size := 0; len(events) < limit && size < pageBytes; {
		count := min(eventsAtOnce, limit-len(events))
		part, err := queryStored(ctx, l.pool, pageBytes-size, `where e.position > $1 order by e.position limit $2`, after, count)
		if err != nil || len(part) == 0 {
			return events, err
		}
		for _, e := range part {
			if after++; e.Position != after {
				return nil, fmt.Errorf("the log has a gap: event %d is missing", after)
			}
			size += e.size()
		}
		events = append(events, part...)
		if len(part) < count && size < pageBytes {
			break // that was the end of the log
		}
	}
	return events, nil
}

// ReadAll is ReadStored with the events decoded.
func (l *Log) ReadAll(ctx context.Context, after int64, limit int) ([]domain.Recorded, error) {
	rows, err := l.ReadStored(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	return decodeAll(l.options.Types, rows)
}

// ReadStream reads up to limit events of one stream after a version, in order.
func (l *Log) ReadStream(ctx context.Context, stream domain.Stream, afterVersion int64, limit int) ([]domain.Recorded, error) {
	rows, err := queryStored(ctx, l.pool, whole, `where e.stream = $1 and e.version > $2 order by e.version limit $3`,
		string(stream), afterVersion, limit)
	if err != nil {
		return nil, err
	}
	return decodeAll(l.options.Types, rows)
}

// ReadEvent reads one event; ok is false if the log does not reach that far.
func (l *Log) ReadEvent(ctx context.Context, position int64) (event Stored, ok bool, err error) {
	rows, err := queryStored(ctx, l.pool, whole, `where e.position = $1`, position)
	if err != nil || len(rows) == 0 {
		return Stored{}, false, err
	}
	return rows[0], true, nil
}

func decodeAll(types *Registry, rows []Stored) ([]domain.Recorded, error) {
	events := make([]domain.Recorded, 0, len(rows))
	for _, row := range rows {
		event, err := row.Decode(types)
		if err != nil {
			return events, err
		}
		events = append(events, event)
	}
	return events, nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// queryStored reads events with their personal parts, and no more once they have
// reached a size in bytes; condition is one of this package's own texts.
func queryStored(ctx context.Context, q querier, enough int, condition string, args ...any) (stored []Stored, err error) {
	rows, err := q.Query(ctx, `
		select e.position, e.stream, e.version, e.id, e.type, e.at, e.body::text, e.meta::text, p.data, o.data
		from log.events e
		left join log.personal p on p.position = e.position and p.part = 'event'
		left join log.personal o on o.position = e.position and o.part = 'origin'
		`+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer rows.Close()
	for size := 0; size < enough && rows.Next(); {
		var s Stored
		var stream, body, meta string
		var id uuid.UUID
		if err := rows.Scan(&s.Position, &stream, &s.Version, &id, &s.Type, &s.At, &body, &meta, &s.eventPersonal, &s.originPersonal); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		s.Stream, s.ID, s.Body, s.Meta = domain.Stream(stream), id.String(), json.RawMessage(body), json.RawMessage(meta)
		s.At = s.At.UTC()
		stored = append(stored, s)
		size += s.size()
	}
	rows.Close() // reads over what was too much
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return stored, nil
}

// whole is a size that no result reaches: whoever asks needs all of it, and knows that
// it is not large.
const whole = math.MaxInt

// size is about how many bytes of memory s takes.
func (s Stored) size() int {
	return len(s.Body) + len(s.Meta) + len(s.eventPersonal) + len(s.originPersonal)
}
