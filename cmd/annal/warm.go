package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// Bounds of keeping repositories warm.
const (
	warmQueue = 256             // repositories that wait; more are left cold
	warmDelay = time.Second     // from a push to the packs, so that pushes in a row cost one
	warmShare = 10              // one part in so many of the time goes into one repository
	warmLimit = 5 * time.Minute // for one repository
	surveyed  = 1000            // objects in one push from which a repository is looked through
)

// warmer makes the packs that clones of hot repositories will ask for after a push, so that
// the first to clone need not wait for them. It is a worker; pushes only leave a note.
type warmer struct {
	upload    *uploadpack.Server
	store     *store.Store
	snapshots snapshots
	log       *slog.Logger

	mu    sync.Mutex
	due   map[domain.RepositoryID]time.Time
	large map[domain.RepositoryID]bool      // those due that got many objects
	after map[domain.RepositoryID]time.Time // not before that
	woken chan struct{}
}

func newWarmer(upload *uploadpack.Server, objects *store.Store, current snapshots, log *slog.Logger) *warmer {
	return &warmer{
		upload: upload, store: objects, snapshots: current, log: log,
		due: map[domain.RepositoryID]time.Time{}, large: map[domain.RepositoryID]bool{}, after: map[domain.RepositoryID]time.Time{}, woken: make(chan struct{}, 1),
	}
}

// pushed notes that refs of a repository have moved, and how many objects came. It never
// waits.
func (w *warmer) pushed(id domain.RepositoryID, objects int64) {
	if objects < surveyed && !w.upload.IsHot(id) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if objects >= surveyed && len(w.large) < warmQueue {
		w.large[id] = true
	}
	if _, known := w.due[id]; known || len(w.due) >= warmQueue {
		return
	}
	at := time.Now().Add(warmDelay)
	if after := w.after[id]; after.After(at) {
		at = after
	}
	w.due[id] = at
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// Name implements workers.Service.
func (*warmer) Name() string { return "warm packs" }

// Run implements workers.Service.
func (w *warmer) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		id, wait := w.next(time.Now())
		if wait == 0 {
			w.warm(ctx, id)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-w.woken:
		case <-ctx.Done():
		}
	}
	return nil
}

// next takes the repository whose turn it is, or says how long to wait.
func (w *warmer) next(now time.Time) (id domain.RepositoryID, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait = time.Hour
	for due, at := range w.due {
		if !at.After(now) {
			delete(w.due, due)
			return due, 0
		}
		wait = min(wait, at.Sub(now))
	}
	return 0, wait
}

func (w *warmer) warm(ctx context.Context, id domain.RepositoryID) {
	ctx, cancel := context.WithTimeout(ctx, warmLimit)
	defer cancel()
	start := time.Now()
	err := w.make(ctx, id)
	var missing *domain.NotFoundError
	if err != nil && ctx.Err() == nil && !errors.As(err, &missing) {
		w.log.Warn("could not make packs ahead of clones", "repository", id, "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for known, after := range w.after {
		if after.Before(start) {
			delete(w.after, known)
		}
	}
	w.after[id] = time.Now().Add(warmShare * time.Since(start))
}

func (w *warmer) make(ctx context.Context, id domain.RepositoryID) error {
	snapshot, err := w.snapshots.Snapshot(ctx, id)
	if err != nil {
		return err
	}
	objects, err := w.store.Objects(ctx, snapshot.Storage, snapshot.Packs)
	if err != nil {
		return err
	}
	defer objects.Release()
	repo := &uploadpack.Repository{Snapshot: snapshot, Objects: objects}
	w.mu.Lock()
	large := w.large[id]
	delete(w.large, id)
	w.mu.Unlock()
	if large {
		if err := w.upload.Survey(ctx, repo); err != nil {
			return err
		}
	}
	return w.upload.Warm(ctx, repo)
}
