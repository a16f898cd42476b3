package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
)

// Limits.
const (
	MaxName   = 255    // characters of a name
	MaxUsers  = 50_000 // users directly in a group
	MaxGroups = 500    // groups directly in a group
	MaxAtOnce = 1_000  // members that one command names
)

// State is a group as its events so far have made it. The zero State is a group that
// does not exist.
type State struct {
	ID      domain.GroupID
	Name    string
	Deleted bool
	Users   map[domain.UserID]bool
	Groups  map[domain.GroupID]bool
}

// Exists reports whether the group has been created and not deleted.
func (s State) Exists() bool { return s.ID != 0 && !s.Deleted }

// Evolve folds one event into the state. Events of other aggregates in the same stream
// leave it as it is. The state given is used up: a fold over many members must not copy
// them for each event.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case Created:
		s.ID, s.Name = e.ID, e.Name
		s.Users, s.Groups = map[domain.UserID]bool{}, map[domain.GroupID]bool{}
	case Renamed:
		s.Name = e.Name
	case MembersAdded:
		for _, u := range e.Users {
			s.Users[u] = true
		}
		for _, g := range e.Groups {
			s.Groups[g] = true
		}
	case MembersRemoved:
		for _, u := range e.Users {
			delete(s.Users, u)
		}
		for _, g := range e.Groups {
			delete(s.Groups, g)
		}
	case Deleted:
		s = State{ID: s.ID, Deleted: true}
	}
	return s
}

// Command is something one may ask of a group: Create, Rename, AddMembers, RemoveMembers
// or Delete.
type Command interface{ command() }

// Create makes a group.
type Create struct {
	ID   domain.GroupID
	Name string
}

// Rename gives the group another name.
type Rename struct{ Name string }

// AddMembers brings users and groups into the group. Those in it already are passed over.
type AddMembers Members

// RemoveMembers takes users and groups out of the group. Those not in it are passed over.
type RemoveMembers Members

// Delete ends the group.
type Delete struct{}

func (Create) command()        {}
func (Rename) command()        {}
func (AddMembers) command()    {}
func (RemoveMembers) command() {}
func (Delete) command()        {}

// Decide judges a command. It returns no event when nothing would change. Errors are
// *domain.InvalidError, *domain.ConflictError and *domain.NotFoundError.
func Decide(s State, command Command) ([]domain.Event, error) {
	if c, ok := command.(Create); ok {
		return s.create(c)
	}
	if !s.Exists() {
		return nil, domain.NotFound("group", "The group does not exist.")
	}
	switch c := command.(type) {
	case Rename:
		return s.rename(c)
	case AddMembers:
		return s.add(Members(c))
	case RemoveMembers:
		return s.remove(Members(c))
	}
	return one(Deleted{ID: s.ID, Name: s.Name}), nil
}

func one(event domain.Event) []domain.Event { return []domain.Event{event} }

func (s State) create(c Create) ([]domain.Event, error) {
	if s.ID != 0 {
		return nil, domain.Conflict("", "The group exists already.")
	}
	name, err := checkName(c.Name)
	if err != nil {
		return nil, err
	}
	return one(Created{ID: c.ID, Name: name}), nil
}

func (s State) rename(c Rename) ([]domain.Event, error) {
	name, err := checkName(c.Name)
	if err != nil || name == s.Name {
		return nil, err
	}
	return one(Renamed{ID: s.ID, Old: s.Name, Name: name}), nil
}

func (s State) add(m Members) ([]domain.Event, error) {
	if err := m.checkSize(); err != nil {
		return nil, err
	}
	if slices.Contains(m.Groups, s.ID) {
		return nil, domain.Conflict("", "A group cannot be a member of itself.")
	}
	added := Members{Users: chosen(m.Users, s.Users, false), Groups: chosen(m.Groups, s.Groups, false)}
	switch {
	case len(added.Users)+len(s.Users) > MaxUsers:
		return nil, domain.Invalid("", "A group may have %d users. Make several, and put them into another group.", MaxUsers)
	case len(added.Groups)+len(s.Groups) > MaxGroups:
		return nil, domain.Invalid("", "A group may have %d groups in it.", MaxGroups)
	case len(added.Users)+len(added.Groups) == 0:
		return nil, nil
	}
	return one(MembersAdded{ID: s.ID, Members: added}), nil
}

func (s State) remove(m Members) ([]domain.Event, error) {
	if err := m.checkSize(); err != nil {
		return nil, err
	}
	removed := Members{Users: chosen(m.Users, s.Users, true), Groups: chosen(m.Groups, s.Groups, true)}
	if len(removed.Users)+len(removed.Groups) == 0 {
		return nil, nil
	}
	return one(MembersRemoved{ID: s.ID, Members: removed}), nil
}

func (m Members) checkSize() error {
	if len(m.Users)+len(m.Groups) > MaxAtOnce {
		return domain.Invalid("", "At most %d members can be changed at once.", MaxAtOnce)
	}
	return nil
}

// chosen is those of the ids that are in the set, or those that are not, each once.
func chosen[T domain.UserID | domain.GroupID](ids []T, set map[T]bool, in bool) []T {
	distinct := map[T]bool{}
	for _, id := range ids {
		if set[id] == in {
			distinct[id] = true
		}
	}
	if len(distinct) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(distinct))
}

func checkName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", domain.Invalid("name", "The group needs a name.")
	}
	return name, domain.CheckText("name", name, MaxName, false)
}
