package account

import (
	"maps"
	"slices"

	"github.com/annal-git/annal/domain"
)

// MaxGrants is how many times a user may let one application in: one more ends the oldest.
const MaxGrants = 10

// GrantID is the number of a user's word that an application may act for him. It is never
// reused.
type GrantID int64

// ApplicationAuthorized lets an application act for a user.
type ApplicationAuthorized struct {
	User   domain.UserID        `json:"user"`
	Grant  GrantID              `json:"grant"`
	Client domain.OAuthClientID `json:"client"`
	Scopes []string             `json:"scopes"`
}

// EventType implements domain.Event.
func (ApplicationAuthorized) EventType() string { return "user.application_authorized.v1" }

// ApplicationRevoked takes that back: all tokens that came of it are worthless.
type ApplicationRevoked struct {
	User   domain.UserID `json:"user"`
	Grant  GrantID       `json:"grant"`
	Reason string        `json:"reason"` // one of the Revoked constants
}

// EventType implements domain.Event.
func (ApplicationRevoked) EventType() string { return "user.application_revoked.v1" }

// Why an application is shut out.
const (
	RevokedByUser        = "user"
	RevokedByApplication = "application"
	RevokedAsOldest      = "oldest" // the user has let the same one in again, and again
	RevokedAsReused      = "reused" // a code or refresh token came twice: somebody else has it
)

// AuthorizeApplication lets an application in.
type AuthorizeApplication struct {
	Grant  GrantID
	Client domain.OAuthClientID
	Scopes []string
}

// RevokeApplication shuts one out.
type RevokeApplication struct {
	Grant  GrantID
	Reason string
}

func (AuthorizeApplication) command() {}
func (RevokeApplication) command()    {}

func (s State) authorize(c AuthorizeApplication) ([]domain.Event, error) {
	if s.Inactive {
		return nil, domain.Conflict("", "The user is not active.")
	}
	var events []domain.Event
	var before []GrantID
	for grant, client := range s.Grants {
		if client == c.Client {
			before = append(before, grant)
		}
	}
	slices.Sort(before)
	if more := len(before) + 1 - MaxGrants; more > 0 {
		for _, oldest := range before[:more] {
			events = append(events, ApplicationRevoked{User: s.ID, Grant: oldest, Reason: RevokedAsOldest})
		}
	}
	return append(events, ApplicationAuthorized{User: s.ID, Grant: c.Grant, Client: c.Client, Scopes: c.Scopes}), nil
}

func (s State) revoke(c RevokeApplication) ([]domain.Event, error) {
	if _, live := s.Grants[c.Grant]; !live {
		return nil, domain.NotFound("grant", "The authorization does not exist.")
	}
	return one(ApplicationRevoked{User: s.ID, Grant: c.Grant, Reason: c.Reason}), nil
}

func withGrant(grants map[GrantID]domain.OAuthClientID, id GrantID, client domain.OAuthClientID) map[GrantID]domain.OAuthClientID {
	grants = maps.Clone(grants)
	if grants == nil {
		grants = make(map[GrantID]domain.OAuthClientID)
	}
	grants[id] = client
	return grants
}
