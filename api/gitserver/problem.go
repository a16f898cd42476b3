package gitserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"syscall"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/store"
)

// NotFound is what is said of a repository that does not exist, or not for the caller.
const NotFound = "Repository not found."

// Problem is why a request is not served.
type Problem struct {
	Status  int    // of HTTP
	Message string // a sentence for the user
	Ours    bool   // something is wrong here, which belongs into the log
	Retry   bool   // it may be over in some seconds
}

// Explain is the one table from errors to what a client is told.
func Explain(err error) Problem {
	var missing *domain.NotFoundError
	var invalid *domain.InvalidError
	var conflict *domain.ConflictError
	var unavailable *store.UnavailableError
	var exceeded *ratelimit.ExceededError
	switch {
	case errors.As(err, &exceeded):
		return Problem{Status: http.StatusTooManyRequests, Message: exceeded.Error()}
	case errors.Is(err, ErrUnauthenticated):
		return Problem{Status: http.StatusUnauthorized, Message: "Authentication required."}
	case errors.Is(err, ErrForbidden):
		return Problem{Status: http.StatusForbidden, Message: "You are not permitted to do this."}
	case errors.As(err, &invalid):
		return Problem{Status: http.StatusNotFound, Message: invalid.Message}
	case errors.As(err, &missing) && missing.What == "position":
		return Problem{Status: http.StatusNotFound, Message: missing.Message}
	case errors.As(err, &missing):
		// Whatever is missing: nobody is to learn how far the search came.
		return Problem{Status: http.StatusNotFound, Message: NotFound}
	case errors.As(err, &conflict):
		return Problem{Status: http.StatusConflict, Message: conflict.Message}
	case errors.As(err, &unavailable):
		return Problem{Status: http.StatusServiceUnavailable, Message: "The repository cannot be read at the moment. Try again later.", Ours: true, Retry: true}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Problem{Status: http.StatusServiceUnavailable, Message: "This server has no room left. Tell its operator.", Ours: true}
	case eventstore.Outage(err):
		return Problem{Status: http.StatusServiceUnavailable, Message: "The database does not answer at the moment. Try again in a few seconds.", Ours: true, Retry: true}
	}
	return Problem{Status: http.StatusInternalServerError, Message: "Internal server error.", Ours: true}
}

// Refused turns what the gate says into the errors of this package; others stay as they are.
func Refused(err error) error {
	var refused *credentials.RefusedError
	var denied *permission.DeniedError
	switch {
	case errors.As(err, &refused), errors.As(err, &denied) && denied.Anonymous:
		return ErrUnauthenticated
	case errors.As(err, &denied):
		return ErrForbidden
	}
	return err
}

// Level is how an error is logged: what a client did wrong in detail, what went wrong here
// as a warning.
func Level(ctx context.Context, err error) slog.Level {
	var refusal *protocol.Refusal
	var format *pktline.FormatError
	if errors.As(err, &refusal) || errors.As(err, &format) || ctx.Err() != nil {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}
