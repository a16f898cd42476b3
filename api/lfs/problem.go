package lfs

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/domain"
	domainlfs "github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/gitfs/admission"
	objects "github.com/annal-git/annal/gitfs/lfs"
)

// problem is the body of an answer that is an error.
type problem struct {
	Message   string `json:"message"`
	RequestID string `json:"request_id,omitempty"`
}

// explain is the one table from errors to what a client is told.
func explain(err error) gitserver.Problem {
	var (
		refused  *refusal
		invalid  *domain.InvalidError
		full     *domainlfs.QuotaError
		notOwner *domainlfs.NotOwnerError
		mismatch *objects.MismatchError
		busy     *admission.BusyError
		notNow   *domain.UnavailableError
	)
	switch {
	case errors.As(err, &refused):
		return gitserver.Problem{Status: refused.status, Message: refused.message}
	case errors.As(err, &invalid):
		return gitserver.Problem{Status: http.StatusUnprocessableEntity, Message: invalid.Message}
	case errors.As(err, &mismatch):
		return gitserver.Problem{Status: http.StatusUnprocessableEntity, Message: mismatch.Message}
	case errors.As(err, &full):
		return gitserver.Problem{Status: http.StatusInsufficientStorage, Message: full.Error()}
	case errors.As(err, &notOwner):
		return gitserver.Problem{Status: http.StatusForbidden, Message: notOwner.Message}
	case errors.As(err, &busy):
		return gitserver.Problem{Status: http.StatusTooManyRequests, Message: busy.Error()}
	case errors.As(err, &notNow):
		return gitserver.Problem{Status: http.StatusServiceUnavailable, Message: notNow.Message, Retry: true}
	}
	return gitserver.Explain(err)
}

// fail answers with the status that fits to an error.
func (v *visit) fail(err error) error {
	p, header := explain(err), v.Response().Header()
	if p.Ours && v.ctx().Err() == nil {
		v.handler.Logger.WarnContext(v.ctx(), "git lfs request failed", "request", header.Get(echo.HeaderXRequestID), "path", v.Path(), "error", err)
	}
	if v.Response().Committed {
		return nil // a part of an object, which the client knows not to be the whole
	}
	var busy *admission.BusyError
	var exceeded *ratelimit.ExceededError
	switch {
	case errors.As(err, &exceeded):
		exceeded.SetHeaders(header)
	case errors.As(err, &busy):
		header.Set(echo.HeaderRetryAfter, strconv.Itoa(int(busy.RetryAfter.Seconds())))
	case p.Retry:
		header.Set(echo.HeaderRetryAfter, "5")
	case p.Status == http.StatusUnauthorized:
		header.Set("LFS-Authenticate", `Basic realm="Annal"`)
		header.Set(echo.HeaderWWWAuthenticate, `Basic realm="Annal"`)
	}
	return v.answer(p.Status, problem{p.Message, header.Get(echo.HeaderXRequestID)})
}
