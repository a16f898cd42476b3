package group

import "github.com/annal-git/annal/domain"

// Created begins a group.
type Created struct {
	ID   domain.GroupID `json:"id"`
	Name string         `json:"name"`
}

// EventType implements domain.Event.
func (Created) EventType() string { return "group.created.v1" }

// Renamed gives a group another name.
type Renamed struct {
	ID   domain.GroupID `json:"id"`
	Old  string         `json:"old"`
	Name string         `json:"name"`
}

// EventType implements domain.Event.
func (Renamed) EventType() string { return "group.renamed.v1" }

// Deleted ends a group. Its name may be used again; what it was granted ends with it.
type Deleted struct {
	ID   domain.GroupID `json:"id"`
	Name string         `json:"name"`
}

// EventType implements domain.Event.
func (Deleted) EventType() string { return "group.deleted.v1" }

// Members are users and groups, each sorted and without doubles.
type Members struct {
	Users  []domain.UserID  `json:"users,omitempty"`
	Groups []domain.GroupID `json:"groups,omitempty"`
}

// MembersAdded brings members into a group that were not in it.
type MembersAdded struct {
	ID domain.GroupID `json:"id"`
	Members
}

// EventType implements domain.Event.
func (MembersAdded) EventType() string { return "group.members_added.v1" }

// MembersRemoved takes members out of a group.
type MembersRemoved struct {
	ID domain.GroupID `json:"id"`
	Members
}

// EventType implements domain.Event.
func (MembersRemoved) EventType() string { return "group.members_removed.v1" }

var _ = []domain.Event{Created{}, Renamed{}, Deleted{}, MembersAdded{}, MembersRemoved{}}
