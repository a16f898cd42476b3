package eventstore

import (
	"encoding/json"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/canonical"
)

// storedMeta is domain.Metadata as the log keeps it: without personal data, with
// the commitments to it. The correlation is left out where it is the request.
type storedMeta struct {
	Actor       domain.UserID `json:"actor,omitempty"`
	Auth        string        `json:"auth,omitempty"`
	RequestID   string        `json:"request,omitempty"`
	Correlation string        `json:"correlation,omitempty"`
	Causation   string        `json:"causation,omitempty"`
	Node        string        `json:"node,omitempty"`
	Commitments commitments   `json:"commitments,omitzero"`
}

// commitments to the parts of an event's personal data, "" where there is none.
type commitments struct {
	Event  string `json:"event,omitempty"`
	Origin string `json:"origin,omitempty"`
}

// storable is what the log keeps of m, without commitments.
func storable(m domain.Metadata) storedMeta {
	stored := storedMeta{
		Actor: m.Actor, Auth: m.Auth, RequestID: m.RequestID,
		Correlation: m.Correlation, Causation: m.Causation, Node: m.Node,
	}
	if stored.Correlation == stored.RequestID {
		stored.Correlation = ""
	}
	return stored
}

// metadata is the inverse of storable.
func (m storedMeta) metadata(from origin) domain.Metadata {
	if m.Correlation == "" {
		m.Correlation = m.RequestID
	}
	return domain.Metadata{
		Actor: m.Actor, Auth: m.Auth, Address: from.Address, RequestID: m.RequestID,
		Correlation: m.Correlation, Causation: m.Causation, Node: m.Node,
	}
}

// AppendJSON implements appender.
func (m storedMeta) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	if m.Actor != 0 {
		b = canonical.AppendInt(canonical.AppendName(b, "actor"), int64(m.Actor))
	}
	b = appendText(b, "auth", m.Auth)
	b = appendText(b, "causation", m.Causation)
	if m.Commitments != (commitments{}) {
		b = append(canonical.AppendName(b, "commitments"), '{')
		b = appendText(b, "event", m.Commitments.Event)
		b = appendText(b, "origin", m.Commitments.Origin)
		b = append(b, '}')
	}
	b = appendText(b, "correlation", m.Correlation)
	b = appendText(b, "node", m.Node)
	b = appendText(b, "request", m.RequestID)
	return append(b, '}')
}

func appendText(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	return canonical.AppendString(canonical.AppendName(b, name), text)
}

// decode reads what AppendJSON writes into the zero value, as encoding/json does, but of
// the commitments it says only which there are. What is the same in many events is shared.
func (m *storedMeta) decode(data []byte, shared *names) (has parts, err error) {
	r := canonical.NewReader(data)
	r.Expect(`{`)
	if r.Name("actor") {
		m.Actor = domain.UserID(r.Int())
	}
	m.Auth = shared.of(readText(&r, "auth"))
	m.Causation = string(readText(&r, "causation"))
	if r.Name("commitments") {
		r.Expect(`{`)
		has.event = len(readText(&r, "event")) > 0
		has.origin = len(readText(&r, "origin")) > 0
		r.Expect(`}`)
	}
	m.Correlation = string(readText(&r, "correlation"))
	m.Node = shared.of(readText(&r, "node"))
	m.RequestID = string(readText(&r, "request"))
	r.Expect(`}`)
	if r.Done() {
		return has, nil
	}
	*m = storedMeta{}
	err = json.Unmarshal(data, m)
	has = parts{event: m.Commitments.Event != "", origin: m.Commitments.Origin != ""}
	m.Commitments = commitments{}
	return has, err
}

// parts says which personal parts an event was appended with.
type parts struct{ event, origin bool }

func readText(r *canonical.Reader, name string) []byte {
	if !r.Name(name) {
		return nil
	}
	return r.Raw()
}
