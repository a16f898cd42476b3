package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
)

// pageSize is how many events a message holds at most.
const pageSize = 1000

// page is what a message carries: events that follow a checkpoint.
type page struct {
	from   int64
	events []domain.Recorded
}

type pageKey struct{}

func pageOf(m *message.Message) page {
	p, _ := m.Context().Value(pageKey{}).(page)
	return p
}

// subscriber is a message.Subscriber over the log. A topic is a projection's name.
type subscriber struct {
	log         *eventstore.Log
	checkpoints *projections.Checkpoints
	logger      *slog.Logger
	pause       time.Duration // after an error or a refused message

	mu      sync.Mutex
	closing chan struct{}
	topics  sync.WaitGroup
}

func newSubscriber(log *eventstore.Log, checkpoints *projections.Checkpoints, logger *slog.Logger, pause time.Duration) *subscriber {
	return &subscriber{log: log, checkpoints: checkpoints, logger: logger, pause: pause, closing: make(chan struct{})}
}

// Subscribe implements message.Subscriber.
func (s *subscriber) Subscribe(ctx context.Context, projection string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closing:
		return nil, errors.New("the subscriber is closed")
	default:
	}
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan *message.Message)
	s.topics.Go(func() {
		defer close(messages)
		defer cancel()
		s.follow(ctx, projection, messages)
	})
	s.topics.Go(func() { // ends follow when the subscriber is closed
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	})
	return messages, nil
}

// Close implements message.Subscriber. It waits until no topic is served.
func (s *subscriber) Close() error {
	s.mu.Lock()
	select {
	case <-s.closing:
	default:
		close(s.closing)
	}
	s.mu.Unlock()
	s.topics.Wait()
	return nil
}

// follow hands out page after page until ctx ends.
func (s *subscriber) follow(ctx context.Context, projection string, messages chan<- *message.Message) {
	for ctx.Err() == nil {
		if err := s.next(ctx, projection, messages); err != nil && ctx.Err() == nil {
			s.logger.Error("a projection stands still", "projection", projection, "error", err)
			if err := s.checkpoints.Failed(ctx, projection, err); err != nil && ctx.Err() == nil {
				s.logger.Error("could not note the failure of a projection", "projection", projection, "error", err)
			}
			s.wait(ctx)
		}
	}
}

// next waits for events behind the checkpoint, sends one page of them and waits
// until it is acknowledged or refused.
func (s *subscriber) next(ctx context.Context, projection string, messages chan<- *message.Message) error {
	from, err := s.checkpoints.Position(ctx, projection)
	if err != nil {
		return err
	}
	if _, err := s.log.Await(ctx, from); err != nil {
		return err
	}
	events, err := s.log.ReadAll(ctx, from, pageSize)
	if len(events) == 0 || (err != nil && !isUnknownType(err)) {
		return err
	}
	// Events before one of an unknown type can still be applied.
	m := message.NewMessage(watermill.NewUUID(), nil)
	middleware.SetCorrelationID(fmt.Sprintf("%s-%d-%d", projection, from+1, from+int64(len(events))), m)
	m.SetContext(context.WithValue(ctx, pageKey{}, page{from: from, events: events}))
	select {
	case messages <- m:
	case <-ctx.Done():
		return nil
	}
	select {
	case <-m.Acked():
		return err
	case <-m.Nacked():
		s.wait(ctx)
		return nil
	case <-ctx.Done():
		return nil
	}
}

func isUnknownType(err error) bool {
	var unknown *eventstore.UnknownTypeError
	return errors.As(err, &unknown)
}

func (s *subscriber) wait(ctx context.Context) {
	timer := time.NewTimer(s.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
