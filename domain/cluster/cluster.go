// Package cluster holds what happens to an installation as a whole.
package cluster

import "github.com/annal-git/annal/domain"

// Created is the first event of every log: it gives the installation its identity.
// The shared home carries the same id, so that a node refuses a database and a
// shared home that do not belong together.
type Created struct {
	ID   string `json:"id"`   // UUID
	Name string `json:"name"` // as configured
}

// EventType implements domain.Event.
func (Created) EventType() string { return "cluster.created.v1" }

var _ domain.Event = Created{}
