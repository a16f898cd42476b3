package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/store"
)

// contentType is written to the letter: clients compare it as a string.
const contentType = "application/json;charset=UTF-8"

// Names of the exceptions that clients look for.
const (
	exceptionAuthorisation   = "com.atlassian.bitbucket.AuthorisationException"
	exceptionAuthentication  = "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException"
	exceptionIntegrity       = "com.atlassian.bitbucket.IntegrityException"
	exceptionArgument        = "com.atlassian.bitbucket.validation.ArgumentValidationException"
	exceptionNoDefaultBranch = "com.atlassian.bitbucket.repository.NoDefaultBranchException"
	exceptionDuplicateRef    = "com.atlassian.bitbucket.repository.DuplicateRefException"
	exceptionServer          = "com.atlassian.bitbucket.ServerException"
)

// missing gives the exception for each kind of thing that does not exist.
var missing = map[string]string{
	"project":    "com.atlassian.bitbucket.project.NoSuchProjectException",
	"repository": "com.atlassian.bitbucket.repository.NoSuchRepositoryException",
	"user":       "com.atlassian.bitbucket.user.NoSuchUserException",
	"group":      "com.atlassian.bitbucket.user.NoSuchGroupException",
	"sshKey":     "com.atlassian.bitbucket.NoSuchEntityException",
	"token":      "com.atlassian.bitbucket.NoSuchEntityException",
	"client":     "com.atlassian.bitbucket.NoSuchEntityException",
	"grant":      "com.atlassian.bitbucket.NoSuchEntityException",
	"branch":     "com.atlassian.bitbucket.repository.NoSuchBranchException",
	"tag":        "com.atlassian.bitbucket.repository.NoSuchTagException",
	"commit":     "com.atlassian.bitbucket.commit.NoSuchCommitException",
	"rule":       "com.atlassian.bitbucket.NoSuchEntityException",
	"rateLimit":  "com.atlassian.bitbucket.NoSuchEntityException",
	"lfs":        "com.atlassian.bitbucket.NoSuchEntityException",
	"position":   "com.atlassian.bitbucket.NoSuchEntityException",
	"path":       "com.atlassian.bitbucket.content.NoSuchPathException",
}

// restErrors is the envelope of errors.
type restErrors struct {
	Errors []restError `json:"errors"`
}

type restError struct {
	Context       *string `json:"context"`
	Message       string  `json:"message"`
	ExceptionName *string `json:"exceptionName"`
}

// jaxError is what answers for URLs that are not mapped at all.
type jaxError struct {
	Status  int    `json:"status-code"`
	Message string `json:"message"`
}

// exceptionError is an answer whose exception has no error of the domain.
type exceptionError struct {
	status    int
	exception string
	message   string
}

func (e *exceptionError) Error() string { return e.message }

// statusError is an answer of the layer below the resources.
type statusError struct {
	status  int
	message string
}

func (e *statusError) Error() string { return e.message }

