package project

import "github.com/annal-git/annal/domain"

// State is a project as its events so far have made it. The zero State is a
// project that does not exist.
type State struct {
	ID      domain.ProjectID
	Deleted bool
	Settings
}

// Exists reports whether the project has been created and not deleted.
func (s State) Exists() bool { return s.ID != 0 && !s.Deleted }

// Command is something one may ask of a project: Create, Update or Delete.
type Command interface{ command() }

// Create makes a project. The key may be given in any case.
type Create struct {
	ID domain.ProjectID
	Settings
}

// Update changes the settings that are not nil.
type Update struct {
	Key, Name, Description *string
	Public                 *bool
}

// Delete ends a project.
type Delete struct{}

func (Create) command() {}
func (Update) command() {}
func (Delete) command() {}

// Evolve folds one event into the state. Events of other aggregates in the same
// stream leave it as it is.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case Created:
		s.ID, s.Settings = e.ID, e.Settings
	case Updated:
		s.Settings = e.Settings
	case Deleted:
		s.Deleted = true
	}
	return s
}

// Decide judges a command. It returns no event when nothing would change. Errors
// are *domain.InvalidError, *domain.ConflictError and *domain.NotFoundError.
func Decide(s State, command Command) ([]domain.Event, error) {
	if c, ok := command.(Create); ok {
		return s.create(c)
	}
	if !s.Exists() {
		return nil, domain.NotFound("project", "The project does not exist.")
	}
	if c, ok := command.(Update); ok {
		return s.update(c)
	}
	return []domain.Event{Deleted{ID: s.ID, Key: s.Key}}, nil
}

func (s State) create(c Create) ([]domain.Event, error) {
	if s.ID != 0 {
		return nil, domain.Conflict("", "The project exists already.")
	}
	settings := c.normalize()
	if err := settings.check(); err != nil {
		return nil, err
	}
	return []domain.Event{Created{ID: c.ID, Settings: settings}}, nil
}

func (s State) update(c Update) ([]domain.Event, error) {
	settings := s.Settings
	set(&settings.Key, c.Key)
	set(&settings.Name, c.Name)
	set(&settings.Description, c.Description)
	set(&settings.Public, c.Public)
	settings = settings.normalize()
	if settings == s.Settings {
		return nil, nil
	}
	if err := settings.check(); err != nil {
		return nil, err
	}
	return []domain.Event{Updated{ID: s.ID, Old: s.Settings, Settings: settings}}, nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
