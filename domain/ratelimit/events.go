package ratelimit

import "github.com/annal-git/annal/domain"

// EventTypes is what the names of this package's event types begin with, and no others.
const EventTypes = "rate_limit."

// SettingsChanged replaces the settings of the installation.
type SettingsChanged struct {
	Old      Settings `json:"old"`
	Settings Settings `json:"settings"`
}

// EventType implements domain.Event.
func (SettingsChanged) EventType() string { return "rate_limit.settings_changed.v1" }

// UsersSet gives users settings of their own, in the place of those that they may have had.
type UsersSet struct {
	Users []domain.UserID `json:"users"`
	Own
}

// EventType implements domain.Event.
func (UsersSet) EventType() string { return "rate_limit.users_set.v1" }

// UserReset takes a user's own settings away: those of the installation hold for him.
type UserReset struct {
	User domain.UserID `json:"user"`
}

// EventType implements domain.Event.
func (UserReset) EventType() string { return "rate_limit.user_reset.v1" }

var _ = []domain.Event{SettingsChanged{}, UsersSet{}, UserReset{}}
