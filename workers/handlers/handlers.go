package handlers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/projections"
)

// Handler deals with events.
type Handler struct {
	Name   string // of its checkpoint; also what operators call it
	Wants  func(eventType string) bool
	Handle func(ctx context.Context, event domain.Recorded) error
}

// timeout is how long a handler may take for an event; its context ends then. It is well
// below what a runner may take without progress.
const timeout = 5 * time.Second

// Handlers is the router. It implements workers.Service; its Followers are run by a
// projector, which has to be started after it and stopped before.
type Handlers struct {
	logger    *slog.Logger
	followers []*follower
}

// New makes a router for handlers.
func New(logger *slog.Logger, list ...Handler) *Handlers {
	h := &Handlers{logger: logger}
	for _, handler := range list {
		h.followers = append(h.followers, &follower{handler: handler, messages: make(chan *message.Message), closed: make(chan struct{})})
	}
	return h
}

// Followers are the handlers as a projector runs them.
func (h *Handlers) Followers() (list []projections.Follower) {
	for _, f := range h.followers {
		list = append(list, f)
	}
	return list
}

// Name implements workers.Service.
func (*Handlers) Name() string { return "handlers" }

// Run implements workers.Service.
func (h *Handlers) Run(ctx context.Context) error {
	// What the router tells of its own working is of use to its developers only.
	logger := watermill.NewSlogLoggerWithLevelMapping(h.logger, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelDebug, // errors are told by the projector
	})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 2 * timeout}, logger)
	if err != nil {
		return err
	}
	router.AddMiddleware(middleware.CorrelationID, middleware.Timeout(timeout), middleware.Recoverer)
	for _, f := range h.followers {
		router.AddConsumerHandler(f.handler.Name, f.handler.Name, f, f.handle)
	}
	return router.Run(ctx)
}

// follower hands events to the router and waits for its answer. It is a projection
// without tables, and the message.Subscriber that the router reads from.
type follower struct {
	handler  Handler
	messages chan *message.Message
	closed   chan struct{}
	once     sync.Once
}

var _ interface {
	projections.Follower
	message.Subscriber
} = (*follower)(nil)

// Name implements projections.Projection.
func (f *follower) Name() string { return f.handler.Name }

// Tables implements projections.Projection: there are none.
func (*follower) Tables() []string { return nil }

// Needs implements projections.Projection.
func (f *follower) Needs(eventType string) bool { return f.handler.Wants(eventType) }

// Policy implements projections.Follower.
func (f *follower) Policy() projections.Policy {
	return projections.Policy{Effects: f.handler.Wants, FromHead: true}
}

var errClosed = errors.New("the router of handlers has stopped")

// Queue implements projections.Follower: it has the events dealt with.
func (f *follower) Queue(_ *pgx.Batch, events []domain.Recorded) error {
	for _, e := range events {
		if !f.handler.Wants(e.Event.EventType()) {
			continue
		}
		if err := f.deliver(e); err != nil {
			return err
		}
	}
	return nil
}

// delivery is what a message carries: an event, and what the handler says to it.
type delivery struct {
	event  domain.Recorded
	answer error
}

type deliveryKey struct{}

func (f *follower) deliver(e domain.Recorded) error {
	d := &delivery{event: e, answer: errors.New("the handler has panicked or took too long")}
	m := message.NewMessage(e.ID, nil)
	m.SetContext(context.WithValue(context.Background(), deliveryKey{}, d))
	middleware.SetCorrelationID(e.Meta.Correlation, m)
	select {
	case f.messages <- m:
	case <-f.closed:
		return errClosed
	}
	select {
	case <-m.Acked():
		return nil
	case <-m.Nacked():
		return d.answer
	}
}

func (f *follower) handle(m *message.Message) error {
	d, ok := m.Context().Value(deliveryKey{}).(*delivery)
	if !ok {
		return errors.New("a message without an event")
	}
	err := f.handler.Handle(m.Context(), d.event)
	d.answer = err
	return err
}

// Subscribe implements message.Subscriber.
func (f *follower) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	messages := make(chan *message.Message)
	go func() { // ends with ctx, which is the router's, or with Close
		defer close(messages)
		defer func() { _ = f.Close() }()
		for {
			select {
			case m := <-f.messages:
				select {
				case messages <- m:
				case <-ctx.Done():
					m.Nack()
					return
				case <-f.closed:
					m.Nack()
					return
				}
			case <-ctx.Done():
				return
			case <-f.closed:
				return
			}
		}
	}()
	return messages, nil
}

// Close implements message.Subscriber.
func (f *follower) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}
