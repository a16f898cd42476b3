package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
)

// personal follows what is beside the log: whose data is there, whose is gone, and what
// was erased. Positions are kept as differences, a byte or two each.
type personal struct {
	there, gone map[domain.UserID]*positions
	erased      map[domain.UserID][]erasure
}

// erasure is an inclusive range of positions, and the event that says that it was erased.
type erasure struct{ first, last, by int64 }

// positions are rising numbers.
type positions struct {
	last  int64
	bytes []byte
}

func (p *positions) add(position int64) {
	p.bytes = binary.AppendUvarint(p.bytes, uint64(position-p.last))
	p.last = position
}

func (p *positions) each(yield func(int64) bool) {
	at := int64(0)
	for b := p.bytes; len(b) > 0; {
		d, n := binary.Uvarint(b)
		at += int64(d)
		if !yield(at) {
			return
		}
		b = b[n:]
	}
}

func newPersonal() *personal {
	return &personal{there: map[domain.UserID]*positions{}, gone: map[domain.UserID]*positions{}, erased: map[domain.UserID][]erasure{}}
}

func note(m map[domain.UserID]*positions, subject domain.UserID, position int64) {
	p := m[subject]
	if p == nil {
		p = &positions{}
		m[subject] = p
	}
	p.add(position)
}

// parts of personal data, and where the commitment to each is in parsed.
var parts = [...]string{"event", "origin"}

// checkCommitments compares what is beside an event with what it commits to. It does not
// need the order of the log, so that it runs on any core. The index of the part that does
// not fit is returned, -1 if all do.
func checkCommitments(e *Entry, p *parsed) int {
	for i, part := range parts {
		for _, d := range e.Personal {
			if d.Part != part {
				continue
			}
			if !commits(p.commits[i], d.Salt, d.Data) {
				return i
			}
		}
	}
	return -1
}

func commits(commitment, salt, data []byte) bool {
	var room [512]byte
	sum := sha256.Sum256(append(append(room[:0], salt...), data...))
	var encoded [43]byte
	base64.RawURLEncoding.Encode(encoded[:], sum[:])
	return string(encoded[:]) == string(commitment)
}

// add takes in an event whose commitments have been compared already.
func (s *personal) add(f *findings, e *Entry, p *parsed) {
	for i, part := range parts {
		if len(p.commits[i]) == 0 {
			continue
		}
		has := slices.ContainsFunc(e.Personal, func(d PersonalData) bool { return d.Part == part })
		subject := p.who.Actor
		if part == "event" {
			subject = subjectOf(p.event)
		}
		if has {
			note(s.there, subject, e.Position)
		} else {
			note(s.gone, subject, e.Position)
		}
	}
	if erased, ok := p.event.(account.Erased); ok {
		for _, r := range erased.Positions {
			if r[0] < 1 || r[1] < r[0] || r[1] >= e.Position {
				f.order(Personal, e.Position, "it says that positions %d to %d were erased, which cannot be", r[0], r[1])
				continue
			}
			s.erased[erased.ID] = append(s.erased[erased.ID], erasure{r[0], r[1], e.Position})
		}
	}
}

// subjectOf is whom the personal part of an event is about.
func subjectOf(event domain.Event) domain.UserID {
	switch e := event.(type) {
	case account.Created:
		return e.Subject()
	case account.ProfileChanged:
		return e.Subject()
	case account.PasswordSet:
		return e.Subject()
	case account.TokenCreated:
		return e.Subject()
	case account.TokenChanged:
		return e.Subject()
	}
	return 0
}

// finish compares what is there and what is gone with what was erased. It returns how
// many commitments have no data any more because of an erasure.
func (s *personal) finish(f *findings) (erased int64) {
	for subject, gone := range s.gone {
		ranges := s.ranges(subject)
		gone.each(func(position int64) bool {
			if covering(ranges, position) != nil {
				erased++
				return true
			}
			f.atEnd(Personal, position, "the personal data of user %d that it commits to is missing, and no event says that it was erased", subject)
			return true
		})
	}
	for subject, there := range s.there {
		ranges := s.ranges(subject)
		if len(ranges) == 0 {
			continue
		}
		there.each(func(position int64) bool {
			if r := covering(ranges, position); r != nil {
				f.atEnd(Personal, position, "the personal data of user %d is there, though event %d says that it was erased", subject, r.by)
			}
			return true
		})
	}
	return erased
}

func (s *personal) ranges(subject domain.UserID) []erasure {
	ranges := s.erased[subject]
	slices.SortFunc(ranges, func(a, b erasure) int { return int(a.first - b.first) })
	// Those that overlap become one, so that one look finds what covers a position.
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && r.first <= merged[n-1].last {
			merged[n-1].last = max(merged[n-1].last, r.last)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

func covering(ranges []erasure, position int64) *erasure {
	i, found := slices.BinarySearchFunc(ranges, position, func(r erasure, p int64) int {
		switch {
		case r.last < p:
			return -1
		case r.first > p:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &ranges[i]
}