// answerFor is the one table from errors to answers. The last answer is for errors
// that are nobody's business but the log's.
func answerFor(err error) (status int, body any) {
	var (
		invalid   *domain.InvalidError
		conflict  *domain.ConflictError
		absent    *domain.NotFoundError
		refused   *credentials.RefusedError
		forged    *credentials.ForgeryError
		denied    *permission.DeniedError
		exception *exceptionError
		plain     *statusError
		unmapped  *echo.HTTPError
		notNow    *domain.UnavailableError
		unread    *store.UnavailableError
		exceeded  *ratelimit.ExceededError
	)
	switch {
	case errors.As(err, &exceeded):
		return http.StatusTooManyRequests, envelope("", exceeded.Error(), "")
	case errors.As(err, &invalid):
		exception := ""
		if invalid.Field == "" {
			exception = exceptionArgument
		}
		return http.StatusBadRequest, envelope(invalid.Field, invalid.Message, exception)
	case errors.As(err, &conflict):
		exception := ""
		if conflict.Field == "" {
			exception = exceptionIntegrity
		}
		return http.StatusConflict, envelope(conflict.Field, conflict.Message, exception)
	case errors.As(err, &absent):
		return http.StatusNotFound, envelope("", absent.Message, missing[absent.What])
	case errors.As(err, &refused):
		return http.StatusUnauthorized, envelope("", "Authentication failed. Please check your credentials and try again.", exceptionAuthentication)
	case errors.As(err, &forged):
		return http.StatusForbidden, envelope("", forged.Error(), exceptionAuthorisation)
	case errors.As(err, &denied):
		return http.StatusUnauthorized, envelope("", "You are not permitted to access this resource", exceptionAuthorisation)
	case errors.As(err, &exception):
		return exception.status, envelope("", exception.message, exception.exception)
	case errors.As(err, &plain):
		return plain.status, jaxError{Status: plain.status, Message: plain.message}
	case errors.As(err, &unmapped):
		return unmapped.Code, jaxError{Status: unmapped.Code, Message: "HTTP " + statusText(unmapped.Code)}
	case errors.As(err, &notNow):
		return http.StatusServiceUnavailable, envelope("", notNow.Message, exceptionServer)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return http.StatusServiceUnavailable, envelope("", "This server has no room left. Tell its operator.", exceptionServer)
	case errors.As(err, &unread):
		return http.StatusServiceUnavailable, envelope("", "The repository cannot be read at the moment. Try again later.", exceptionServer)
	case eventstore.Outage(err):
		return http.StatusServiceUnavailable, envelope("", "The database does not answer at the moment. Try again in a few seconds.", exceptionServer)
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, envelope("", "The request took too long. Ask for less at once.", exceptionServer)
	}
	return http.StatusInternalServerError, envelope("", "An error occurred while processing the request. Its id is in the header "+headerRequestID+".", exceptionServer)
}

func statusText(code int) string {
	return fmt.Sprintf("%d %s", code, http.StatusText(code))
}

func envelope(context, message, exception string) restErrors {
	return restErrors{Errors: []restError{{Context: nullable(context), Message: message, ExceptionName: nullable(exception)}}}
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// answerError implements echo.HTTPErrorHandler.
func (a *API) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		a.Logger.WarnContext(c.Request().Context(), "answer broken off", "request", c.Response().Header().Get(headerRequestID), "error", err)
		return
	}
	if unmapped := (*echo.HTTPError)(nil); errors.As(err, &unmapped) {
		// No route has asked who this is; he is told all the same.
		if caller, err := a.Credentials.Visit(c.Response(), c.Request()); err == nil {
			name(c.Response().Header(), caller)
		}
	}
	status, body := answerFor(err)
	if status >= http.StatusInternalServerError && !errors.Is(err, errPanic) && !errors.Is(err, context.Canceled) {
		a.Logger.ErrorContext(c.Request().Context(), "request failed", "request", c.Response().Header().Get(headerRequestID), "error", err)
	}
	var exceeded *ratelimit.ExceededError
	if errors.As(err, &exceeded) {
		exceeded.SetHeaders(c.Response().Header())
	}
	if status == http.StatusServiceUnavailable {
		c.Response().Header().Set(echo.HeaderRetryAfter, "5")
	}
	if status == http.StatusUnauthorized {
		// Not Basic: browsers would put up a dialogue in the middle of a page.
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Bearer realm="Annal"`)
	}
	if err := writeJSON(c, status, body); err != nil {
		a.Logger.DebugContext(c.Request().Context(), "answer not delivered", "error", err)
	}
}

// json answers with a JSON body.
func (c *call) json(status int, body any) error { return writeJSON(c, status, body) }

// none answers without a body.
func (c *call) none() error { return c.NoContent(http.StatusNoContent) }

func writeJSON(c echo.Context, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.Blob(status, contentType, data)
}
