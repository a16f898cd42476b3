package eventstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// whole is a size that no result reaches: whoever asks needs all of it, and knows that
// it is not large.
const whole = math.MaxInt

// binaryFormat asks for all columns as Postgres holds them.
var binaryFormat = pgx.QueryResultFormats{pgx.BinaryFormatCode}

var errRow = errors.New("a row of the log has an unknown form")

// row is one of log.events in the connection's memory, which the next one writes over.
type row struct{ columns [][]byte }

func (r row) position() int64 { return int64(binary.BigEndian.Uint64(r.columns[0])) }
func (r row) version() int64  { return int64(binary.BigEndian.Uint64(r.columns[1])) }
func (r row) at() time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(r.columns[2])) + postgresEpoch).UTC()
}
func (r row) id() []byte     { return r.columns[3] }
func (r row) stream() []byte { return r.columns[4] }
func (r row) name() []byte   { return r.columns[5] }
func (r row) body() []byte   { return r.columns[6] }
func (r row) meta() []byte   { return r.columns[7] }

// size is about how many bytes of memory the event takes.
func (r row) size() int { return len(r.body()) + len(r.meta()) }

// postgresEpoch is 2000-01-01 in microseconds after 1970.
const postgresEpoch = 946_684_800_000_000

// scan hands the rows that meet a condition to take, and no more once they have reached a
// size in bytes; condition is one of this package's own texts.
func scan(ctx context.Context, q querier, take func(row) error, enough int, condition string, args ...any) error {
	rows, err := q.Query(ctx, `
		select e.position, e.version, e.at, e.id, e.stream, e.type, e.body, e.meta
		from log.events e `+condition, append([]any{binaryFormat}, args...)...)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer rows.Close()
	for size := 0; size < enough && rows.Next(); {
		r := row{rows.RawValues()}
		if c := r.columns; len(c) != 8 || len(c[0]) != 8 || len(c[1]) != 8 || len(c[2]) != 8 || len(c[3]) != 16 {
			return errRow
		}
		if err := take(r); err != nil {
			return err
		}
		size += r.size()
	}
	rows.Close() // reads over what was too much
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	return nil
}

