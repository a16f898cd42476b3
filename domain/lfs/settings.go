package lfs

import (
	"fmt"

	"github.com/annal-git/annal/domain"
)

// Target is whose settings these are: the project or the repository whose id is not zero.
type Target struct {
	Project    domain.ProjectID    `json:"project,omitempty"`
	Repository domain.RepositoryID `json:"repository,omitempty"`
}

// Stream is where the settings of t are recorded.
func (t Target) Stream() domain.Stream {
	if t.Repository != 0 {
		return domain.RepositoryStream(t.Repository)
	}
	return domain.ProjectStream(t.Project)
}

// Settings of a repository or a project; the zero value holds for one that has none.
type Settings struct {
	Off   bool  `json:"off,omitempty"`   // nothing is served; of a repository only
	Quota int64 `json:"quota,omitempty"` // what its objects may take together, in bytes; 0: any number
}

// Evolve folds one event into the settings of the repository or project whose stream it is
// of. Events of other aggregates in it leave them as they are.
func Evolve(s Settings, event domain.Event) Settings {
	if e, ok := event.(SettingsChanged); ok {
		return e.Settings
	}
	return s
}

// Change replaces the settings of t, which are s. There is no event if they are the same.
// The error is a *domain.InvalidError.
func Change(s Settings, t Target, to Settings) ([]domain.Event, error) {
	switch {
	case to.Quota < 0:
		return nil, domain.Invalid("quota", "The quota is a number of bytes, or 0 for any.")
	case to.Off && t.Repository == 0:
		return nil, domain.Invalid("enabled", "Git LFS is switched off for single repositories.")
	case to == s:
		return nil, nil
	}
	return []domain.Event{SettingsChanged{Target: t, Old: s, Settings: to}}, nil
}

// QuotaError says that an object does not fit.
type QuotaError struct {
	Project     bool  // the quota is that of the project
	Quota, Used int64 // bytes; Used without the object
	Size        int64 // of the object, in bytes
}

func (e *QuotaError) Error() string {
	of := "repository"
	if e.Project {
		of = "project"
	}
	return fmt.Sprintf("The object of %d bytes does not fit: of the %d bytes that Git LFS may take in this %s, %d are in use. A system administrator can raise the quota.",
		e.Size, e.Quota, of, e.Used)
}

// Room is what a repository may still take.
type Room struct {
	Used, Quota               int64 // of the repository, in bytes; quota 0: any number
	ProjectUsed, ProjectQuota int64 // of its project
}

// Take makes room for an object of so many bytes. The error is a *QuotaError, and the room
// as it was.
func (r *Room) Take(size int64) error {
	switch {
	case r.Quota > 0 && size > r.Quota-r.Used:
		return &QuotaError{Quota: r.Quota, Used: r.Used, Size: size}
	case r.ProjectQuota > 0 && size > r.ProjectQuota-r.ProjectUsed:
		return &QuotaError{Project: true, Quota: r.ProjectQuota, Used: r.ProjectUsed, Size: size}
	}
	r.Used += size
	r.ProjectUsed += size
	return nil
}
