package account

import (
	"maps"
	"strings"

	"github.com/annal-git/annal/domain"
)

// maxIdentity bounds the parts of an Identity, in bytes. OpenID Connect allows subjects of 255.
const maxIdentity = 255

// Identity is whom a provider of OpenID Connect knows a user as.
type Identity struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// IdentityLinked lets a user log in by a provider.
type IdentityLinked struct {
	User     domain.UserID `json:"user"`
	Identity Identity      `json:"-"`
}

// EventType implements domain.Event.
func (IdentityLinked) EventType() string { return "user.identity_linked.v1" }

// Subject implements domain.Personal.
func (e *IdentityLinked) Subject() domain.UserID { return e.User }

// PersonalData implements domain.Personal.
func (e *IdentityLinked) PersonalData() any { return &e.Identity }

// LinkIdentity links the user to what a provider calls him.
type LinkIdentity Identity

func (LinkIdentity) command() {}

func (s State) linkIdentity(c LinkIdentity) ([]domain.Event, error) {
	for _, part := range []string{c.Issuer, c.Subject} {
		if part == "" || strings.ContainsRune(part, 0) || len(part) > maxIdentity {
			return nil, domain.Invalid("", "The provider's name for the user must have 1 to %d bytes.", maxIdentity)
		}
	}
	switch linked, is := s.Identities[c.Issuer]; {
	case is && linked == c.Subject:
		return nil, nil
	case is:
		return nil, domain.Conflict("", "The user is linked to another account of this provider.")
	}
	return one(IdentityLinked{User: s.ID, Identity: Identity(c)}), nil
}

func withIdentity(identities map[string]string, linked Identity) map[string]string {
	identities = maps.Clone(identities)
	if identities == nil {
		identities = make(map[string]string)
	}
	identities[linked.Issuer] = linked.Subject
	return identities
}
