package projector

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/workers"
)

// Log is the log as runners read it: an eventstore.Log.
type Log interface {
	projections.History
	// Follow is ReadAll for those who keep up with the log.
	Follow(ctx context.Context, after int64, limit int) ([]domain.Recorded, error)
	// Await returns once the log reaches beyond a position, with the newest known
	// position, or when ctx ends.
	Await(ctx context.Context, after int64) (head int64, err error)
}

// Leases say which shards this node runs: a lease.Leases.
type Leases interface {
	Hold(ctx context.Context, name string, work func(ctx context.Context, term int64) error) error
}

// Config of a Projector. Pool, Log, Leases and Projections must be given.
type Config struct {
	Pool        *pgxpool.Pool // says how to connect: each runner has a connection of its own
	Log         Log
	Leases      Leases
	Projections []projections.Follower
	Metrics     prometheus.Registerer // default: none
	Logger      *slog.Logger          // default slog.Default()

	// Moved is told of every page that has been committed, by the runner; may be nil.
	Moved func(projection string, shard int, position int64)

	Backoff time.Duration // after an error, doubling up to five seconds; default 100 ms
	Stuck   time.Duration // without progress although there are events; default 10 s
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Backoff == 0 {
		c.Backoff = 100 * time.Millisecond
	}
	if c.Stuck == 0 {
		c.Stuck = 10 * time.Second
	}
	return c
}

func (c Config) validate() error {
	if c.Pool == nil || c.Log == nil || c.Leases == nil {
		return errors.New("projector: Pool, Log and Leases must be given")
	}
	if c.Backoff < 0 || c.Stuck < 0 {
		return errors.New("projector: Backoff and Stuck must not be negative")
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

// Run implements workers.Service: it returns once every runner has finished the page it
// was at, and its leases are given back.
func (p *Projector) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, follower := range p.config.Projections {
		for shard := range max(follower.Policy().Shards, 1) {
			running.Go(func() { p.keep(ctx, follower, shard) })
		}
	}
	running.Wait()
	return nil
}

// keep runs a shard whenever this node holds its lease, until ctx ends.
func (p *Projector) keep(ctx context.Context, follower projections.Follower, shard int) {
	name := projections.LeaseName(follower.Name(), shard)
	wait := p.config.Backoff
	for ctx.Err() == nil {
		var ended *runner
		err := p.config.Leases.Hold(ctx, name, func(ctx context.Context, term int64) error {
			ended = p.runner(follower, shard, term)
			return ended.run(ctx)
		})
		if err == nil || ctx.Err() != nil {
			continue
		}
		p.config.Logger.Error("a projection has given its lease back", "projection", follower.Name(), "shard", shard, "error", err)
		if ended != nil {
			ended.abandoned.Wait() // this node does not try twice at a time
		}
		workers.Pause(ctx, wait)
		wait = min(2*wait, maxBackoff)
	}
}

const maxBackoff = 5 * time.Second

// page is events that follow a position.
type page struct {
	events []domain.Recorded
	err    error
}
