package maintenance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/maintenance"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/workers"
)

// shards is into how many leases the repositories are dealt out.
const shards = 8

// Leases lets one node work at a time.
type Leases interface {
	Hold(ctx context.Context, name string, work func(ctx context.Context, term int64) error) error
}

// Snapshots gives the refs and packs of a repository as they are now.
type Snapshots interface {
	Snapshot(ctx context.Context, repository domain.RepositoryID) (*gitfs.Snapshot, error)
}

// Named lists the objects that refs of a repository name or have ever named.
type Named interface {
	Named(ctx context.Context, repository domain.RepositoryID) ([]git.ObjectID, error)
}

// Config of the services. What comes before Thresholds must be given, except Metrics and
// Logger.
type Config struct {
	Pool       *pgxpool.Pool
	Log        *eventstore.Log
	Snapshots  Snapshots
	Named      Named
	Store      *store.Store
	Maintainer *maintenance.Maintainer
	Leases     Leases
	Node       string // as people know it
	Metrics    prometheus.Registerer
	Logger     *slog.Logger

	Thresholds maintenance.Thresholds
	Poll       time.Duration // between looks at what was asked for; default 2 s
	Every      time.Duration // between looks at what was pushed; default 10 s
	FullEvery  time.Duration // after which all packs of a repository are combined anew if there is more than one; default 7 days
	SweepEvery time.Duration // between looks at what lies on the shared home for a repository; default 24 h
	Readers    time.Duration // for which a superseded pack stays in any case; default 24 h
	Orphans    time.Duration // for which a file that was never listed stays; default 48 h
	Trash      time.Duration // for which what was removed can be brought back by hand; default 24 h
}

func (c Config) withDefaults() Config {
	const day = 24 * time.Hour
	c.Poll, c.Every = cmp.Or(c.Poll, 2*time.Second), cmp.Or(c.Every, 10*time.Second)
	c.FullEvery, c.SweepEvery = cmp.Or(c.FullEvery, 7*day), cmp.Or(c.SweepEvery, day)
	c.Readers, c.Orphans, c.Trash = cmp.Or(c.Readers, day), cmp.Or(c.Orphans, 2*day), cmp.Or(c.Trash, day)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Worker combines packs and removes files, for the repositories whose leases it holds. It
// is a workers.Service.
type Worker struct {
	config  Config
	metrics metrics
	working chan struct{} // room for the one job that runs at a time
}

// New makes the services: the worker, and the reader that tells others which packs this
// process still reads, which every process with a store must run.
func New(c Config) (*Worker, *Reader, error) {
	c = c.withDefaults()
	w := &Worker{config: c, metrics: newMetrics(), working: make(chan struct{}, 1)}
	if c.Metrics != nil {
		if err := w.metrics.register(c.Metrics); err != nil {
			return nil, nil, err
		}
	}
	return w, &Reader{pool: c.Pool, store: c.Store, logger: c.Logger, every: c.Poll, id: uuid.Must(uuid.NewV7())}, nil
}

// Name implements workers.Service.
func (*Worker) Name() string { return "maintenance" }

// Run implements workers.Service. What goes wrong is told and tried again.
func (w *Worker) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for shard := range shards {
		all.Go(func() {
			for ctx.Err() == nil {
				err := w.config.Leases.Hold(ctx, fmt.Sprintf("maintenance/%d", shard), func(ctx context.Context, _ int64) error {
					return w.tend(ctx, shard)
				})
				if err != nil && ctx.Err() == nil {
					w.config.Logger.Error("maintenance cannot go on, and is tried again", "error", err)
				}
				workers.Pause(ctx, w.config.Poll)
			}
		})
	}
	all.Wait()
	return nil
}

