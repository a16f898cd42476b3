package eventstore

import (
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"

	"github.com/annal-git/annal/domain"
)

// Registry maps the type names stored in the log to Go types.
type Registry struct {
	types map[string]eventType
}

type eventType struct {
	decode func(body, personal []byte) (domain.Event, error)
	// personal returns the personal part of an event; nil for types that have none.
	personal func(domain.Event) (data any, subject domain.UserID)
}

// NewRegistry is a registry without types.
func NewRegistry() *Registry { return &Registry{types: map[string]eventType{}} }

// Register adds an event type under the name it gives itself. It panics when the
// name is taken: that is a mistake in the program.
func Register[T domain.Event](r *Registry) {
	var zero T
	name := zero.EventType()
	if _, taken := r.types[name]; taken {
		panic(fmt.Sprintf("event type %q is registered twice", name))
	}
	known := eventType{decode: func(body, personal []byte) (domain.Event, error) {
		var event T
		if err := decodeJSON(body, &event); err != nil {
			return nil, err
		}
		if p, ok := any(&event).(domain.Personal); ok && personal != nil {
			if err := json.Unmarshal(personal, p.PersonalData()); err != nil {
				return nil, fmt.Errorf("personal part: %w", err)
			}
		}
		return event, nil
	}}
	if _, ok := any(&zero).(domain.Personal); ok {
		known.personal = func(event domain.Event) (any, domain.UserID) {
			e, _ := event.(T)
			p, _ := any(&e).(domain.Personal)
			return p.PersonalData(), p.Subject()
		}
	}
	r.types[name] = known
}

// Names lists the registered type names.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.types))
	for name := range r.types {
		names = append(names, name)
	}
	return names
}

// Decode turns a stored body back into an event. personal is the part kept beside
// the log, nil if there is none or it was erased. An unregistered name is an
// *UnknownTypeError.
func (r *Registry) Decode(name string, body, personal []byte) (domain.Event, error) {
	known, ok := r.types[name]
	if !ok {
		return nil, &UnknownTypeError{Type: name}
	}
	event, err := known.decode(body, personal)
	if err != nil {
		return nil, fmt.Errorf("decode event of type %s: %w", name, err)
	}
	return event, nil
}

// appender is a value with an encoder of its own.
type appender interface {
	// AppendJSON appends the value's canonical JSON: the bytes that canonicalJSON
	// would make of it without this method.
	AppendJSON(b []byte) []byte
}

// decoder is a pointer to a value with a decoder of its own.
type decoder interface {
	// DecodeJSON does what encoding/json would without this method.
	DecodeJSON(body []byte) error
}

// canonicalJSON is the RFC 8785 form of v: one spelling for one value, so that
// hashes over it can be computed again.
func canonicalJSON(v any) ([]byte, error) {
	if fast, ok := v.(appender); ok {
		return fast.AppendJSON(nil), nil
	}
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(plain)
}

// decodeJSON reads what canonicalJSON wrote into v, a pointer to a zero value.
func decodeJSON(body []byte, v any) error {
	if fast, ok := v.(decoder); ok {
		return fast.DecodeJSON(body)
	}
	return json.Unmarshal(body, v)
}
