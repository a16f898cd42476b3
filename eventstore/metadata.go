package eventstore

import (
	"encoding/json"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/canonical"
)

// storedMeta is domain.Metadata as the log keeps it: without personal data, with
// the commitments to it.
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
	return storedMeta{
		Actor: m.Actor, Auth: m.Auth, RequestID: m.RequestID,
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

// DecodeJSON implements decoder.
func (m *storedMeta) DecodeJSON(data []byte) error {
	r := canonical.NewReader(data)
	r.Expect(`{`)
	if r.Name("actor") {
		m.Actor = domain.UserID(r.Int())
	}
	m.Auth = readText(&r, "auth")
	m.Causation = readText(&r, "causation")
	if r.Name("commitments") {
		r.Expect(`{`)
		m.Commitments.Event = readText(&r, "event")
		m.Commitments.Origin = readText(&r, "origin")
		r.Expect(`}`)
	}
	m.Correlation = readText(&r, "correlation")
	m.Node = readText(&r, "node")
	m.RequestID = readText(&r, "request")
	r.Expect(`}`)
	if r.Done() {
		return nil
	}
	*m = storedMeta{}
	return json.Unmarshal(data, m)
}

func readText(r *canonical.Reader, name string) string {
	if !r.Name(name) {
		return ""
	}
	return r.String()
}
