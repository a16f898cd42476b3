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

// Holder is who holds a permission: a user or a group, of which one is zero; the zero
// Holder is everybody who may log in.
type Holder struct {
	User  domain.UserID
	Group domain.GroupID
}

// Stream is where the grant of a permission to user on t is recorded.
func (t Target) Stream(user domain.UserID) domain.Stream { return t.StreamOf(Holder{User: user}) }

// StreamOf is where the grant of a permission to a user or group on t is recorded: with
// the target, or with the holder if that is the whole installation.
func (t Target) StreamOf(h Holder) domain.Stream {
	switch {
	case t.Level() == Repository:
		return domain.RepositoryStream(t.Repository)
	case t.Level() == Project:
		return domain.ProjectStream(t.Project)
	case h.Group != 0:
		return domain.GroupStream(h.Group)
	default:
		return domain.UserStream(h.User)
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

// GroupGranted gives a group a permission in place of the one it had, if any.
type GroupGranted struct {
	Group      domain.GroupID `json:"group"`
	Permission Permission     `json:"permission"`
	Old        Permission     `json:"old,omitempty"`
	Target
}

// EventType implements domain.Event.
func (GroupGranted) EventType() string { return "access.group_granted.v1" }

// GroupRevoked takes a group's permission away.
type GroupRevoked struct {
	Group      domain.GroupID `json:"group"`
	Permission Permission     `json:"permission"` // the one it had
	Target
}

// EventType implements domain.Event.
func (GroupRevoked) EventType() string { return "access.group_revoked.v1" }

// DefaultChanged sets what everybody who may log in may do with a project.
type DefaultChanged struct {
	Project    domain.ProjectID `json:"project"`
	Permission Permission       `json:"permission,omitempty"` // "" for nothing
	Old        Permission       `json:"old,omitempty"`
}

// EventType implements domain.Event.
func (DefaultChanged) EventType() string { return "access.default_changed.v1" }

var _ = []domain.Event{Granted{}, Revoked{}, GroupGranted{}, GroupRevoked{}, DefaultChanged{}}

// State is the permissions granted in one stream, by holder.
type State map[Holder]Permission

// Evolve folds one event into the state. Events of other aggregates in the same
// stream leave it as it is. The state given is used up: a fold over many grants
// must not copy the map for each.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case Granted:
		return s.with(Holder{User: e.User}, e.Permission)
	case Revoked:
		return s.with(Holder{User: e.User}, "")
	case GroupGranted:
		return s.with(Holder{Group: e.Group}, e.Permission)
	case GroupRevoked:
		return s.with(Holder{Group: e.Group}, "")
	case DefaultChanged:
		return s.with(Holder{}, e.Permission)
	}
	return s
}

func (s State) with(h Holder, p Permission) State {
	if p == "" {
		delete(s, h)
		return s
	}
	if s == nil {
		s = State{}
	}
	s[h] = p
	return s
}

// Command is something one may ask about permissions: Grant, Revoke or SetDefault.
type Command interface{ command() }

// Grant gives a user or a group a permission in place of the one they have. Either User
// or Group is zero.
type Grant struct {
	User       domain.UserID
	Group      domain.GroupID
	Permission Permission
	Target
}

// Revoke takes a user's or a group's permission on the target away.
type Revoke struct {
	User  domain.UserID
	Group domain.GroupID
	Target
}

// SetDefault sets what everybody who may log in may do with a project; "" is nothing.
type SetDefault struct {
	Project    domain.ProjectID
	Permission Permission
}

func (Grant) command()      {}
func (Revoke) command()     {}
func (SetDefault) command() {}

// Decide judges a command. It returns no event when nothing would change. Errors
// are *domain.InvalidError.
func Decide(s State, command Command) ([]domain.Event, error) {
	switch c := command.(type) {
	case Grant:
		return s.grant(c)
	case Revoke:
		old, had := s[Holder{c.User, c.Group}]
		switch {
		case !had:
			return nil, nil
		case c.Group != 0:
			return []domain.Event{GroupRevoked{Group: c.Group, Permission: old, Target: c.Target}}, nil
		}
		return []domain.Event{Revoked{User: c.User, Permission: old, Target: c.Target}}, nil
	case SetDefault:
		if c.Permission != "" && c.Permission.Level() != Project {
			return nil, domain.Invalid("permission", "%q cannot be granted to everybody.", clip(string(c.Permission)))
		}
		if old := s[Holder{}]; old != c.Permission {
			return []domain.Event{DefaultChanged{Project: c.Project, Permission: c.Permission, Old: old}}, nil
		}
	}
	return nil, nil
}

func (s State) grant(c Grant) ([]domain.Event, error) {
	if !c.Permission.Valid() || c.Permission.Level() != c.Target.Level() || (c.User != 0) == (c.Group != 0) {
		return nil, domain.Invalid("permission", "%q cannot be granted here.", clip(string(c.Permission)))
	}
	old := s[Holder{c.User, c.Group}]
	switch {
	case old == c.Permission:
		return nil, nil
	case c.Group != 0:
		return []domain.Event{GroupGranted{Group: c.Group, Permission: c.Permission, Old: old, Target: c.Target}}, nil
	}
	return []domain.Event{Granted{User: c.User, Permission: c.Permission, Old: old, Target: c.Target}}, nil
}
