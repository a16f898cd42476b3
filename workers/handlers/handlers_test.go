package handlers_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/handlers"
	"github.com/annal-git/annal/workers/lease"
	"github.com/annal-git/annal/workers/projector"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func create(t *testing.T, log *eventstore.Log, id domain.ProjectID) int64 {
	t.Helper()
	appended, err := log.Append(t.Context(), eventstore.Proposal{Stream: domain.ProjectStream(id), Meta: domain.Metadata{Actor: 7}, Events: []domain.Event{project.Created{ID: id}}})
	if err != nil {
		t.Fatal(err)
	}
	return appended.Position
}

// Events are dealt with one at a time and in order; one that fails or panics is set aside
// with its stream.
func TestHandlers(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	create(t, log, 1) // before there is the handler: not its concern
	var mu sync.Mutex
	var dealt []domain.Stream
	attempts := map[domain.Stream]int{}
	var lines bytes.Buffer
	last := make(chan struct{})
	h := handlers.New(quiet, handlers.Handler{
		Name:  "test",
		Wants: func(eventType string) bool { return strings.HasPrefix(eventType, "project.") },
		Handle: func(ctx context.Context, e domain.Recorded) error {
			mu.Lock()
			defer mu.Unlock()
			attempts[e.Stream]++
			if _, bounded := ctx.Deadline(); !bounded {
				t.Error("a handler may take for ever")
			}
			switch e.Stream {
			case "project/3":
				return errors.New("no")
			case "project/4":
				panic("at this one")
			case "project/6":
				close(last)
			}
			dealt = append(dealt, e.Stream)
			return nil
		},
	}, handlers.Administration(slog.New(slog.NewTextHandler(&lines, nil))))
	p, err := projector.New(projector.Config{Pool: pool, Log: log, Leases: lease.New(pool, "node"), Projections: h.Followers(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	group := workers.NewGroup(quiet)
	group.Start(t.Context(), h)
	group.Start(t.Context(), p)
	awaitRunning(t, projections.NewCheckpoints(pool), 2)
	for id := range domain.ProjectID(4) {
		create(t, log, id+2)
	}
	if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "repository/1", Events: []domain.Event{repository.RefsUpdated{}}}); err != nil {
		t.Fatal(err)
	}
	head := create(t, log, 6)
	<-last
	awaitPosition(t, projections.NewCheckpoints(pool), "administration", head)
	awaitPosition(t, projections.NewCheckpoints(pool), "test", head)
	group.Stop()
	if len(dealt) != 3 || dealt[0] != "project/2" || dealt[1] != "project/5" || dealt[2] != "project/6" {
		t.Errorf("dealt with %v", dealt)
	}
	if attempts["project/3"] != 3 || attempts["project/4"] != 3 || attempts["project/2"] != 1 {
		t.Errorf("attempts %v", attempts)
	}
	parked, err := projections.NewCheckpoints(pool).Parked(t.Context(), "test", 0, 10)
	if err != nil || len(parked) != 2 || parked[0].Error != "no" {
		t.Errorf("set aside %+v, %v", parked, err)
	}
	if n := strings.Count(lines.String(), "event=project.created.v1"); n != 5 || !strings.Contains(lines.String(), "stream=project/5") ||
		strings.Contains(lines.String(), "refs_updated") {
		t.Errorf("%d lines in the log:\n%s", n, lines.String())
	}
}

func awaitRunning(t *testing.T, checkpoints *projections.Checkpoints, n int) {
	t.Helper()
	await(t, func(ctx context.Context) (bool, error) {
		statuses, err := checkpoints.Statuses(ctx)
		running := 0
		for _, s := range statuses {
			if s.Owner != "" && s.Position > 0 {
				running++
			}
		}
		return running == n, err
	})
}

func awaitPosition(t *testing.T, checkpoints *projections.Checkpoints, name string, position int64) {
	t.Helper()
	await(t, func(ctx context.Context) (bool, error) {
		at, err := checkpoints.Position(ctx, name)
		return at >= position, err
	})
}

func await(t *testing.T, done func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		ok, err := done(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
	}
}
