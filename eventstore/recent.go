package eventstore

import (
	"sync"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
)

// Bounds of what is kept of the newest events, by number and by bytes of body, metadata and
// personal parts.
const (
	recentEvents = 1024
	recentBytes  = 4 << 20
)

var erasedType = account.Erased{}.EventType()

// recent keeps the newest events that this node has appended, as the log has them: most of
// those who follow the log run here, and need not all ask the database for the same. It
// forgets everything when somebody else appends, and with every erasure.
type recent struct {
	mu     sync.Mutex
	events []Stored // without a gap
	bytes  int
}

// add takes in events that have just been appended.
func (r *recent) add(events []Stored) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.events); n > 0 && r.events[n-1].Position+1 != events[0].Position {
		r.events, r.bytes = nil, 0
	}
	for _, e := range events {
		r.bytes += e.size()
	}
	r.events = append(r.events, events...)
	for len(r.events) > recentEvents || r.bytes > recentBytes {
		r.bytes -= r.events[0].size()
		r.events = r.events[1:] // the next growth leaves what is before it behind
	}
}

// saw forgets everything if the log has come further than what is kept.
func (r *recent) saw(head int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.events); n > 0 && r.events[n-1].Position < head {
		r.events, r.bytes = nil, 0
	}
}

func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.bytes = nil, 0
}

// after returns up to limit events behind a position, none if the first of them is not kept.
func (r *recent) after(position int64, limit int) []Stored {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 || position+1 < r.events[0].Position || position >= r.events[len(r.events)-1].Position {
		return nil
	}
	events := r.events[position+1-r.events[0].Position:]
	return events[:min(limit, len(events)):min(limit, len(events))]
}

// size is about how many bytes of memory s takes.
func (s Stored) size() int {
	size := len(s.Body) + len(s.Meta)
	if s.personal != nil {
		size += len(s.personal.event) + len(s.personal.origin)
	}
	return size
}

// keep adds the events of a committed batch to the recent ones.
func (b *batch) keep(r *recent) {
	events := make([]Stored, len(b.entries))
	for i, e := range b.entries {
		if e.name == erasedType {
			r.forget() // what is kept may hold what was erased
			return
		}
		at := b.recorded[i]
		events[i] = Stored{
			Position: at.Position, Stream: at.Stream, Version: at.Version, ID: at.ID, Type: e.name, At: at.At,
			Body: e.body, Meta: e.meta, personal: e.parts(),
		}
	}
	if len(events) > 0 {
		r.add(events)
	}
}

// parts are the personal data of an entry as they are read beside the event.
func (e entry) parts() *personalParts {
	var parts personalParts
	for _, row := range e.personal {
		if row.part == partOrigin {
			parts.origin = row.data
		} else {
			parts.event = row.data
		}
	}
	return &parts
}

// decodeAll decodes stored events in their order.
func decodeAll(types *Registry, stored []Stored) ([]domain.Recorded, error) {
	events := make([]domain.Recorded, len(stored))
	for i, s := range stored {
		var err error
		if events[i], err = s.Decode(types); err != nil {
			return nil, err
		}
	}
	return events, nil
}
