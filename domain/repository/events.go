package repository

import (
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// Settings is what may change about a repository without moving it.
type Settings struct {
	Description string `json:"description,omitempty"`
	Public      bool   `json:"public,omitempty"` // anonymous users may read it
	Forkable    bool   `json:"forkable,omitempty"`
}

// Created begins a repository.
type Created struct {
	ID            domain.RepositoryID `json:"id"`
	Storage       string              `json:"storage"` // UUID of its folder on the shared home
	Project       domain.ProjectID    `json:"project"`
	Name          string              `json:"name"`
	Slug          string              `json:"slug"`
	DefaultBranch string              `json:"defaultBranch"` // full ref name; the ref may not exist yet
	Settings
}

// EventType implements domain.Event.
func (Created) EventType() string { return "repository.created.v1" }

// Renamed gives a repository another name, and with it another slug.
type Renamed struct {
	ID      domain.RepositoryID `json:"id"`
	OldName string              `json:"oldName"`
	OldSlug string              `json:"oldSlug"`
	Name    string              `json:"name"`
	Slug    string              `json:"slug"`
}

// EventType implements domain.Event.
func (Renamed) EventType() string { return "repository.renamed.v1" }

// Moved brings a repository to another project. Its objects stay where they are.
type Moved struct {
	ID         domain.RepositoryID `json:"id"`
	OldProject domain.ProjectID    `json:"oldProject"`
	Project    domain.ProjectID    `json:"project"`
}

// EventType implements domain.Event.
func (Moved) EventType() string { return "repository.moved.v1" }

// SettingsChanged replaces a repository's settings. Old is what they were.
type SettingsChanged struct {
	ID  domain.RepositoryID `json:"id"`
	Old Settings            `json:"old"`
	Settings
}

// EventType implements domain.Event.
func (SettingsChanged) EventType() string { return "repository.settings_changed.v1" }

// DefaultBranchChanged points HEAD to another branch. Both are full ref names.
type DefaultBranchChanged struct {
	ID  domain.RepositoryID `json:"id"`
	Old string              `json:"old"`
	New string              `json:"new"`
}

// EventType implements domain.Event.
func (DefaultBranchChanged) EventType() string { return "repository.default_branch_changed.v1" }

// Deleted takes a repository out of sight. Nothing of it is removed.
type Deleted struct {
	ID      domain.RepositoryID `json:"id"`
	Project domain.ProjectID    `json:"project"`
	Slug    string              `json:"slug"`
}

// EventType implements domain.Event.
func (Deleted) EventType() string { return "repository.deleted.v1" }

// Restored brings a deleted repository back, under the name and into the project
// that it says, which are the old ones unless they have been taken or deleted.
type Restored struct {
	ID      domain.RepositoryID `json:"id"`
	Project domain.ProjectID    `json:"project"`
	Name    string              `json:"name"`
	Slug    string              `json:"slug"`
}

// EventType implements domain.Event.
func (Restored) EventType() string { return "repository.restored.v1" }

// RefsUpdated is a push: the refs it moved and the pack that brought the objects.
type RefsUpdated struct {
	Updates []git.RefUpdate `json:"updates"`           // only those that took effect, in the pusher's order
	Pack    *git.Pack       `json:"pack,omitempty"`    // nil if the push brought no objects
	Options []string        `json:"options,omitempty"` // push options, as sent
}

// EventType implements domain.Event.
func (RefsUpdated) EventType() string { return "repository.refs_updated.v1" }

// OwnOption begins the options that only we give to a push, and no client may.
const OwnOption = "annal."

// RestoreOption begins the option of a push that brings refs back to a position of the log,
// which follows.
const RestoreOption = OwnOption + "restore="

// Restores reports whether the push brought refs back.
func (e RefsUpdated) Restores() bool {
	return slices.ContainsFunc(e.Options, func(option string) bool { return strings.HasPrefix(option, RestoreOption) })
}

var _ = []domain.Event{
	Created{}, Renamed{}, Moved{}, SettingsChanged{}, DefaultBranchChanged{},
	Deleted{}, Restored{}, RefsUpdated{},
}
