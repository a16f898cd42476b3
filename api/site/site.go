// Package site puts what a node serves over HTTP together: Git, REST, the first
// set-up, status and metrics, behind one frame that gives every request an id, a line
// in the log and a place in the metrics.
package site

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain/access"
)

// Part is a set of routes.
type Part interface{ Mount(*echo.Echo) }

// Config is what a site is made of.
type Config struct {
	Parts       []Part
	Metrics     *prometheus.Registry
	Credentials *credentials.Authenticator
	Judge       permission.Judge
	Logger      *slog.Logger
	BaseURL     string
}

// New makes the site.
func New(config Config) *echo.Echo {
	f := &frame{logger: config.Logger, tls: strings.HasPrefix(config.BaseURL, "https://"), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "annal_http_request_seconds", Help: "Time to answer a request, in seconds, by kind of request and status.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
	}, []string{"method", "route", "status"})}
	config.Metrics.MustRegister(f.requests)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(f.around)
	for _, part := range config.Parts {
		part.Mount(e)
	}
	e.GET("/metrics", config.handleMetrics)
	e.GET("/", config.handleRoot)
	return e
}

// handleMetrics lets the node's own machine in, and system administrators. What came
// through a proxy is not from this machine, whatever its connection says.
func (config Config) handleMetrics(c echo.Context) error {
	r := c.Request()
	if !local(r) {
		caller, err := config.Credentials.Visit(c.Response(), r)
		if err != nil || config.Judge.Global(r.Context(), caller, access.SysAdmin) != nil {
			c.Response().Header().Set("WWW-Authenticate", `Basic realm="Annal"`)
			return c.String(http.StatusUnauthorized, "Metrics are for system administrators.\n")
		}
	}
	promhttp.HandlerFor(config.Metrics, promhttp.HandlerOpts{}).ServeHTTP(c.Response(), r)
	return nil
}

func local(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback() && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}

func (config Config) handleRoot(c echo.Context) error {
	return c.String(http.StatusOK, fmt.Sprintf("This is Annal, a Git platform.\n\nClone    %s/scm/{project}/{repository}.git\nREST     %s/rest/annal/1.0/openapi.json\nStatus   %s/status\n",
		config.BaseURL, config.BaseURL, config.BaseURL))
}

// frame is around every request.
type frame struct {
	logger   *slog.Logger
	tls      bool // users reach the installation over TLS, and shall not be led to do otherwise
	requests *prometheus.HistogramVec
}

func (f *frame) around(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		start, header := time.Now(), c.Response().Header()
		id := uuid.Must(uuid.NewV7()).String()
		header.Set(echo.HeaderXRequestID, id)
		c.Request().Header.Set(echo.HeaderXRequestID, id) // whatever the client wrote there
		c.SetRequest(c.Request().WithContext(WithOrigin(c.Request().Context(), originOf(c.Request(), id))))
		header.Set("X-AREQUESTID", id) // as Bitbucket calls it
		header.Set(echo.HeaderXContentTypeOptions, "nosniff")
		header.Set(echo.HeaderXFrameOptions, "DENY")
		header.Set(echo.HeaderReferrerPolicy, "no-referrer")
		if f.tls {
			header.Set(echo.HeaderStrictTransportSecurity, "max-age=31536000")
		}
		defer func() {
			panicked := recover()
			cut := panicked == any(http.ErrAbortHandler) // a handler's way to cut the answer off
			if panicked != nil && !cut {
				f.logger.Error("panic in a request", "request", id, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
				if c.Response().Committed {
					cut = true // an answer that was begun must not look whole
				} else {
					err = c.String(http.StatusInternalServerError, "Something went wrong. Request "+id+"\n")
				}
			}
			f.account(c, id, start)
			if cut {
				panic(http.ErrAbortHandler)
			}
		}()
		if err := next(c); err != nil {
			c.Error(err)
		}
		return nil
	}
}

// account writes a request's line in the log and counts it. Neither knows a secret:
// the query is left out, because people put tokens there.
func (f *frame) account(c echo.Context, id string, start time.Time) {
	r, took := c.Request(), time.Since(start)
	route := c.Path()
	if route == "" {
		route = "none"
	}
	f.requests.WithLabelValues(method(r.Method), route, strconv.Itoa(c.Response().Status)).Observe(took.Seconds())
	level := slog.LevelInfo
	if route == "/status" || route == "/metrics" {
		level = slog.LevelDebug
	}
	f.logger.Log(r.Context(), level, "request", "request", id, "method", r.Method, "path", r.URL.Path, "status", c.Response().Status,
		"bytes", c.Response().Size, "took", took, "from", r.RemoteAddr, "user", c.Response().Header().Get("X-AUSERNAME"))
}

// method keeps strangers from making metrics without end.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return m
	}
	return "other"
}
