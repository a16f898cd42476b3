package access

import "github.com/annal-git/annal/domain"

// Target is what a permission is granted on: the project or repository whose id is
// not zero, else the whole installation.
type Target struct {
	Project    domain.ProjectID    `json:"project,omitempty"`
	Repository domain.RepositoryID `json:"repository,omitempty"`
}

// Level is the level of the permissions that can be granted on t.
func (t Target) Level() Level {
	switch {
	case t.Repository != 0:
		return Repository
	case t.Project != 0:
		return Project
	}
	return Global
}

// Stream is where the grant of a permission to user on t is recorded.
func (t Target) Stream(user domain.UserID) domain.Stream {
	switch t.Level() {
	case Repository:
		return domain.RepositoryStream(t.Repository)
	case Project:
		return domain.ProjectStream(t.Project)
	default:
		return domain.UserStream(user)
	}
}

// Granted gives a user a permission in place of the one he had, if any.
type Granted struct {
	User       domain.UserID `json:"user"`
	Permission Permission    `json:"permission"`
	Old        Permission    `json:"old,omitempty"`
	Target
}

// EventType implements domain.Event.
func (Granted) EventType() string { return "access.granted.v1" }

// Revoked takes a user's permission away.
type Revoked struct {
	User       domain.UserID `json:"user"`
	Permission Permission    `json:"permission"` // the one he had
	Target
}

// EventType implements domain.Event.
func (Revoked) EventType() string { return "access.revoked.v1" }

var _ = []domain.Event{Granted{}, Revoked{}}

// State is the permissions granted in one stream, by user.
type State map[domain.UserID]Permission

// Evolve folds one event into the state. Events of other aggregates in the same
// stream leave it as it is. The state given is used up: a fold over many grants
// must not copy the map for each.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case Granted:
		if s == nil {
			s = State{}
		}
		s[e.User] = e.Permission
	case Revoked:
		delete(s, e.User)
	}
	return s
}

// Command is something one may ask about permissions: Grant or Revoke.
type Command interface{ command() }

// Grant gives a user a permission in place of the one he has.
type Grant struct {
	User       domain.UserID
	Permission Permission
	Target
}

// Revoke takes a user's permission on the target away.
type Revoke struct {
	User domain.UserID
	Target
}

func (Grant) command()  {}
func (Revoke) command() {}

// Decide judges a command. It returns no event when nothing would change. Errors
// are *domain.InvalidError.
func Decide(s State, command Command) ([]domain.Event, error) {
	switch c := command.(type) {
	case Grant:
		if !c.Permission.Valid() || c.Permission.Level() != c.Target.Level() {
			return nil, domain.Invalid("permission", "%q cannot be granted here.", clip(string(c.Permission)))
		}
		if old := s[c.User]; old != c.Permission {
			return []domain.Event{Granted{User: c.User, Permission: c.Permission, Old: old, Target: c.Target}}, nil
		}
	case Revoke:
		if old, had := s[c.User]; had {
			return []domain.Event{Revoked{User: c.User, Permission: old, Target: c.Target}}, nil
		}
	}
	return nil, nil
}
