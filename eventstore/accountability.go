package eventstore

import (
	"encoding/json"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/canonical"
)

// Accountability is the part of an event's metadata that can be checked: who caused it,
// how he was authenticated, and the commitments to personal data, empty where there are
// none. It may share memory with the metadata.
type Accountability struct {
	Actor  domain.UserID
	Auth   []byte
	Event  []byte // commitment to what the event itself says of a person
	Origin []byte // commitment to where the request came from
}

// AccountabilityOf reads stored metadata.
func AccountabilityOf(meta []byte) (a Accountability, err error) {
	r := canonical.NewReader(meta)
	r.Expect(`{`)
	if r.Name("actor") {
		a.Actor = domain.UserID(r.Int())
	}
	a.Auth = readText(&r, "auth")
	readText(&r, "causation")
	if r.Name("commitments") {
		r.Expect(`{`)
		a.Event, a.Origin = readText(&r, "event"), readText(&r, "origin")
		r.Expect(`}`)
	}
	readText(&r, "correlation")
	readText(&r, "node")
	readText(&r, "request")
	r.Expect(`}`)
	if r.Done() {
		return a, nil
	}
	var stored storedMeta
	if err := json.Unmarshal(meta, &stored); err != nil {
		return Accountability{}, err
	}
	return Accountability{
		Actor: stored.Actor, Auth: []byte(stored.Auth), Event: []byte(stored.Commitments.Event), Origin: []byte(stored.Commitments.Origin),
	}, nil
}
