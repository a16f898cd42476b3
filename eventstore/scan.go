package eventstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
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

// binaryFormat asks for all columns as Postgres holds them.
var binaryFormat = pgx.QueryResultFormats{pgx.BinaryFormatCode}

// queryStored reads events with their personal parts, and no more once they have
// reached a size in bytes; condition is one of this package's own texts.
func queryStored(ctx context.Context, q querier, enough int, condition string, args ...any) ([]Stored, error) {
	stored, err := queryEnvelopes(ctx, q, nil, enough, condition, args...)
	if err == nil {
		err = addPersonal(ctx, q, stored)
	}
	return stored, err
}

// whole is a size that no result reaches: whoever asks needs all of it, and knows that
// it is not large.
const whole = math.MaxInt

// queryEnvelopes appends events to stored as queryStored reads them, but without their
// personal parts.
func queryEnvelopes(ctx context.Context, q querier, stored []Stored, enough int, condition string, args ...any) ([]Stored, error) {
	rows, err := q.Query(ctx, `
		select e.position, e.version, e.at, e.id, e.stream, e.type, e.body, e.meta
		from log.events e `+condition, append([]any{binaryFormat}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer rows.Close()
	var s scanner
	for size := 0; size < enough && rows.Next(); {
		row, err := s.scan(rows.RawValues())
		if err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		stored = append(stored, row)
		size += row.size()
	}
	rows.Close() // reads over what was too much
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	return stored, nil
}

// scanner makes events of rows. To have each column of each row allocated would take
// longer than everything else, so rows share memory, and names that come again.
type scanner struct {
	room  []byte // for bodies and metadata
	next  int    // size of the next room
	ids   strings.Builder
	names names // streams and types
}

// Sizes of the memory that rows share, in bytes. Whoever keeps one event keeps a whole room.
const (
	firstRoom = 2 << 10
	lastRoom  = 64 << 10
	idsRoom   = 64 * uuidLength
)

const uuidLength = 36

func (s *scanner) scan(columns [][]byte) (Stored, error) {
	if len(columns) != 8 || len(columns[0]) != 8 || len(columns[1]) != 8 || len(columns[2]) != 8 || len(columns[3]) != 16 {
		return Stored{}, fmt.Errorf("a row of log.events has an unknown form")
	}
	return Stored{
		Position: int64(binary.BigEndian.Uint64(columns[0])),
		Version:  int64(binary.BigEndian.Uint64(columns[1])),
		At:       time.UnixMicro(int64(binary.BigEndian.Uint64(columns[2])) + postgresEpoch).UTC(),
		ID:       s.id(columns[3]),
		Stream:   domain.Stream(s.names.of(columns[4])),
		Type:     s.names.of(columns[5]),
		Body:     s.keep(columns[6]),
		Meta:     s.keep(columns[7]),
	}, nil
}

// postgresEpoch is 2000-01-01 in microseconds after 1970.
const postgresEpoch = 946_684_800_000_000

// id is a UUID's text.
func (s *scanner) id(uuid []byte) string {
	if s.ids.Cap()-s.ids.Len() < uuidLength {
		s.ids = strings.Builder{}
		s.ids.Grow(idsRoom)
	}
	var text [uuidLength]byte
	hex.Encode(text[0:8], uuid[0:4])
	hex.Encode(text[9:13], uuid[4:6])
	hex.Encode(text[14:18], uuid[6:8])
	hex.Encode(text[19:23], uuid[8:10])
	hex.Encode(text[24:36], uuid[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	start := s.ids.Len()
	s.ids.Write(text[:])
	return s.ids.String()[start:]
}

// keep copies data, which the connection will write over.
func (s *scanner) keep(data []byte) []byte {
	if len(data) > cap(s.room)-len(s.room) {
		s.next = min(max(2*s.next, firstRoom), lastRoom)
		s.room = make([]byte, 0, max(s.next, len(data)))
	}
	start := len(s.room)
	s.room = append(s.room, data...)
	return s.room[start:len(s.room):len(s.room)]
}

// names makes one string of texts that are the same. The zero value is ready.
type names struct{ known map[string]string }

// maxNames bounds how many are remembered, of at most maxName bytes.
const (
	maxNames = 1024
	maxName  = 64
)

func (n *names) of(text []byte) string {
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

// addPersonal reads the personal parts of events, in the order of their positions, that
// have some and were not erased. A
// query of its own costs less than two joins, and most often nothing.
func addPersonal(ctx context.Context, q querier, stored []Stored) error {
	var positions []int64
	var indexes []int // of positions, which rise
	for i, s := range stored {
		if bytes.Contains(s.Meta, []byte(`"commitments":{`)) {
			positions, indexes = append(positions, s.Position), append(indexes, i)
		}
	}
	if len(positions) == 0 {
		return nil
	}
	rows, err := q.Query(ctx, `select position, part, data from log.personal where position = any($1)`, binaryFormat, positions)
	if err != nil {
		return fmt.Errorf("read personal data: %w", err)
	}
	defer rows.Close()
	var s scanner
	parts := make([]personalParts, len(positions))
	for rows.Next() {
		columns := rows.RawValues()
		if len(columns) != 3 || len(columns[0]) != 8 {
			return fmt.Errorf("a row of log.personal has an unknown form")
		}
		n, found := slices.BinarySearch(positions, int64(binary.BigEndian.Uint64(columns[0])))
		if !found {
			return fmt.Errorf("a row of log.personal was not asked for")
		}
		stored[indexes[n]].personal = &parts[n]
		switch string(columns[1]) {
		case partEvent:
			parts[n].event = s.keep(columns[2])
		case partOrigin:
			parts[n].origin = s.keep(columns[2])
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read personal data: %w", err)
	}
	return nil
}