// tend looks after the repositories of a shard for as long as its lease is held.
func (w *Worker) tend(ctx context.Context, shard int) error {
	s := &tending{Worker: w, shard: shard}
	for ctx.Err() == nil {
		if err := s.round(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		workers.Pause(ctx, w.config.Poll)
	}
	return nil
}

// tending is the work on a shard.
type tending struct {
	*Worker
	shard    int
	followed int64     // position up to which pushes have been looked at; 0 at first
	looked   time.Time // when that was
}

// round does once what is due.
func (t *tending) round(ctx context.Context) error {
	requested, err := t.requested(ctx)
	if err != nil {
		return err
	}
	for _, id := range requested {
		t.maintain(ctx, id, true)
	}
	if time.Since(t.looked) < t.config.Every {
		return nil
	}
	t.looked = time.Now()
	crowded, followed, err := t.crowded(ctx)
	if err != nil {
		return err
	}
	for _, id := range crowded {
		t.maintain(ctx, id, false)
	}
	t.followed = followed
	scattered, err := t.scattered(ctx)
	if err != nil {
		return err
	}
	for _, id := range scattered {
		t.maintain(ctx, id, true)
	}
	return errors.Join(t.materializeDue(ctx), t.sweepDue(ctx), t.removeDue(ctx))
}

// maintain does what is due for a repository, or with all a full repack whatever its
// packs are like.
func (t *tending) maintain(ctx context.Context, id domain.RepositoryID, all bool) {
	select {
	case t.working <- struct{}{}:
		defer func() { <-t.working }()
	case <-ctx.Done():
		return
	}
	kind, outcome, err := t.combine(ctx, id, all)
	var gone *domain.NotFoundError
	var conflict *domain.ConflictError
	var removed *repository.PacksRemovedError
	switch {
	case ctx.Err() != nil:
		return // the next owner of the lease begins anew
	case errors.As(err, &gone):
		outcome = "The repository is deleted."
	case errors.As(err, &conflict), errors.As(err, &removed):
		outcome = "Its packs have changed meanwhile."
	case err != nil:
		t.config.Logger.Error("packs could not be combined", "repository", int64(id), "job", string(kind), "error", err)
		t.metrics.jobs.WithLabelValues(string(kind), "failed").Inc()
		if err := t.failed(ctx, id); err != nil {
			t.config.Logger.Error("a failure could not be noted", "repository", int64(id), "error", err)
		}
		return
	}
	if err := t.finished(ctx, id, kind, outcome, err == nil && (all || kind == maintenance.Full)); err != nil {
		t.config.Logger.Error("a finished job could not be noted", "repository", int64(id), "error", err)
	}
}

// combine carries out what is due, and says what came of it.
func (t *tending) combine(ctx context.Context, id domain.RepositoryID, all bool) (kind maintenance.Kind, outcome string, err error) {
	if all {
		if err := t.begun(ctx, id, maintenance.Full); err != nil {
			return kind, "", err
		}
	}
	// Before the packs are listed: what is named then is in one of them.
	named, err := t.config.Named.Named(ctx, id)
	if err != nil {
		return kind, "", err
	}
	snapshot, err := t.config.Snapshots.Snapshot(ctx, id)
	if err != nil {
		return kind, "", err
	}
	plan := maintenance.Choose(snapshot.Packs, t.config.Thresholds)
	if all && len(snapshot.Packs) > 0 {
		plan = maintenance.Plan{Kind: maintenance.Full, Packs: snapshot.Packs}
	}
	if plan.Kind == maintenance.Nothing {
		return plan.Kind, "There was nothing to do.", nil
	}
	if !all {
		if err := t.begun(ctx, id, plan.Kind); err != nil {
			return plan.Kind, "", err
		}
	}
	t.metrics.running.Inc()
	defer t.metrics.running.Dec()
	started := time.Now()
	combined, err := t.config.Maintainer.Run(ctx, plan, snapshot, named)
	if err != nil {
		return plan.Kind, "", err
	}
	if combined == nil {
		return plan.Kind, "There was nothing to do.", nil
	}
	combined.Base = snapshot.Version
	_, err = t.config.Log.Append(ctx, eventstore.Proposal{
		Stream: domain.RepositoryStream(id), Claim: *combined, Meta: domain.Metadata{Auth: "system"},
	})
	if err != nil {
		return plan.Kind, "", err
	}
	t.metrics.jobs.WithLabelValues(string(plan.Kind), "done").Inc()
	t.metrics.seconds.WithLabelValues(string(plan.Kind)).Observe(time.Since(started).Seconds())
	t.metrics.superseded.Add(float64(len(combined.Superseded)))
	if err := t.noteSuperseded(ctx, id, snapshot.Storage, combined.Superseded); err != nil {
		// The sweep finds them, too, and waits longer.
		t.config.Logger.Warn("superseded packs could not be noted", "repository", int64(id), "error", err)
	}
	return plan.Kind, fmt.Sprintf("%d packs were combined into %d.", len(combined.Superseded), len(combined.Packs)), nil
}
