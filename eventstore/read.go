package eventstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

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
// megabytes. To find that out without asking for much more, it is read in parts, the
// first of them small.
const (
	pageBytes = 4 << 20
	firstPart = 100
)

// ReadStored reads events after a position, in order: up to limit, and fewer where they
// are large. It returns none only where the log ends. Personal parts are left out: the
// events decode as if these had been erased.
func (l *Log) ReadStored(ctx context.Context, after int64, limit int) (events []Stored, err error) {
	size, count := 0, firstPart
	for len(events) < limit && size < pageBytes {
		count = min(count, limit-len(events))
		before := len(events)
		if before > 0 {
			events = slices.Grow(events, count)
		}
		events, err = queryEnvelopes(ctx, l.pool, events, pageBytes-size, `where e.position > $1 order by e.position limit $2`, after, count)
		if err != nil {
			return nil, err
		}
		for _, e := range events[before:] {
			if after++; e.Position != after {
				return nil, fmt.Errorf("the log has a gap: event %d is missing", after)
			}
			size += e.size()
		}
		if len(events)-before < count && size < pageBytes {
			break // that was the end of the log
		}
		// The next part is large if the events are small: at most a fourth of what
		// there is room for, should they go on like this.
		count = max(firstPart, (pageBytes-size)/4*len(events)/(size+1))
	}
	return events, nil
}

// ReadAll is ReadStored with the events decoded, and with their personal parts.
func (l *Log) ReadAll(ctx context.Context, after int64, limit int) ([]domain.Recorded, error) {
	rows, err := l.ReadStored(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	if err := addPersonal(ctx, l.pool, rows); err != nil {
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

// ReadEvent reads one event with its personal parts; ok is false if the log does not
// reach that far.
func (l *Log) ReadEvent(ctx context.Context, position int64) (event Stored, ok bool, err error) {
	rows, err := queryStored(ctx, l.pool, whole, `where e.position = $1`, position)
	if err != nil || len(rows) == 0 {
		return Stored{}, false, err
	}
	return rows[0], true, nil
}
