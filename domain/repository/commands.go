package repository

import "github.com/annal-git/annal/domain"

// Command is something one may ask of a repository: Create, Fork, Update, Delete or
// Restore. Pushes are decided by DecidePush, which needs the refs and not State.
type Command interface{ command() }

// Create makes an empty repository.
type Create struct {
	ID            domain.RepositoryID
	Storage       string // a fresh UUID
	Project       domain.ProjectID
	Name          string
	DefaultBranch string // short or full name; "" means InitialBranch
	Settings
}

// Update changes what is not nil. A new name brings a new slug, a new project
// moves the repository.
type Update struct {
	Name, Description, DefaultBranch *string
	Project                          *domain.ProjectID
	Public, Forkable                 *bool
}

// Delete takes a repository out of sight, to be restored at will.
type Delete struct{}

// Restore brings a deleted repository back. Name and Project replace the old
// ones if they are not zero.
type Restore struct {
	Name    string
	Project domain.ProjectID
}

func (Create) command()  {}
func (Update) command()  {}
func (Delete) command()  {}
func (Restore) command() {}
