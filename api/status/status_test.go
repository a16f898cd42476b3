package status_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/status"
)

func TestStates(t *testing.T) {
	t.Parallel()
	node := status.New()
	e := echo.New()
	node.Mount(e)
	for _, step := range []struct {
		do    func()
		code  int
		state string
	}{
		{func() {}, 503, "STARTING"},
		{node.Ready, 200, "FIRST_RUN"},
		{node.Configured, 200, "RUNNING"},
		{func() { node.SetMaintenance(true) }, 200, "MAINTENANCE"},
		{func() { node.Fault("database", errors.New("gone")) }, 500, "ERROR"},
		{func() { node.Fault("database", nil) }, 200, "MAINTENANCE"},
		{func() { node.SetMaintenance(false) }, 200, "RUNNING"},
		{node.Stop, 503, "STOPPING"},
		{func() { node.Fault("database", errors.New("gone")) }, 503, "STOPPING"},
	} {
		step.do()
		answer := httptest.NewRecorder()
		e.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/status", nil))
		if want := `{"state":"` + step.state + `"}`; answer.Code != step.code || strings.TrimSpace(answer.Body.String()) != want {
			t.Errorf("%d %s, want %d %s", answer.Code, answer.Body, step.code, want)
		}
		if kind := answer.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
			t.Errorf("content type %q", kind)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	node := status.New()
	node.Ready()
	ctx, cancel := context.WithCancel(t.Context())
	answers := make(chan error)
	done := make(chan struct{})
	go func() {
		defer close(done)
		node.Watch(ctx, "database", time.Millisecond, func(ctx context.Context) error {
			select {
			case err := <-answers:
				return err
			case <-ctx.Done():
				return nil
			}
		})
	}()
	answers <- errors.New("gone")
	for node.State() != status.Error {
		answers <- errors.New("gone")
	}
	for node.State() == status.Error {
		answers <- nil
	}
	cancel()
	<-done
}
