package eventstore

import (
	"github.com/annal-git/annal/domain"
)

// entry is one event, encoded.
type entry struct {
	event    domain.Event
	body     []byte
	meta     []byte
	personal []personalRow
}

// encode prepares events for the log: the body without personal data, and the
// personal data beside it.
func encode(types *Registry, events []domain.Event, meta domain.Metadata) ([]entry, error) {
	entries := make([]entry, 0, len(events))
	for _, event := range events {
		known, ok := types.types[event.EventType()]
		if !ok {
			return nil, &UnknownTypeError{Type: event.EventType()}
		}
		e := entry{event: event}
		var err error
		if e.body, err = canonicalJSON(event); err != nil {
			return nil, err
		}
		stored := storedMeta{
			Actor: meta.Actor, Auth: meta.Auth, RequestID: meta.RequestID,
			Correlation: meta.Correlation, Causation: meta.Causation, Node: meta.Node,
		}
		keep := func(part string, subject domain.UserID, v any) error {
			data, err := canonicalJSON(v)
			if err != nil {
				return err
			}
			row, commitment := commit(part, subject, data)
			e.personal = append(e.personal, row)
			if stored.Commitments == nil {
				stored.Commitments = map[string]string{}
			}
			stored.Commitments[part] = commitment
			return nil
		}
		if meta.Address != "" {
			if err := keep(partOrigin, meta.Actor, origin{Address: meta.Address}); err != nil {
				return nil, err
			}
		}
		if data, subject := known.personal(event); data != nil {
			if err := keep(partEvent, subject, data); err != nil {
				return nil, err
			}
		}
		if e.meta, err = canonicalJSON(stored); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}
