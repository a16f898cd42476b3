package lfs

import (
	"strconv"

	"github.com/annal-git/annal/domain"
)

// Stream is where the objects and locks of a repository are recorded.
func Stream(id domain.RepositoryID) domain.Stream {
	return domain.Stream("lfs/" + strconv.FormatInt(int64(id), 10))
}

// EventTypes is what the names of this package's event types begin with, and no others.
const EventTypes = "lfs."

// ObjectAdded says that a repository has an object, whose content is durable on the shared
// home.
type ObjectAdded struct {
	Repository domain.RepositoryID `json:"repository"`
	OID        OID                 `json:"oid"`
	Size       int64               `json:"size"` // bytes
}

// EventType implements domain.Event.
func (ObjectAdded) EventType() string { return "lfs.object_added.v1" }

// Locked keeps others from changing a path.
type Locked struct {
	Lock
}

// EventType implements domain.Event.
func (Locked) EventType() string { return "lfs.locked.v1" }

// Unlocked ends a lock, which is given as it was.
type Unlocked struct {
	Lock
	Forced bool `json:"forced,omitempty"` // somebody else's lock
}

// EventType implements domain.Event.
func (Unlocked) EventType() string { return "lfs.unlocked.v1" }

// SettingsChanged replaces the settings of a repository or project.
type SettingsChanged struct {
	Target
	Old      Settings `json:"old"`
	Settings Settings `json:"settings"`
}

// EventType implements domain.Event.
func (SettingsChanged) EventType() string { return "lfs.settings_changed.v1" }

var _ = []domain.Event{ObjectAdded{}, Locked{}, Unlocked{}, SettingsChanged{}}
