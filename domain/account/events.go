package account

import (
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

// Type is what kind of user one is.
type Type string

// The types, by Bitbucket's names.
const (
	Normal      Type = "NORMAL"  // a person
	Service     Type = "SERVICE" // a program
	AccessKey   Type = "KEY"     // whoever holds an access key; see domain/access/adr/0001
	AccessToken Type = "TOKEN"   // whoever holds a token of a project or repository; see there
)

// TokenID is the number of an HTTP access token: a personal one, or one of a project or repository.
// It is never reused.
type TokenID int64

// Created begins a user.
type Created struct {
	ID      domain.UserID `json:"id"`
	Type    Type          `json:"type"`
	SetUp   bool          `json:"setUp,omitempty"` // made by the first set-up; there is one such user
	Profile Profile       `json:"-"`
}

// EventType implements domain.Event.
func (Created) EventType() string { return "user.created.v1" }

// Subject implements domain.Personal.
func (e *Created) Subject() domain.UserID { return e.ID }

// PersonalData implements domain.Personal.
func (e *Created) PersonalData() any { return &e.Profile }

// ProfileChanged replaces a user's profile.
type ProfileChanged struct {
	ID      domain.UserID `json:"id"`
	Profile Profile       `json:"-"`
}

// EventType implements domain.Event.
func (ProfileChanged) EventType() string { return "user.profile_changed.v1" }

// Subject implements domain.Personal.
func (e *ProfileChanged) Subject() domain.UserID { return e.ID }

// PersonalData implements domain.Personal.
func (e *ProfileChanged) PersonalData() any { return &e.Profile }

// Secret holds the hash of a password.
type Secret struct {
	Hash string `json:"hash"` // in PHC string format; opaque here
}

// PasswordSet gives a user a password in place of the one he had, if any.
type PasswordSet struct {
	ID     domain.UserID `json:"id"`
	Secret Secret        `json:"-"`
}

// EventType implements domain.Event.
func (PasswordSet) EventType() string { return "user.password_set.v1" }

// Subject implements domain.Personal.
func (e *PasswordSet) Subject() domain.UserID { return e.ID }

// PersonalData implements domain.Personal.
func (e *PasswordSet) PersonalData() any { return &e.Secret }

// Deactivated shuts a user out.
type Deactivated struct {
	ID domain.UserID `json:"id"`
}

// EventType implements domain.Event.
func (Deactivated) EventType() string { return "user.deactivated.v1" }

// Activated lets a user in again.
type Activated struct {
	ID domain.UserID `json:"id"`
}

// EventType implements domain.Event.
func (Activated) EventType() string { return "user.activated.v1" }

// TokenDetails is the part of a token that is personal data.
type TokenDetails struct {
	Name string `json:"name"`
	Hash []byte `json:"hash,omitempty"` // of the token; empty where only the name changed
}

// TokenCreated gives a user an HTTP access token. That of a project or repository belongs to a user
// who was made for it.
type TokenCreated struct {
	User        domain.UserID       `json:"user"`
	ID          TokenID             `json:"id"`
	Permissions []access.Permission `json:"permissions"`
	Expires     *time.Time          `json:"expires,omitempty"` // nil: never
	Details     TokenDetails        `json:"-"`
}

// EventType implements domain.Event.
func (TokenCreated) EventType() string { return "user.token_created.v1" }

// Subject implements domain.Personal.
func (e *TokenCreated) Subject() domain.UserID { return e.User }

// PersonalData implements domain.Personal.
func (e *TokenCreated) PersonalData() any { return &e.Details }

// TokenChanged gives a token another name and other permissions. Its Details carry
// no hash.
type TokenChanged struct {
	User        domain.UserID       `json:"user"`
	ID          TokenID             `json:"id"`
	Permissions []access.Permission `json:"permissions"`
	Details     TokenDetails        `json:"-"`
}

// EventType implements domain.Event.
func (TokenChanged) EventType() string { return "user.token_changed.v1" }

// Subject implements domain.Personal.
func (e *TokenChanged) Subject() domain.UserID { return e.User }

// PersonalData implements domain.Personal.
func (e *TokenChanged) PersonalData() any { return &e.Details }

// TokenRevoked ends a token for ever.
type TokenRevoked struct {
	User domain.UserID `json:"user"`
	ID   TokenID       `json:"id"`
}

// EventType implements domain.Event.
func (TokenRevoked) EventType() string { return "user.token_revoked.v1" }

// Erased forgets a user for ever: who he was, his tokens, where his requests came from.
// The personal parts of the events at Positions, ranges with both ends included, are
// deleted in the transaction that appends this event. There is one such event for each
// part of the log that an erasure goes through.
type Erased struct {
	ID        domain.UserID `json:"id"`
	Positions [][2]int64    `json:"positions"`
}

// EventType implements domain.Event.
func (Erased) EventType() string { return "account.erased.v1" }

var (
	_ = []domain.Event{Erased{}, Deactivated{}, Activated{}, TokenRevoked{}}
	_ = []domain.Personal{&Created{}, &ProfileChanged{}, &PasswordSet{}, &TokenCreated{}, &TokenChanged{}}
)
