package ratelimit

import (
	"math"
	"slices"

	"github.com/annal-git/annal/domain"
)

// Stream is where all that is set about rate limits is recorded.
const Stream domain.Stream = "rate-limit"

// Bounds of what can be set.
const (
	MaxUsers  = 10_000 // users with settings of their own
	MaxAtOnce = 1_000  // users that one command names
)

// Settings hold for the whole installation.
type Settings struct {
	Enabled bool  `json:"enabled"`
	Default Limit `json:"defaultSettings"` // of everybody who has none of his own
}

// Own settings are those of one user.
type Own struct {
	Exempt bool  `json:"exempt,omitempty"` // he is not limited at all
	Limit  Limit `json:"limit,omitzero"`   // zero if he is exempt
}

// State is what has been set. The zero State is that of a new installation.
type State struct {
	set   Settings // zero if nothing was
	Users map[domain.UserID]Own
}

// Settings returns those of the installation.
func (s State) Settings() Settings {
	if s.set.Default == (Limit{}) {
		return Settings{Enabled: s.set.Enabled, Default: Default}
	}
	return s.set
}

// Evolve folds one event into the state given, which is used up.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case SettingsChanged:
		s.set = e.Settings
	case UsersSet:
		if s.Users == nil {
			s.Users = map[domain.UserID]Own{}
		}
		for _, user := range e.Users {
			s.Users[user] = e.Own
		}
	case UserReset:
		delete(s.Users, e.User)
	}
	return s
}

// Command is something that administrators want to set.
type Command interface {
	decide(State) ([]domain.Event, error)
}

// Decide returns what happens when a command is carried out, nothing if all is so already.
// Errors are *domain.InvalidError, *domain.ConflictError and *domain.NotFoundError.
func Decide(s State, c Command) ([]domain.Event, error) { return c.decide(s) }

// Change changes the settings of the installation; nil leaves something as it is.
type Change struct {
	Enabled *bool
	Default *Limit
}

func (c Change) decide(s State) ([]domain.Event, error) {
	old := s.Settings()
	to := old
	if c.Enabled != nil {
		to.Enabled = *c.Enabled
	}
	if c.Default != nil {
		to.Default = *c.Default
	}
	if err := to.Default.check("defaultSettings"); err != nil {
		return nil, err
	}
	if to == old {
		return nil, nil
	}
	return []domain.Event{SettingsChanged{Old: old, Settings: to}}, nil
}

// SetUsers gives users settings of their own.
type SetUsers struct {
	Users []domain.UserID
	Own   Own
}

func (c SetUsers) decide(s State) ([]domain.Event, error) {
	switch {
	case len(c.Users) == 0:
		return nil, domain.Invalid("usernames", "Name at least one user.")
	case len(c.Users) > MaxAtOnce:
		return nil, domain.Invalid("usernames", "Name at most %d users at once.", MaxAtOnce)
	case c.Own.Exempt && c.Own.Limit != (Limit{}):
		return nil, domain.Invalid("settings", "A user is either exempt or has settings, not both.")
	case !c.Own.Exempt:
		if err := c.Own.Limit.check("settings"); err != nil {
			return nil, err
		}
	}
	var changed []domain.UserID
	added := 0
	for _, user := range c.Users {
		own, has := s.Users[user]
		if has && own == c.Own || slices.Contains(changed, user) {
			continue
		}
		if !has {
			added++
		}
		changed = append(changed, user)
	}
	switch {
	case len(changed) == 0:
		return nil, nil
	case len(s.Users)+added > MaxUsers:
		return nil, domain.Conflict("", "At most %d users can have rate limits of their own. Remove some, or change the default.", MaxUsers)
	}
	return []domain.Event{UsersSet{Users: changed, Own: c.Own}}, nil
}

// ResetUser takes a user's own settings away.
type ResetUser struct{ User domain.UserID }

func (c ResetUser) decide(s State) ([]domain.Event, error) {
	if _, has := s.Users[c.User]; !has {
		return nil, NoSettings()
	}
	return []domain.Event{UserReset(c)}, nil
}

// NoSettings says that a user has no settings of his own.
func NoSettings() error {
	return domain.NotFound("rateLimit", "The user has no rate limit settings of his own.")
}

func (l Limit) check(field string) error {
	if l.Capacity < 1 || l.FillRate < 1 || l.Capacity > math.MaxInt32 || l.FillRate > math.MaxInt32 {
		return domain.Invalid(field, "Both capacity and fillRate are required, as numbers from 1 to %d.", math.MaxInt32)
	}
	return nil
}

// Rules are the state as it is judged by.
type Rules struct {
	Settings
	Users map[domain.UserID]Own
}

// Of returns the limit of a user, or that he has none.
func (r *Rules) Of(user domain.UserID) (limit Limit, limited bool) {
	own, has := r.Users[user]
	if !has {
		return r.Default, true
	}
	return own.Limit, !own.Exempt
}
