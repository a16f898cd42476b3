package workers

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// Service is work that goes on until it is told to stop.
type Service interface {
	Name() string
	// Run works until ctx ends, then finishes what it has begun and returns nil.
	// An error means that it cannot go on.
	Run(ctx context.Context) error
}

// Group runs services together.
type Group struct {
	log     *slog.Logger
	running []*task
	failed  chan error // room for one: the first failure
}

type task struct {
	service Service
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// NewGroup makes a group without services.
func NewGroup(log *slog.Logger) *Group {
	return &Group{log: log, failed: make(chan error, 1)}
}

// Start runs a service until Stop. ctx gives values, not the end.
func (g *Group) Start(ctx context.Context, s Service) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &task{service: s, cancel: cancel}
	g.running = append(g.running, t)
	t.done.Go(func() {
		if err := s.Run(ctx); err != nil {
			g.log.Error("a service has failed", "service", s.Name(), "error", err)
			select {
			case g.failed <- fmt.Errorf("%s: %w", s.Name(), err):
			default:
			}
		}
	})
}

// Failed yields the first error a service ended with.
func (g *Group) Failed() <-chan error { return g.failed }

// Stop ends the services, the last started first, and waits for each.
func (g *Group) Stop() {
	for i := len(g.running) - 1; i >= 0; i-- {
		g.running[i].cancel()
		g.running[i].done.Wait()
	}
	g.running = nil
}
