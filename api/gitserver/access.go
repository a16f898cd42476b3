package gitserver

import (
	"context"
	"errors"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/gitfs"
)

// Errors with which a request for a repository is refused.
var (
	// ErrUnauthenticated asks the caller to say who he is: none or wrong
	// credentials. Over HTTP answered 401.
	ErrUnauthenticated = errors.New("authentication required")
	// ErrForbidden refuses a caller who may know of the repository. Over HTTP answered 403.
	ErrForbidden = errors.New("permission denied")
)

// RefusedUserError is Err for a caller who has logged in.
type RefusedUserError struct {
	User, UserID string
	Err          error
}

func (e *RefusedUserError) Error() string { return e.Err.Error() }
func (e *RefusedUserError) Unwrap() error { return e.Err }

// Access is what one caller may do with one repository.
type Access struct {
	// User and UserID name the caller in answers and the log; "" for nobody.
	User, UserID string
	// Snapshot gives the repository as it is now, with the refs that the caller
	// may see.
	Snapshot func(ctx context.Context) (*gitfs.Snapshot, error)
	// Past gives the repository as it was at a moment, written as domain.ParseMoment
	// reads it, with the refs of then that the caller may see now. A moment that cannot be
	// served is a *domain.NotFoundError about the "position" or a *domain.InvalidError.
	Past func(ctx context.Context, moment string) (*gitfs.Snapshot, error)
	// Hides says that the snapshot leaves out refs.
	Hides bool
	// RecentTips, if set, returns what visible refs named in the last minutes.
	RecentTips func(ctx context.Context) ([]git.ObjectID, error)
	// Allow, if set, judges one update of a push before its pack is read: it
	// returns why it is refused, or "".
	Allow func(ctx context.Context, u git.RefUpdate) string
	// Pusher says who pushes, and Refused is told what rules have refused; see
	// receivepack.Repository.
	Pusher  func(ctx context.Context, demanded *rules.Effective) (rules.Pusher, error)
	Refused func(ctx context.Context, refusals []rules.Refusal)
	// Commit makes a push happen; see receivepack.Repository. Only called if the
	// repository was opened to write.
	Commit func(ctx context.Context, push repository.PushRefs) ([]git.RefResult, error)
}