// scanPersonal hands the personal parts of events that were not erased to take, by index
// into positions, which rise. A query of its own costs less than two joins, and most often
// nothing.
func scanPersonal(ctx context.Context, q querier, positions []int64, take func(index int, part, data []byte) error) error {
	if len(positions) == 0 {
		return nil
	}
	rows, err := q.Query(ctx, `select position, part, data from log.personal where position = any($1)`, binaryFormat, positions)
	if err != nil {
		return fmt.Errorf("read personal data: %w", err)
	}
	defer rows.Close()
	index := 0
	for rows.Next() {
		columns := rows.RawValues()
		if len(columns) != 3 || len(columns[0]) != 8 {
			return errRow
		}
		// They mostly come in order.
		position, found := int64(binary.BigEndian.Uint64(columns[0])), true
		if index+1 < len(positions) && positions[index+1] == position {
			index++
		} else if positions[index] != position {
			index, found = slices.BinarySearch(positions, position)
		}
		if !found {
			return errRow
		}
		if err := take(index, columns[1], columns[2]); err != nil {
			return fmt.Errorf("personal data of event %d: %w", position, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read personal data: %w", err)
	}
	return nil
}

// memory holds what is kept of rows. To have each column of each row allocated would take
// longer than everything else, so rows share it, and names that come again. The zero value
// is ready.
type memory struct {
	room []byte // for bodies and metadata
	next int    // size of the next room
	ids  strings.Builder
	names
}

// Sizes of what rows share, in bytes. Whoever keeps one event keeps a whole room.
const (
	firstRoom  = 2 << 10
	lastRoom   = 64 << 10
	uuidLength = 36
	idsRoom    = 64 * uuidLength
)

// keep copies data.
func (m *memory) keep(data []byte) []byte {
	if len(data) > cap(m.room)-len(m.room) {
		m.next = min(max(2*m.next, firstRoom), lastRoom)
		m.room = make([]byte, 0, max(m.next, len(data)))
	}
	start := len(m.room)
	m.room = append(m.room, data...)
	return m.room[start:len(m.room):len(m.room)]
}

// id is a UUID's text.
func (m *memory) id(uuid []byte) string {
	if m.ids.Cap()-m.ids.Len() < uuidLength {
		m.ids = strings.Builder{}
		m.ids.Grow(idsRoom)
	}
	var text [uuidLength]byte
	hex.Encode(text[0:8], uuid[0:4])
	hex.Encode(text[9:13], uuid[4:6])
	hex.Encode(text[14:18], uuid[6:8])
	hex.Encode(text[19:23], uuid[8:10])
	hex.Encode(text[24:36], uuid[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	start := m.ids.Len()
	m.ids.Write(text[:])
	return m.ids.String()[start:]
}

// names makes one string of texts that are the same. The zero value is ready; nil shares
// nothing.
type names struct{ known map[string]string }

// maxNames bounds how many are remembered, of at most maxName bytes.
const (
	maxNames = 1024
	maxName  = 64
)

func (n *names) of(text []byte) string {
	if n == nil {
		return string(text)
	}
	if known, ok := n.known[string(text)]; ok {
		return known
	}
	name := string(text)
	if len(name) > maxName || len(n.known) >= maxNames {
		return name
	}
	if n.known == nil {
		n.known = make(map[string]string)
	}
	n.known[name] = name
	return name
}

// storedPage takes rows as they are.
type storedPage struct {
	memory
	events []Stored
}

func (p *storedPage) take(r row) error {
	p.events = append(p.events, Stored{
		Position: r.position(), Version: r.version(), At: r.at(), ID: p.id(r.id()),
		Stream: domain.Stream(p.of(r.stream())), Type: p.of(r.name()), Body: p.keep(r.body()), Meta: p.keep(r.meta()),
	})
	return nil
}

func (p *storedPage) expect(more int) { p.events = slices.Grow(p.events, more) }

// addPersonal reads the personal parts of the events taken.
func (p *storedPage) addPersonal(ctx context.Context, q querier) error {
	positions, parts := make([]int64, len(p.events)), make([]personalParts, len(p.events))
	for i := range p.events {
		positions[i], p.events[i].personal = p.events[i].Position, &parts[i]
	}
	return scanPersonal(ctx, q, positions, func(i int, part, data []byte) error {
		switch string(part) {
		case partEvent:
			parts[i].event = p.keep(data)
		case partOrigin:
			parts[i].origin = p.keep(data)
		}
		return nil
	})
}

// queryStored reads events in the order of their positions, with their personal parts.
func queryStored(ctx context.Context, q querier, enough int, condition string, args ...any) ([]Stored, error) {
	var p storedPage
	if err := scan(ctx, q, p.take, enough, condition, args...); err != nil {
		return nil, err
	}
	return p.events, p.addPersonal(ctx, q)
}

// recordedPage takes rows and decodes them at once, but for those events that have a part
// beside the log.
type recordedPage struct {
	memory
	types  *Registry
	events []domain.Recorded

	personal []int64 // positions of events with personal parts
	indexes  []int   // ... and where in events they are
	waiting  map[int]waiting
}

// waiting is an event that cannot be decoded yet.
type waiting struct {
	name string
	body []byte
}

func (p *recordedPage) expect(more int) { p.events = slices.Grow(p.events, more) }

func (p *recordedPage) take(r row) error {
	var meta storedMeta
	has, err := meta.decode(r.meta(), &p.names)
	if err != nil {
		return fmt.Errorf("metadata of event %d: %w", r.position(), err)
	}
	name, index := p.of(r.name()), len(p.events)
	if has.event || has.origin {
		p.personal, p.indexes = append(p.personal, r.position()), append(p.indexes, index)
	}
	var event domain.Event
	if has.event {
		if p.waiting == nil {
			p.waiting = map[int]waiting{}
		}
		p.waiting[index] = waiting{name, p.keep(r.body())}
	} else if event, err = p.types.decode(name, r.body(), nil); err != nil {
		return fmt.Errorf("event %d: %w", r.position(), err)
	}
	p.events = append(p.events, domain.Recorded{
		Position: r.position(), Stream: domain.Stream(p.of(r.stream())), Version: r.version(),
		ID: p.id(r.id()), At: r.at(), Event: event, Meta: meta.metadata(origin{}),
	})
	return nil
}

// finish reads the personal parts of the events taken, and decodes those that waited.
func (p *recordedPage) finish(ctx context.Context, q querier) ([]domain.Recorded, error) {
	err := scanPersonal(ctx, q, p.personal, func(i int, part, data []byte) error {
		index := p.indexes[i]
		switch string(part) {
		case partEvent:
			if w, ok := p.waiting[index]; ok {
				delete(p.waiting, index)
				return p.decode(index, w, data)
			}
		case partOrigin:
			var from origin
			if err := from.decode(data, &p.names); err != nil {
				return err
			}
			p.events[index].Meta.Address = from.Address
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for index, w := range p.waiting { // their parts were erased
		if err := p.decode(index, w, nil); err != nil {
			return nil, err
		}
	}
	return p.events, nil
}

func (p *recordedPage) decode(index int, w waiting, personal []byte) (err error) {
	if p.events[index].Event, err = p.types.decode(w.name, w.body, personal); err != nil {
		return fmt.Errorf("event %d: %w", p.events[index].Position, err)
	}
	return nil
}

// queryRecorded reads events in the order of their positions, decoded.
func queryRecorded(ctx context.Context, q querier, types *Registry, condition string, args ...any) ([]domain.Recorded, error) {
	p := recordedPage{types: types}
	if err := scan(ctx, q, p.take, whole, condition, args...); err != nil {
		return nil, err
	}
	return p.finish(ctx, q)
}
