package eventstore

import (
	"bytes"
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

	personal *personalParts // nil if they were not asked for
}

// personalParts are those of one event, nil where there is none or it was erased.
type personalParts struct{ event, origin []byte }

// Decode makes the event of a stored one, of the newest version of its type. The event of
// a type that is not registered is a domain.Unknown.
func (s Stored) Decode(types *Registry) (domain.Recorded, error) {
	var personal personalParts
	if s.personal != nil {
		personal = *s.personal
	}
	event, err := types.decode(s.Type, s.Body, personal.event)
	if err != nil {
		return domain.Recorded{}, fmt.Errorf("event %d: %w", s.Position, err)
	}
	var meta storedMeta
	var from origin
	if _, err = meta.decode(s.Meta, nil); err == nil && personal.origin != nil {
		err = from.decode(personal.origin, nil)
	}
	if err != nil {
		return domain.Recorded{}, fmt.Errorf("metadata of event %d: %w", s.Position, err)
	}
	return domain.Recorded{
		Position: s.Position, Stream: s.Stream, Version: s.Version, ID: s.ID, At: s.At, Event: event, Meta: meta.metadata(from),
	}, nil
}

// decode is Decode with unregistered types as domain.Unknown. The event shares no memory
// with body.
func (r *Registry) decode(name string, body, personal []byte) (domain.Event, error) {
	event, err := r.Decode(name, body, personal)
	if _, unknown := errors.AsType[*UnknownTypeError](err); unknown {
		return domain.Unknown{Type: name, Body: bytes.Clone(body)}, nil
	}
	return event, err
}
