package eventstore

import (
	"fmt"

	"github.com/annal-git/annal/domain"
)

// entry is one event, encoded.
type entry struct {
	event    domain.Event // as everybody will read it
	name     string       // of the type it is stored as
	body     []byte
	meta     []byte
	personal []personalRow
}

// prepared is what the events of one proposal have in common, encoded before it is
// known which events they will be.
type prepared struct {
	stored storedMeta
	meta   []byte        // stored, encoded
	origin []personalRow // one, or none
}

// prepare encodes the metadata of a proposal. All its events share one salt: that they
// have one cause is in the log anyway.
func prepare(meta domain.Metadata) prepared {
	p := prepared{stored: storable(meta)}
	if meta.Address != "" {
		row, commitment := commit(partOrigin, meta.Actor, origin{Address: meta.Address}.AppendJSON(nil))
		p.origin, p.stored.Commitments.Origin = []personalRow{row}, commitment
	}
	p.meta = p.stored.AppendJSON(make([]byte, 0, 256))
	return p
}

// encode prepares events for the log: the body without personal data, and the personal
// data beside it, in the version that every node reads. Errors are *UnknownTypeError and
// *NotYetReadError.
func (p prepared) encode(types *Registry, events []domain.Event) ([]entry, error) {
	entries := make([]entry, len(events))
	for i, event := range events {
		known, event, err := types.writable(event)
		if err != nil {
			return nil, err
		}
		e := entry{event: known.upcast(event), name: known.name, meta: p.meta, personal: p.origin}
		if e.body, err = canonicalJSON(event); err != nil {
			return nil, fmt.Errorf("encode event of type %s: %w", known.name, err)
		}
		if known.personal != nil {
			part, subject := known.personal(event)
			if err := e.keep(p, part, subject); err != nil {
				return nil, fmt.Errorf("encode the personal part of type %s: %w", known.name, err)
			}
		}
		entries[i] = e
	}
	return entries, nil
}

// keep puts the personal part of the event beside it, and a commitment to it into its
// metadata.
func (e *entry) keep(p prepared, part any, subject domain.UserID) error {
	data, err := canonicalJSON(part)
	if err != nil {
		return err
	}
	row, commitment := commit(partEvent, subject, data)
	p.stored.Commitments.Event = commitment
	e.meta = p.stored.AppendJSON(nil)
	e.personal = append([]personalRow{row}, p.origin...)
	return nil
}

// encode is prepare and encode at once.
func encode(types *Registry, events []domain.Event, meta domain.Metadata) ([]entry, error) {
	return prepare(meta).encode(types, events)
}
