package eventstore

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/annal-git/annal/domain"
)

// Registry maps the type names stored in the log to Go types. A name carries the version
// of its shape ("x.v1"). Of the versions of a type, decoding yields the newest, so that
// only the registry knows the others; which one is written depends on Permit.
//
// All types are registered before the registry is used; then it is safe for concurrent
// use.
type Registry struct {
	types     map[string]*eventType
	permitted atomic.Pointer[permit] // nil: all
}

// permit is which types may be written, and how long that is known for.
type permit struct {
	names map[string]bool
	until time.Time
}

// eventType is one version of a type.
type eventType struct {
	name   string
	decode func(body, personal []byte) (domain.Event, error)
	// personal returns the personal part of an event; nil for types that have none.
	personal func(domain.Event) (data any, subject domain.UserID)

	older, newer *eventType                      // nil at the ends
	down         func(domain.Event) domain.Event // to the older version; nil if that is not written any more
	up           func(domain.Event) domain.Event // to the newer version
}

// NewRegistry is a registry without types.
func NewRegistry() *Registry { return &Registry{types: map[string]*eventType{}} }

// Register adds the newest version of an event type, under the name it gives itself. It
// panics when the name is taken: that is a mistake in the program.
func Register[T domain.Event](r *Registry) { register[T](r) }

// RegisterOlder adds Old, the version before New, whose events are decoded as Old and
// then put through up. down makes of an event what nodes read that do not know New; nil
// if there are none any more. What down leaves out is lost: up(down(event)) is what
// everybody works with then. It panics when the name of Old is taken, New is not
// registered or New has an older version already.
func RegisterOlder[Old, New domain.Event](r *Registry, up func(Old) New, down func(New) Old) {
	var zero New
	newer, ok := r.types[zero.EventType()]
	if !ok || newer.older != nil {
		panic(fmt.Sprintf("event type %q is not registered, or has an older version already", zero.EventType()))
	}
	older := register[Old](r)
	older.newer, newer.older = newer, older
	older.up = func(event domain.Event) domain.Event { return up(event.(Old)) }
	if down != nil {
		newer.down = func(event domain.Event) domain.Event { return down(event.(New)) }
	}
}

func register[T domain.Event](r *Registry) *eventType {
	var zero T
	name := zero.EventType()
	if _, taken := r.types[name]; taken {
		panic(fmt.Sprintf("event type %q is registered twice", name))
	}
	known := &eventType{name: name, decode: func(body, personal []byte) (domain.Event, error) {
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
			e := event.(T)
			p := any(&e).(domain.Personal)
			return p.PersonalData(), p.Subject()
		}
	}
	r.types[name] = known
	return known
}

// Names lists the type names that can be read, of all versions, sorted.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.types))
	for name := range r.types {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Newest is the name of the newest version of the type called name, and name itself if
// it is not registered.
func (r *Registry) Newest(name string) string {
	known, ok := r.types[name]
	if !ok {
		return name
	}
	for known.newer != nil {
		known = known.newer
	}
	return known.name
}

// Permit says which types may be written: those that every node of the cluster reads. Of
// a type whose newest version is not among them, an older one is written. After until, it
// is not known any more, and the oldest version that can be is written. Without a call,
// all may.
func (r *Registry) Permit(names []string, until time.Time) {
	permitted := make(map[string]bool, len(names))
	for _, name := range names {
		permitted[name] = true
	}
	r.permitted.Store(&permit{permitted, until})
}

// mayWrite reports whether a version of a type may be written now.
func (r *Registry) mayWrite(t *eventType) bool {
	permitted := r.permitted.Load()
	switch {
	case permitted == nil:
		return true
	case time.Now().After(permitted.until):
		return t.down == nil
	default:
		return permitted.names[t.name]
	}
}

// writable finds the version of an event that may be written now. Errors are
// *UnknownTypeError and *NotYetReadError.
func (r *Registry) writable(event domain.Event) (*eventType, domain.Event, error) {
	name := event.EventType()
	known, ok := r.types[name]
	if !ok {
		return nil, nil, &UnknownTypeError{Type: name}
	}
	for !r.mayWrite(known) {
		if known.down == nil {
			return nil, nil, &NotYetReadError{Type: name}
		}
		event, known = known.down(event), known.older
	}
	return known, event, nil
}

// stale reports whether an entry was encoded in a version that may not be written any
// more: a node has come since that does not read it.
func (r *Registry) stale(entries []entry) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return !r.mayWrite(r.types[e.name]) })
}

// NotYetReadError says that an event was not appended because a node of the cluster does
// not read its type, and there is no older version of it.
type NotYetReadError struct{ Type string }

func (e *NotYetReadError) Error() string {
	return fmt.Sprintf("not every node of the cluster reads the event type %q", e.Type)
}

// Unwrap tells the user what he can do.
func (e *NotYetReadError) Unwrap() error {
	return &domain.UnavailableError{
		Message: "Part of the cluster runs an older version of Annal that does not know this change. Try again when all of it has been upgraded.",
	}
}

// upcast brings an event of this version to the newest one.
func (t *eventType) upcast(event domain.Event) domain.Event {
	for ; t.newer != nil; t = t.newer {
		event = t.up(event)
	}
	return event
}

// Decode turns a stored body back into an event, of the newest version of its type.
// personal is the part kept beside the log, nil if there is none or it was erased. An
// unregistered name is an *UnknownTypeError.
func (r *Registry) Decode(name string, body, personal []byte) (domain.Event, error) {
	known, ok := r.types[name]
	if !ok {
		return nil, &UnknownTypeError{Type: name}
	}
	event, err := known.decode(body, personal)
	if err != nil {
		return nil, fmt.Errorf("decode event of type %s: %w", name, err)
	}
	return known.upcast(event), nil
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
