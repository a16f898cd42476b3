package eventstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/annal-git/annal/domain"
)

// Stored is an event as the log keeps it, before decoding: what exports and
// operators read even when its type is unknown. Body and Meta of the events of a page
// share memory.
type Stored struct {
	Position int64
	Stream   domain.Stream
	Version  int64
	ID       string
	Type     string
	At       time.Time
	Body     json.RawMessage // canonical, as stored
	Meta     json.RawMessage // canonical, as stored

	personal *personalParts // nil if there are none, they were erased or not asked for
}

// personalParts are those of one event, nil where there is none.
type personalParts struct{ event, origin []byte }

// Decode makes the event of a stored one, of the newest version of its type. The event of
// a type that is not registered is a domain.Unknown.
func (s Stored) Decode(types *Registry) (domain.Recorded, error) {
	return s.decode(types, &names{})
}

func (s *Stored) decode(types *Registry, shared *names) (domain.Recorded, error) {
	var personal personalParts
	if s.personal != nil {
		personal = *s.personal
	}
	event, err := types.Decode(s.Type, s.Body, personal.event)
	if _, unknown := errors.AsType[*UnknownTypeError](err); unknown {
		event, err = domain.Unknown{Type: s.Type, Body: s.Body}, nil
	}
	if err != nil {
		return domain.Recorded{}, fmt.Errorf("event %d: %w", s.Position, err)
	}
	meta, err := decodeMetadata(s.Meta, personal.origin, shared)
	if err != nil {
		return domain.Recorded{}, fmt.Errorf("metadata of event %d: %w", s.Position, err)
	}
	return domain.Recorded{
		Position: s.Position, Stream: s.Stream, Version: s.Version, ID: s.ID, At: s.At, Event: event, Meta: meta,
	}, nil
}

// size is about how many bytes of memory s takes.
func (s Stored) size() int { return len(s.Body) + len(s.Meta) }

func decodeAll(types *Registry, rows []Stored) ([]domain.Recorded, error) {
	events := make([]domain.Recorded, len(rows))
	var shared names
	for i := range rows {
		var err error
		if events[i], err = rows[i].decode(types, &shared); err != nil {
			return events[:i], err
		}
	}
	return events, nil
}
