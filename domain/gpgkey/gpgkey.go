// Package gpgkey is the GPG keys that users sign their commits with: events of the users'
// streams. What a key says of its owner is personal data, and so is the key itself.
//
// A key may be several users': nobody can keep a key from its owner by adding it first,
// for a signature counts for the user whose e-mail address the commit has.
package gpgkey

import (
	"maps"
	"time"

	"github.com/annal-git/annal/domain"
)

// Limits of keys.
const (
	MaxKeys  = 100       // of a user
	MaxBytes = 256 << 10 // of a key's text
)

// ID is the number of a key. It is never reused.
type ID int64

// Subkey is a part of a key that signs by itself.
type Subkey struct {
	Fingerprint string     `json:"fingerprint"` // lower case hexadecimal digits
	Expires     *time.Time `json:"expires,omitempty"`
}

// Details is a key. It is personal data.
type Details struct {
	Fingerprint string     `json:"fingerprint"` // of the primary key, lower case hexadecimal digits
	KeyID       string     `json:"keyId"`       // of the primary key, 16 such digits
	Email       string     `json:"email,omitempty"`
	Expires     *time.Time `json:"expires,omitempty"` // nil: never
	Subkeys     []Subkey   `json:"subkeys,omitempty"`
	Text        string     `json:"text"` // armored public key
}

// Added gives a user a key.
type Added struct {
	User    domain.UserID `json:"user"`
	ID      ID            `json:"id"`
	Details Details       `json:"-"`
}

// EventType implements domain.Event.
func (Added) EventType() string { return "gpg_key.added.v1" }

// Subject implements domain.Personal.
func (e *Added) Subject() domain.UserID { return e.User }

// PersonalData implements domain.Personal.
func (e *Added) PersonalData() any { return &e.Details }

// Removed takes a key away.
type Removed struct {
	User domain.UserID `json:"user"`
	ID   ID            `json:"id"`
}

// EventType implements domain.Event.
func (Removed) EventType() string { return "gpg_key.removed.v1" }

var (
	_ = []domain.Event{Removed{}}
	_ = []domain.Personal{&Added{}}
)

// State is a user's keys, by their fingerprints.
type State map[string]ID

// Evolve folds one event into the state. Events of other aggregates in the same stream
// leave it as it is.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case Added:
		s = maps.Clone(s)
		if s == nil {
			s = State{}
		}
		s[e.Details.Fingerprint] = e.ID
	case Removed:
		s = maps.Clone(s)
		maps.DeleteFunc(s, func(_ string, id ID) bool { return id == e.ID })
	}
	return s
}

// Command is something one may ask about a user's keys: Add or Remove.
type Command interface{ command() }

// Add gives a user a key, which has been read before.
type Add struct {
	User    domain.UserID
	ID      ID
	Details Details
}

// Remove takes keys away. What is not there is removed already.
type Remove struct {
	User domain.UserID
	IDs  []ID
}

func (Add) command()    {}
func (Remove) command() {}

// Decide judges a command. Errors are *domain.InvalidError and *domain.ConflictError.
func Decide(s State, command Command) ([]domain.Event, error) {
	switch c := command.(type) {
	case Add:
		if _, has := s[c.Details.Fingerprint]; has {
			return nil, domain.Conflict("text", "You have added this key already.")
		}
		if len(s) >= MaxKeys {
			return nil, domain.Invalid("text", "A user may have %d GPG keys. Delete one that is no longer needed.", MaxKeys)
		}
		if len(c.Details.Text) > MaxBytes {
			return nil, domain.Invalid("text", "A GPG key has at most %d bytes.", MaxBytes)
		}
		return []domain.Event{Added(c)}, nil
	case Remove:
		has := map[ID]bool{}
		for _, id := range s {
			has[id] = true
		}
		var events []domain.Event
		for _, id := range c.IDs {
			if has[id] {
				events, has[id] = append(events, Removed{User: c.User, ID: id}), false
			}
		}
		return events, nil
	}
	return nil, nil
}
