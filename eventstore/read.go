package eventstore

import (
	"context"
	"fmt"

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
func (l *Log) ReadStored(ctx context.Context, after int64, limit int) ([]Stored, error) {
	var p storedPage
	err := l.readPage(ctx, after, limit, &p)
	return p.events, err
}

// ReadAll is ReadStored with the events decoded, and with their personal parts.
func (l *Log) ReadAll(ctx context.Context, after int64, limit int) ([]domain.Recorded, error) {
	p := recordedPage{types: l.options.Types}
	if err := l.readPage(ctx, after, limit, &p); err != nil {
		return nil, err
	}
	return p.finish(ctx, l.pool)
}

// Follow is ReadAll for those who keep up with the log. What this node has just appended
// comes from memory, which may hold for a moment what somebody else has erased.
func (l *Log) Follow(ctx context.Context, after int64, limit int) ([]domain.Recorded, error) {
	if recent := l.recent.after(after, limit); len(recent) > 0 {
		return decodeAll(l.options.Types, recent)
	}
	return l.ReadAll(ctx, after, limit)
}

// page is what rows are read into.
type page interface {
	take(row) error
	expect(more int)
}

func (l *Log) readPage(ctx context.Context, after int64, limit int, p page) error {
	read, size, count := 0, 0, firstPart
	take := func(r row) error {
		if after++; r.position() != after {
			return fmt.Errorf("the log has a gap: event %d is missing", after)
		}
		read++
		size += r.size()
		return p.take(r)
	}
	for read < limit && size < pageBytes {
		count = min(count, limit-read)
		before := read
		if before > 0 {
			p.expect(count)
		}
		if err := scan(ctx, l.pool, take, pageBytes-size, `where e.position > $1 order by e.position limit $2`, after, count); err != nil {
			return err
		}
		if read-before < count && size < pageBytes {
			return nil // that was the end of the log
		}
		// The next part is large if the events are small: at most a fourth of what
		// there is room for, should they go on like this.
		count = max(firstPart, (pageBytes-size)/4*read/(size+1))
	}
	return nil
}

// ReadStream reads up to limit events of one stream after a version, in order.
func (l *Log) ReadStream(ctx context.Context, stream domain.Stream, afterVersion int64, limit int) ([]domain.Recorded, error) {
	return queryRecorded(ctx, l.pool, l.options.Types, `where e.stream = $1 and e.version > $2 order by e.version limit $3`,
		string(stream), afterVersion, limit)
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
