package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
)

// ServeHTTP implements http.Handler. The path is brought to one form before it is
// matched, and what is judged afterwards is what was matched.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = canonicalPath(r.URL.Path), ""
	a.router.ServeHTTP(w, r)
}

// canonicalPath makes one of the two versions of a path, and drops a slash at its end. The
// newest version of an API is 1.0, but for one.
func canonicalPath(path string) string {
	if rest, ok := strings.CutPrefix(path, "/rest/"); ok {
		api, rest, _ := strings.Cut(rest, "/")
		if rest == "latest" || strings.HasPrefix(rest, "latest/") {
			newest := "/1.0"
			if api == "branch-permissions" {
				newest = "/2.0"
			}
			path = "/rest/" + api + newest + strings.TrimPrefix(rest, "latest")
		}
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// Headers of every answer.
const (
	headerRequestID = "X-AREQUESTID"
	headerUserName  = "X-AUSERNAME"
	headerUserID    = "X-AUSERID"
)

// frame gives every answer its request id and headers, and turns a panic into an
// answer.
func (a *API) frame(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		header := c.Response().Header()
		id := header.Get(echo.HeaderXRequestID) // set by whoever handles the request before us
		if id == "" {
			id = uuid.Must(uuid.NewV7()).String()
			header.Set(echo.HeaderXRequestID, id)
		}
		header.Set(headerRequestID, id)
		header.Set(echo.HeaderXContentTypeOptions, "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set(echo.HeaderCacheControl, "private, no-cache, no-transform")
		header.Add(echo.HeaderVary, "Authorization, Cookie")
		defer func() {
			if panicked := recover(); panicked != nil {
				if aborted, ok := panicked.(error); ok && errors.Is(aborted, http.ErrAbortHandler) {
					panic(panicked) // the server's own way to drop a connection
				}
				a.Logger.ErrorContext(c.Request().Context(), "panic in a request",
					"request", id, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
				err = errPanic
			}
		}()
		return next(c)
	}
}

var errPanic = errors.New("panic in a request")

// call is a request that is being answered, and who sent it.
type call struct {
	echo.Context
	caller credentials.Caller
	meta   domain.Metadata
}

func (c *call) ctx() context.Context { return c.Request().Context() }

type handler func(c *call) error

// requestTimeout bounds one request: the sending of its body, the work for it and the
// taking of its answer. Answers that stream a file take as long as their reader, who has
// this time for each part.
const requestTimeout = time.Minute

// serve finds out who calls before it hands the call to the route's handler.
func (a *API) serve(r route) echo.HandlerFunc {
	return func(ec echo.Context) error {
		control := http.NewResponseController(ec.Response())
		allowRequest(control, ec.Request().ContentLength != 0)
		// The connection may be used again.
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
		if !r.streams {
			ctx, cancel := context.WithTimeout(ec.Request().Context(), requestTimeout)
			defer cancel()
			ec.SetRequest(ec.Request().WithContext(ctx))
		}
		caller, err := a.Credentials.Visit(ec.Response(), ec.Request())
		if err != nil {
			return err
		}
		header := ec.Response().Header()
		name(header, caller)
		for _, parameter := range ec.ParamNames() {
			if !plain(ec.Param(parameter)) {
				return domain.Invalid("", "The address holds characters that are not allowed.")
			}
		}
		for parameter, values := range ec.QueryParams() {
			for _, value := range values {
				if !plain(parameter) || !plain(value) {
					return domain.Invalid("", "The query holds characters that are not allowed.")
				}
			}
		}
		address := a.ClientAddress(ec.Request())
		if err := a.Limiter.Take(caller, address); err != nil {
			return err
		}
		id := header.Get(headerRequestID)
		err = r.handle(&call{Context: ec, caller: caller, meta: domain.Metadata{
			Actor: caller.User.ID, Auth: caller.Auth, Address: address, RequestID: id, Correlation: id,
		}})
		if err != nil && a.Refusals != nil {
			a.Refusals.Denied(ec.Request().Context(), caller, err)
		}
		return err
	}
}

// allowRequest gives the client the time to send and to take. It does its best: a
// connection without deadlines goes without.
func allowRequest(control *http.ResponseController, body bool) {
	deadline := time.Now().Add(requestTimeout)
	_ = control.SetWriteDeadline(deadline)
	if body {
		_ = control.SetReadDeadline(deadline)
	}
}

// plain reports whether a database can be asked about s.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// execute lets the domain decide a command on a stream and appends what it says.
func execute[S, C any](a *API, c *call, stream domain.Stream, evolve func(S, domain.Event) S, decide func(S, C) ([]domain.Event, error), command C) error {
	_, _, err := eventstore.Execute(c.ctx(), a.Log, stream, evolve, c.meta, func(state S) ([]domain.Event, error) {
		return decide(state, command)
	})
	return err
}
