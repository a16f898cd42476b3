package projector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
)

// Config of a Projector. Log, Checkpoints and Projections must be given.
type Config struct {
	Log         *eventstore.Log
	Checkpoints *projections.Checkpoints
	Projections []projections.Projection
	Metrics     prometheus.Registerer // default: none
	Logger      *slog.Logger          // default slog.Default()

	Retries int           // of a page, before its events are tried one by one; default 3
	Backoff time.Duration // before the first retry, doubling; default 100 ms
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Retries == 0 {
		c.Retries = 3
	}
	if c.Backoff == 0 {
		c.Backoff = 100 * time.Millisecond
	}
	return c
}

func (c Config) validate() error {
	if c.Log == nil || c.Checkpoints == nil {
		return errors.New("projector: Log and Checkpoints must be given")
	}
	if c.Retries < 0 || c.Backoff < 0 {
		return errors.New("projector: Retries and Backoff must not be negative")
	}
	return nil
}

// Projector runs projections. It implements workers.Service.
type Projector struct {
	config  Config
	metrics *metrics
}

// New makes a Projector and registers its metrics.
func New(config Config) (*Projector, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	p := &Projector{config: config, metrics: newMetrics()}
	if config.Metrics != nil {
		if err := p.metrics.register(config.Metrics); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Name implements workers.Service.
func (*Projector) Name() string { return "projector" }

// Run implements workers.Service: it returns once every projection has finished
// the page it was at.
func (p *Projector) Run(ctx context.Context) error {
	// What the router tells of its own working is of use to its developers only.
	logger := watermill.NewSlogLoggerWithLevelMapping(p.config.Logger, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 30 * time.Second}, logger)
	if err != nil {
		return err
	}
	// From the outside in: what the retries could not mend is counted and set aside.
	router.AddMiddleware(
		middleware.CorrelationID,
		p.setAside,
		p.metrics.measure,
		middleware.Retry{
			MaxRetries: p.config.Retries, InitialInterval: p.config.Backoff, Multiplier: 2, MaxInterval: time.Second,
			ShouldRetry: func(r middleware.RetryParams) bool {
				return !errors.Is(r.Err, projections.ErrMoved) && ctx.Err() == nil
			},
			Logger: logger,
		}.Middleware,
		middleware.Recoverer,
	)
	pages := newSubscriber(p.config.Log, p.config.Checkpoints, p.config.Logger, p.config.Backoff)
	for _, projection := range p.config.Projections {
		router.AddConsumerHandler(projection.Name(), projection.Name(), pages, func(m *message.Message) error {
			page := pageOf(m)
			return p.config.Checkpoints.Advance(m.Context(), projection, page.from, page.events)
		})
	}
	return router.Run(ctx)
}

// setAside handles a page that failed for good: its events go one by one, and the
// first that fails is parked. The ones behind it come with the next page.
func (p *Projector) setAside(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		produced, err := next(m)
		if err == nil || m.Context().Err() != nil {
			return produced, err
		}
		if errors.Is(err, projections.ErrMoved) {
			return nil, nil // done by another node: the next page starts behind it
		}
		name := message.HandlerNameFromCtx(m.Context())
		p.config.Logger.Error("a page of events cannot be applied, trying them one by one", "projection", name, "error", err)
		return nil, p.oneByOne(m.Context(), name, pageOf(m))
	}
}

func (p *Projector) oneByOne(ctx context.Context, name string, page page) error {
	projection, err := p.find(name)
	if err != nil {
		return err
	}
	for i, event := range page.events {
		err := p.safely(ctx, projection, page, i)
		if err == nil {
			continue
		}
		if errors.Is(err, projections.ErrMoved) {
			return nil
		}
		if ctx.Err() != nil || !p.databaseAnswers(ctx) {
			return err // nobody's fault: try again later
		}
		p.config.Logger.Error("an event cannot be applied and is set aside", "projection", name,
			"position", event.Position, "stream", event.Stream, "error", err)
		p.metrics.parked.WithLabelValues(name).Inc()
		return p.config.Checkpoints.Park(ctx, projection, event, p.config.Retries+2, err)
	}
	return nil
}

// safely applies event i of a page; a panic becomes an error.
func (p *Projector) safely(ctx context.Context, projection projections.Projection, page page, i int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return p.config.Checkpoints.Advance(ctx, projection, page.from+int64(i), page.events[i:i+1])
}

func (p *Projector) databaseAnswers(ctx context.Context) bool {
	_, err := p.config.Log.Head(ctx)
	return err == nil
}

func (p *Projector) find(name string) (projections.Projection, error) {
	for _, projection := range p.config.Projections {
		if projection.Name() == name {
			return projection, nil
		}
	}
	return nil, fmt.Errorf("no projection is called %q", name)
}
