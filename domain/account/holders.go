package account

import (
	"fmt"
	"maps"
	"slices"

	"github.com/annal-git/annal/domain"
)

// AccessKeyHolder is the command that makes the service user of an access key. Its name is
// one that nobody can choose, since names have no slash.
func AccessKeyHolder(id domain.UserID, label string) Create {
	return holder(AccessKey, fmt.Sprintf("access-key/%d", id), id, label)
}

// AccessTokenHolder is the command that makes the service user of a token of a project or a
// repository. Its name is one that nobody can choose, too.
func AccessTokenHolder(id domain.UserID, label string) Create {
	return holder(AccessToken, fmt.Sprintf("access-token/%d", id), id, label)
}

func holder(kind Type, name string, id domain.UserID, label string) Create {
	if label == "" {
		label = name
	}
	return Create{ID: id, Type: kind, Profile: Profile{Name: name, Slug: name, DisplayName: label}}
}

// Holds reports whether users of the type are no people nor programs but whoever holds an access
// key, or a token of a project or repository. They need no permission to log in.
func (t Type) Holds() bool { return t == AccessKey || t == AccessToken }

// End ends a service user together with his keys and tokens. For ones that can be managed as users
// it is a *domain.ConflictError.
type End struct{}

func (End) command() {}

func (s State) end() ([]domain.Event, error) {
	if !s.Type.Holds() {
		return nil, domain.Conflict("", "Only the users of access keys and tokens end with them.")
	}
	var events []domain.Event
	for _, id := range slices.Sorted(maps.Keys(s.SSHKeys)) {
		events = append(events, SSHKeyRemoved{User: s.ID, ID: id})
	}
	for _, id := range slices.Sorted(maps.Keys(s.Tokens)) {
		events = append(events, TokenRevoked{User: s.ID, ID: id})
	}
	if !s.Inactive {
		events = append(events, Deactivated{ID: s.ID})
	}
	return events, nil
}
