package lfs

import (
	"path"
	"strings"

	"github.com/annal-git/annal/domain"
)

// Limits of locks.
const (
	MaxPath  = 1024   // of a path, in characters
	MaxLocks = 10_000 // of a repository
)

// LockID is the number of a lock. It is never reused.
type LockID int64

// Lock says that one user works on a path.
type Lock struct {
	ID         LockID              `json:"id"`
	Repository domain.RepositoryID `json:"repository"`
	Path       string              `json:"path"`
	Owner      domain.UserID       `json:"owner"`
}

// Take makes a lock of a repository that has others already. That nobody else has locked the
// path is checked when the event is appended. Errors are *domain.InvalidError and
// *domain.ConflictError.
func Take(l Lock, others int) (Locked, error) {
	if err := checkPath(l.Path); err != nil {
		return Locked{}, err
	}
	if others >= MaxLocks {
		return Locked{}, domain.Conflict("", "A repository can have at most %d locks. Release one that is no longer needed.", MaxLocks)
	}
	return Locked{l}, nil
}

// NotOwnerError refuses to release somebody else's lock.
type NotOwnerError struct{ Message string }

func (e *NotOwnerError) Error() string { return e.Message }

// Release ends a lock: one's own, or with force and the rights of an administrator of the
// repository anybody's. Else the error is a *NotOwnerError.
func (l Lock) Release(by domain.UserID, force, administers bool) (Unlocked, error) {
	switch {
	case by == l.Owner:
		return Unlocked{Lock: l}, nil
	case !force:
		return Unlocked{}, &NotOwnerError{"The lock is somebody else's. An administrator of the repository can release it by force."}
	case !administers:
		return Unlocked{}, &NotOwnerError{"Only administrators of the repository can release somebody else's lock by force."}
	}
	return Unlocked{Lock: l, Forced: true}, nil
}

// checkPath wants a path as Git writes it in a tree.
func checkPath(p string) error {
	if p == "" {
		return domain.Invalid("path", "The path is required.")
	}
	if err := domain.CheckText("path", p, MaxPath, false); err != nil {
		return err
	}
	if p != path.Clean(p) || p == "." || p[0] == '/' || p == ".." || strings.HasPrefix(p, "../") {
		return domain.Invalid("path", "The path must lead from the root of the repository to a file, with slashes, and without . and .. in it.")
	}
	return nil
}
