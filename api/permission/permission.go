// Package permission judges whether a caller may do something: by what he has been
// granted, by what his token is limited to, and by what anybody may read.
//
// Whoever may not see a project or repository gets the answer that one who asks for
// a name that never was gets: anonymous callers are asked to log in, others are told
// that it does not exist.
package permission

import (
	"context"
	"errors"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
)

// DeniedError says that the caller lacks a permission, for something he may see or
// while nobody is logged in.
type DeniedError struct {
	Anonymous bool // logging in may help
	Need      rights.Permission
	Target    rights.Target // zero for the whole installation, and where it does not matter
}

func (e *DeniedError) Error() string { return "you are not permitted to access this resource" }

// Judge answers from the projections. It is safe for concurrent use.
type Judge struct {
	Catalog *catalog.Reader
	Users   *access.Reader
	// Seats is how many users may be able to log in; while there are more, nobody may write to
	// a repository. 0 is any number.
	Seats int
}

// Global judges a permission on the whole installation. The error is a *DeniedError
// if the caller lacks it.
func (j Judge) Global(ctx context.Context, caller credentials.Caller, need rights.Permission) error {
	if caller.Anonymous() || !caller.Covers(need) {
		return denied(caller, need)
	}
	held, err := j.Users.Held(ctx, caller.User.ID, 0, 0)
	if err != nil {
		return err
	}
	if !held.Allow(need) {
		return denied(caller, need)
	}
	return nil
}

// Repository finds a repository by its project's key and its slug for a caller who
// needs a permission on it. The error is a *DeniedError or a *domain.NotFoundError, or a
// *domain.ConflictError if he could write but for the seats.
func (j Judge) Repository(ctx context.Context, caller credentials.Caller, key, slug string, need rights.Permission) (catalog.Repository, error) {
	found, err := j.Catalog.Repository(ctx, key, slug)
	if err != nil {
		return catalog.Repository{}, hideAbsence(caller, need, err)
	}
	if err := j.onRepository(ctx, caller, found, need); err != nil {
		var hidden *hiddenError
		if errors.As(err, &hidden) {
			// Word for word what the catalog says of a name it does not know.
			return catalog.Repository{}, &HiddenError{
				Need: need, Target: rights.Target{Repository: found.ID},
				err: domain.NotFound("repository", "Repository %s/%s does not exist.", found.Project.Key, found.Slug),
			}
		}
		return catalog.Repository{}, err
	}
	if need == rights.RepoWrite {
		if err := j.withinSeats(ctx); err != nil {
			return catalog.Repository{}, err
		}
	}
	return found, nil
}

func (j Judge) withinSeats(ctx context.Context) error {
	if j.Seats == 0 {
		return nil
	}
	taken, err := j.Users.Seats(ctx)
	if err == nil && taken > j.Seats {
		err = domain.Conflict("", "Pushing is off: %d users can log in, and there are %d seats. Tell an administrator.", taken, j.Seats)
	}
	return err
}

// Project finds a project by its key for a caller who needs a permission on it;
// seeing it takes "" only, which whoever may read one of its repositories has. The
// error is a *DeniedError or a *domain.NotFoundError.
func (j Judge) Project(ctx context.Context, caller credentials.Caller, key string, need rights.Permission) (catalog.Project, error) {
	found, err := j.Catalog.Project(ctx, key)
	if err != nil {
		return catalog.Project{}, hideAbsence(caller, need, err)
	}
	err = j.onProject(ctx, caller, found, need)
	var hidden *hiddenError
	if errors.As(err, &hidden) {
		return catalog.Project{}, &HiddenError{
			Need: need, Target: rights.Target{Project: found.ID}, err: domain.NotFound("project", "Project %s does not exist.", found.Key),
		}
	}
	if err != nil {
		return catalog.Project{}, err
	}
	return found, nil
}

// HiddenError refuses what the caller may not even see: to him it is the *domain.NotFoundError that
// it wraps.
type HiddenError struct {
	Need   rights.Permission // "" to see it
	Target rights.Target
	err    error
}

func (e *HiddenError) Error() string { return e.err.Error() }

// Unwrap gives what the caller is told.
func (e *HiddenError) Unwrap() error { return e.err }

// hiddenError says that the caller may not even see what he asks for.
type hiddenError struct{}

func (*hiddenError) Error() string { return "there is nothing by that name" }

// onRepository judges a permission on a repository that is known already. The error
// is a *DeniedError, or another for a caller who may not even see it.
func (j Judge) onRepository(ctx context.Context, caller credentials.Caller, r catalog.Repository, need rights.Permission) error {
	readable := r.Readable() // by anybody, so by whatever token
	if readable && need == rights.RepoRead {
		return nil
	}
	if caller.Anonymous() {
		return deniedOn(caller, need, rights.Target{Repository: r.ID})
	}
	held, err := j.Users.Held(ctx, caller.User.ID, r.Project.ID, r.ID)
	switch {
	case err != nil:
		return err
	case caller.Covers(need) && held.Allow(need):
		return nil
	case readable, held.Allow(rights.RepoRead):
		return deniedOn(caller, need, rights.Target{Repository: r.ID})
	}
	return &hiddenError{}
}

// onProject judges a permission on a project that is known already, as Project does.
// The error is a *DeniedError, or another for a caller who may not even see it.
func (j Judge) onProject(ctx context.Context, caller credentials.Caller, p catalog.Project, need rights.Permission) error {
	readable := p.Public
	if readable && (need == rights.ProjectRead || need == "") {
		return nil
	}
	var held access.Held
	if !caller.Anonymous() {
		var err error
		if held, err = j.Users.Held(ctx, caller.User.ID, p.ID, 0); err != nil {
			return err
		}
	}
	if need != "" && caller.Covers(need) && held.Allow(need) {
		return nil
	}
	visible := readable || held.Allow(rights.ProjectRead)
	if !visible {
		var err error
		if visible, err = j.Catalog.ShowsProject(ctx, catalog.Viewer{User: caller.User.ID}, p.ID); err != nil {
			return err
		}
	}
	switch {
	case visible && need == "" && caller.Covers(rights.RepoRead):
		return nil
	case visible, caller.Anonymous():
		return deniedOn(caller, need, rights.Target{Project: p.ID})
	}
	return &hiddenError{}
}

// Viewer is the caller as the catalog's lists know him: one whose token lets him read what anybody
// may read is nobody to them.
func (j Judge) Viewer(ctx context.Context, caller credentials.Caller) (catalog.Viewer, error) {
	if caller.Anonymous() || !caller.Covers(rights.RepoRead) {
		return catalog.Viewer{}, nil
	}
	held, err := j.Users.Held(ctx, caller.User.ID, 0, 0)
	return catalog.Viewer{User: caller.User.ID, All: held.Allow(rights.Admin)}, err
}

func denied(caller credentials.Caller, need rights.Permission) error {
	return deniedOn(caller, need, rights.Target{})
}

func deniedOn(caller credentials.Caller, need rights.Permission, target rights.Target) error {
	return &DeniedError{Anonymous: caller.Anonymous(), Need: need, Target: target}
}

// hideAbsence gives anonymous callers the answer that private names have.
func hideAbsence(caller credentials.Caller, need rights.Permission, err error) error {
	var missing *domain.NotFoundError
	if caller.Anonymous() && errors.As(err, &missing) {
		return denied(caller, need)
	}
	return err
}
