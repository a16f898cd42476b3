package project

import "github.com/annal-git/annal/domain"

// Settings is what an administrator of the project may change.
type Settings struct {
	Key         string `json:"key"` // upper case
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Public      bool   `json:"public,omitempty"` // anonymous users may read its repositories
}

// Created begins a project.
type Created struct {
	ID domain.ProjectID `json:"id"`
	Settings
}

// EventType implements domain.Event.
func (Created) EventType() string { return "project.created.v1" }

// Updated replaces a project's settings. Old is what they were.
type Updated struct {
	ID  domain.ProjectID `json:"id"`
	Old Settings         `json:"old"`
	Settings
}

// EventType implements domain.Event.
func (Updated) EventType() string { return "project.updated.v1" }

// Deleted ends a project. Its key may be used again.
type Deleted struct {
	ID  domain.ProjectID `json:"id"`
	Key string           `json:"key"`
}

// EventType implements domain.Event.
func (Deleted) EventType() string { return "project.deleted.v1" }

var _ = []domain.Event{Created{}, Updated{}, Deleted{}}
