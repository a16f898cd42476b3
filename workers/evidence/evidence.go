// Package evidence keeps the log's tamper evidence going: on one node the integrator of
// its tree, and on every node a witness of what it signs. Neither is on the path of a
// push.
package evidence

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/workers"
)

// LeaseName is the lease that the integrating node holds.
const LeaseName = "tree"

// Leases lets one node work at a time. Two that integrate at once do no harm: the lease
// only saves the second one's work.
type Leases interface {
	Hold(ctx context.Context, name string, work func(ctx context.Context, term int64) error) error
}

// Config of the services. Interval and Patience have defaults.
type Config struct {
	Log        *eventstore.Log
	Integrator *tree.Integrator
	Witness    *tree.Witness
	Leases     Leases
	Metrics    prometheus.Registerer // nil for none
	Logger     *slog.Logger

	Interval time.Duration // between checkpoints under load; default 1 s
	Patience time.Duration // before trying again what has failed; default 1 s
}

// Evidence is the state that its services share.
type Evidence struct {
	config  Config
	refused atomic.Bool
	size    prometheus.Gauge
	whole   prometheus.Gauge
	failed  prometheus.Counter
}

// New makes the services' state and registers its metrics.
func New(config Config) (*Evidence, error) {
	if config.Interval == 0 {
		config.Interval = time.Second
	}
	if config.Patience == 0 {
		config.Patience = time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	e := &Evidence{
		config: config,
		size:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "annal_log_checkpoint_size", Help: "How many events the newest checkpoint covers that this node has verified."}),
		whole:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "annal_log_whole", Help: "1 if the log contains everything that was signed, 0 if it contradicts a signed checkpoint."}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "annal_log_evidence_failures_total", Help: "Failed attempts to extend or to verify the log's tree."}),
	}
	if config.Metrics != nil {
		for _, metric := range []prometheus.Collector{e.size, e.whole, e.failed} {
			if err := config.Metrics.Register(metric); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// Check verifies once that the log contains everything that was signed. While it does
// not, the node takes no changes; whether it does is returned, with the reason if not.
func (e *Evidence) Check(ctx context.Context) error {
	err := e.config.Witness.Check(ctx)
	var behind *tree.BehindError
	var forked *tree.ForkError
	switch {
	case err == nil:
		e.whole.Set(1)
		e.size.Set(float64(e.config.Witness.Newest().Size))
		if e.refused.Swap(false) {
			e.config.Logger.Info("the log contains everything that was signed, changes are taken again")
			e.config.Log.Refuse(nil)
		}
	case errors.As(err, &behind), errors.As(err, &forked):
		e.whole.Set(0)
		e.config.Log.Refuse(&domain.UnavailableError{
			Message: "The log of this installation is not the one that was signed, so no changes are taken. An operator has to look at it: see 'annal audit epoch --help'.",
		})
		if !e.refused.Swap(true) {
			e.config.Logger.Error("the log is not the one that was signed: no changes are taken until its state is restored, or an operator begins a new epoch with 'annal audit epoch --reason ...'", "error", err)
		}
	}
	return err
}

// Services are the integrator and the witness, each a workers.Service.
func (e *Evidence) Services() (integrator *Integrator, witness *Witness) {
	return &Integrator{e}, &Witness{e}
}

// Witness checks whatever is new, on every node.
type Witness struct{ evidence *Evidence }

// Name implements workers.Service.
func (*Witness) Name() string { return "witness of the log" }

// Run implements workers.Service.
func (w *Witness) Run(ctx context.Context) error {
	e := w.evidence
	for ctx.Err() == nil {
		e.report(ctx, "the newest checkpoint of the log cannot be verified", e.Check(ctx))
		workers.Pause(ctx, e.config.Interval)
	}
	return nil
}

// Integrator extends the tree and signs it, on the node that holds the lease.
type Integrator struct{ evidence *Evidence }

// Name implements workers.Service.
func (*Integrator) Name() string { return "integrator of the log" }

// Run implements workers.Service.
func (i *Integrator) Run(ctx context.Context) error {
	e := i.evidence
	for ctx.Err() == nil {
		err := e.config.Leases.Hold(ctx, LeaseName, func(ctx context.Context, _ int64) error { return i.integrate(ctx) })
		e.report(ctx, "the tree of the log cannot be extended", err)
		workers.Pause(ctx, e.config.Patience)
	}
	return nil
}

// integrate follows the log: at once when it was idle, and else at most once an interval.
func (i *Integrator) integrate(ctx context.Context) error {
	e := i.evidence
	for ctx.Err() == nil {
		if e.refused.Load() {
			// What is signed now would be signed on top of a contradiction.
			workers.Pause(ctx, e.config.Interval)
			continue
		}
		started := time.Now()
		size, err := e.config.Integrator.Step(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if _, err := e.config.Log.Await(ctx, size); err != nil {
			return nil
		}
		workers.Pause(ctx, e.config.Interval-time.Since(started))
	}
	return nil
}

func (e *Evidence) report(ctx context.Context, what string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	e.failed.Inc()
	if !e.refused.Load() { // that has been said already
		e.config.Logger.Error(what, "error", err)
	}
}
