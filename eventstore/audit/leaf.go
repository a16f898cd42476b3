package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
)

// parsed is an entry taken apart. Its slices share memory with the entry.
type parsed struct {
	hash    tlog.Hash
	at      []byte
	moment  int64 // at, in microseconds since 1970
	id      [16]byte
	stream  []byte
	kind    string // its type
	version int64
	who     eventstore.Accountability
	commits [2][]byte // to the event's and the origin's personal data
	body    []byte
	event   domain.Event
	err     error // of its form

	uncommitted int // which of its personal data is not what it commits to; -1: none
}

var (
	errForm = errors.New("it is not an event in its one form")
	errTime = errors.New("its time is not written in its one form")
)

// take steps over a text that must come next.
func take(b []byte, i int, text string) int {
	if i < 0 || len(b)-i < len(text) || string(b[i:i+len(text)]) != text {
		return -1
	}
	return i + len(text)
}

// parse takes a leaf apart and checks that it is the canonical form of an event, whose
// body is the canonical form of what it means.
func (p *parsed) parse(types *eventstore.Registry, leaf []byte) {
	p.uncommitted = -1
	p.err = p.split(types, leaf)
}

func (p *parsed) split(types *eventstore.Registry, b []byte) error {
	i := take(b, 0, `{"at":"`)
	if i < 0 || len(b)-i < len(eventstore.LeafTime) {
		return errForm
	}
	p.at = b[i : i+len(eventstore.LeafTime)]
	body := take(b, i+len(p.at), `","body":`)
	if body < 0 {
		return errForm
	}
	bodyEnd := scanValue(b, body, 0)
	if bodyEnd < 0 {
		return errNotCanonical
	}
	id := take(b, bodyEnd, `,"id":"`)
	if id < 0 || len(b)-id < 36 {
		return errForm
	}
	meta := take(b, id+36, `","meta":`)
	if meta < 0 {
		return errForm
	}
	metaEnd := scanValue(b, meta, 0)
	if metaEnd < 0 {
		return errNotCanonical
	}
	stream := take(b, metaEnd, `,"stream":`)
	streamEnd := scanString(b, max(stream, 0))
	kind := take(b, streamEnd, `,"type":`)
	if stream < 0 || streamEnd < 0 || kind < 0 {
		return errForm
	}
	kindEnd := scanString(b, kind)
	version := take(b, kindEnd, `,"version":`)
	if kindEnd < 0 || version < 0 {
		return errForm
	}
	versionEnd := scanNumber(b, version)
	if versionEnd != len(b)-1 || b[versionEnd] != '}' {
		return errForm
	}
	var err error
	if p.version, err = strconv.ParseInt(string(b[version:versionEnd]), 10, 64); err != nil {
		return errForm
	}
	p.stream = b[stream+1 : streamEnd-1]
	p.kind = string(b[kind+1 : kindEnd-1])
	if err := p.parseID(b[id : id+36]); err != nil {
		return err
	}
	if p.moment, err = parseMoment(p.at); err != nil {
		return err
	}
	if p.who, err = eventstore.AccountabilityOf(b[meta:metaEnd]); err != nil {
		return fmt.Errorf("its metadata cannot be read: %w", err)
	}
	p.commits, p.body = [2][]byte{p.who.Event, p.who.Origin}, b[body:bodyEnd]
	p.event, err = types.Decode(p.kind, b[body:bodyEnd], nil)
	var unknown *eventstore.UnknownTypeError
	if errors.As(err, &unknown) {
		p.event, err = domain.Unknown{Type: p.kind, Body: b[body:bodyEnd]}, nil
	}
	if err != nil {
		return fmt.Errorf("its body cannot be read: %w", err)
	}
	return nil
}

// parseID reads a UUID in lower case.
func (p *parsed) parseID(text []byte) error {
	var digits [32]byte
	n := 0
	for i, c := range text {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return errForm
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return errForm
		}
		digits[n] = c
		n++
	}
	_, err := hex.Decode(p.id[:], digits[:])
	return err
}

// parseMoment reads a time of the form of eventstore.LeafTime.
func parseMoment(b []byte) (int64, error) {
	const form = "0000-00-00T00:00:00.000000Z"
	for i := range form {
		if form[i] == '0' {
			if b[i] < '0' || b[i] > '9' {
				return 0, errTime
			}
		} else if b[i] != form[i] {
			return 0, errTime
		}
	}
	number := func(from, to int) int {
		n := 0
		for _, c := range b[from:to] {
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second, micro := number(11, 13), number(14, 16), number(17, 19), number(20, 26)
	t := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, time.UTC)
	if t.Day() != day || int(t.Month()) != month || hour > 23 || minute > 59 || second > 59 {
		return 0, errTime
	}
	return t.UnixMicro(), nil
}
