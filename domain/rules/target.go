package rules

import "github.com/annal-git/annal/domain"

// Target is whose rules these are: the project or the repository whose id is not zero.
type Target struct {
	Project    domain.ProjectID    `json:"project,omitempty"`
	Repository domain.RepositoryID `json:"repository,omitempty"`
}

// Stream is where the rules of t are recorded.
func (t Target) Stream() domain.Stream {
	if t.Repository != 0 {
		return domain.RepositoryStream(t.Repository)
	}
	return domain.ProjectStream(t.Project)
}

// kind is what a user is told that t is.
func (t Target) kind() string {
	if t.Repository != 0 {
		return "repository"
	}
	return "project"
}
