package rest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/store"
)

func TestAnswerFor(t *testing.T) {
	for _, tt := range []struct {
		err       error
		status    int
		exception string
	}{
		{domain.Invalid("name", "x"), 400, ""},
		{domain.Invalid("", "x"), 400, exceptionArgument},
		{domain.Conflict("name", "x"), 409, ""},
		{domain.Conflict("", "x"), 409, exceptionIntegrity},
		{domain.NotFound("branch", "x"), 404, "com.atlassian.bitbucket.repository.NoSuchBranchException"},
		{domain.NotFound("something", "x"), 404, ""},
		{&credentials.RefusedError{}, 401, exceptionAuthentication},
		{&permission.DeniedError{}, 401, exceptionAuthorisation},
		{forbidden("x"), 403, exceptionAuthorisation},
		{context.DeadlineExceeded, 503, exceptionServer},
		{&store.UnavailableError{Err: fs.ErrNotExist}, 503, exceptionServer},
		{&fs.PathError{Op: "write", Path: "wrapped", Err: syscall.ENOSPC}, 503, exceptionServer},
		{echo.ErrNotFound, 404, "jax"},
		{&statusError{status: 415}, 415, "jax"},
		{errors.New("relation \"users\" does not exist at /srv/x.go"), 500, exceptionServer},
	} {
		for _, err := range []error{tt.err, fmt.Errorf("wrapped: %w", tt.err)} {
			status, body := answerFor(err)
			exception := "jax"
			if envelope, ok := body.(restErrors); ok {
				exception = value(envelope.Errors[0].ExceptionName)
				if message := envelope.Errors[0].Message; strings.Contains(message, "relation") || strings.Contains(message, "wrapped") {
					t.Errorf("%v: tells %q", err, message)
				}
			}
			if status != tt.status || exception != tt.exception {
				t.Errorf("%v: %d %q", err, status, exception)
			}
		}
	}
}
