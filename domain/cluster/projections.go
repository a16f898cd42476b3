package cluster

import "github.com/annal-git/annal/domain"

// ProjectionRetried is an operator's order to try again what a projection has set aside
// of a stream, or to try the event again that has stopped it.
type ProjectionRetried struct {
	Projection string        `json:"projection"`
	Stream     domain.Stream `json:"stream"`
}

// EventType implements domain.Event.
func (ProjectionRetried) EventType() string { return "cluster.projection_retried.v1" }

// ProjectionSkipped is an operator's order to leave one event out of a projection for
// ever, and to go on with the later ones of its stream. Rebuilding leaves it out, too.
type ProjectionSkipped struct {
	Projection string `json:"projection"`
	Position   int64  `json:"position"` // of the event
	Reason     string `json:"reason"`
}

// EventType implements domain.Event.
func (ProjectionSkipped) EventType() string { return "cluster.projection_skipped.v1" }

var _ = []domain.Event{ProjectionRetried{}, ProjectionSkipped{}}
