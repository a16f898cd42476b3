package repository

import (
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// InitialBranch is the default branch of a repository made without naming one.
const InitialBranch = "refs/heads/main"

// State is a repository as its events so far have made it, without its refs. The
// zero State is a repository that does not exist.
type State struct {
	ID            domain.RepositoryID
	Storage       string
	Project       domain.ProjectID
	Name, Slug    string
	DefaultBranch string
	Deleted       bool
	Settings
}

// Exists reports whether the repository has been created and is not deleted.
func (s State) Exists() bool { return s.ID != 0 && !s.Deleted }

// Evolve folds one event into the state. Events of other aggregates in the same
// stream, and pushes, leave it as it is.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case Created:
		return State{
			ID: e.ID, Storage: e.Storage, Project: e.Project, Name: e.Name, Slug: e.Slug,
			DefaultBranch: e.DefaultBranch, Settings: e.Settings,
		}
	case Renamed:
		s.Name, s.Slug = e.Name, e.Slug
	case Moved:
		s.Project = e.Project
	case SettingsChanged:
		s.Settings = e.Settings
	case DefaultBranchChanged:
		s.DefaultBranch = e.New
	case Deleted:
		s.Deleted = true
	case Restored:
		s.Deleted, s.Project, s.Name, s.Slug = false, e.Project, e.Name, e.Slug
	}
	return s
}

// Decide judges a command. It returns no event when nothing would change. Errors
// are *domain.InvalidError, *domain.ConflictError and *domain.NotFoundError.
func Decide(s State, command Command) ([]domain.Event, error) {
	switch c := command.(type) {
	case Create:
		return s.create(c)
	case Fork:
		return s.fork(c)
	case Restore:
		return s.restore(c)
	}
	if !s.Exists() {
		return nil, domain.NotFound("repository", "The repository does not exist.")
	}
	if c, ok := command.(Update); ok {
		return s.update(c)
	}
	return []domain.Event{Deleted{ID: s.ID, Project: s.Project, Slug: s.Slug}}, nil
}

func (s State) create(c Create) ([]domain.Event, error) {
	if s.ID != 0 {
		return nil, domain.Conflict("", "The repository exists already.")
	}
	slug, err := Slug(c.Name)
	if err != nil {
		return nil, err
	}
	if c.DefaultBranch == "" {
		c.DefaultBranch = InitialBranch
	}
	branch, err := fullBranch(c.DefaultBranch)
	if err != nil {
		return nil, err
	}
	if err := domain.CheckText("description", c.Description, MaxDescription, true); err != nil {
		return nil, err
	}
	return []domain.Event{Created{
		ID: c.ID, Storage: c.Storage, Project: c.Project, Name: strings.TrimSpace(c.Name), Slug: slug,
		DefaultBranch: branch, Settings: c.Settings,
	}}, nil
}

func (s State) restore(c Restore) ([]domain.Event, error) {
	if !s.Deleted {
		return nil, domain.NotFound("repository", "There is no such deleted repository.")
	}
	event := Restored{ID: s.ID, Project: s.Project, Name: s.Name, Slug: s.Slug}
	if c.Project != 0 {
		event.Project = c.Project
	}
	if c.Name != "" {
		slug, err := Slug(c.Name)
		if err != nil {
			return nil, err
		}
		event.Name, event.Slug = strings.TrimSpace(c.Name), slug
	}
	return []domain.Event{event}, nil
}

func (s State) update(c Update) ([]domain.Event, error) {
	var events []domain.Event
	if c.Name != nil && *c.Name != s.Name {
		slug, err := Slug(*c.Name)
		if err != nil {
			return nil, err
		}
		if name := strings.TrimSpace(*c.Name); name != s.Name {
			events = append(events, Renamed{ID: s.ID, OldName: s.Name, OldSlug: s.Slug, Name: name, Slug: slug})
		}
	}
	if c.Project != nil && *c.Project != s.Project {
		events = append(events, Moved{ID: s.ID, OldProject: s.Project, Project: *c.Project})
	}
	settings := s.Settings
	set(&settings.Description, c.Description)
	set(&settings.Public, c.Public)
	set(&settings.Forkable, c.Forkable)
	if settings != s.Settings {
		if err := domain.CheckText("description", settings.Description, MaxDescription, true); err != nil {
			return nil, err
		}
		events = append(events, SettingsChanged{ID: s.ID, Old: s.Settings, Settings: settings})
	}
	if c.DefaultBranch != nil {
		branch, err := fullBranch(*c.DefaultBranch)
		if err != nil {
			return nil, err
		}
		if branch != s.DefaultBranch {
			events = append(events, DefaultBranchChanged{ID: s.ID, Old: s.DefaultBranch, New: branch})
		}
	}
	return events, nil
}

// fullBranch brings a branch's short or full name to its full name and checks it.
func fullBranch(name string) (string, error) {
	if !strings.HasPrefix(name, "refs/") {
		name = "refs/heads/" + name
	}
	if !strings.HasPrefix(name, "refs/heads/") {
		return "", domain.Invalid("defaultBranch", "The default branch must be below refs/heads/.")
	}
	if err := git.CheckRefName(name); err != nil {
		return "", domain.Invalid("defaultBranch", "%s.", err)
	}
	return name, nil
}

func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}
