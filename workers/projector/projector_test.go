package projector_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/reposearch"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/projector"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func run(t *testing.T, log *eventstore.Log, pool *pgxpool.Pool, list ...projections.Projection) (stop func()) {
	t.Helper()
	p, err := projector.New(projector.Config{
		Log: log, Checkpoints: projections.NewCheckpoints(pool), Projections: list, Logger: quiet, Backoff: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	group := workers.NewGroup(quiet)
	group.Start(t.Context(), p)
	return group.Stop
}

func create(t *testing.T, log *eventstore.Log, id domain.RepositoryID, name string) {
	t.Helper()
	_, err := log.Append(t.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(id), Meta: domain.Metadata{Actor: 5}, Events: []domain.Event{
		repository.Created{ID: id, Storage: "s", Project: 1, Name: name, Slug: name, DefaultBranch: "refs/heads/main"},
		repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/main", New: git.ObjectID{1}, Forced: true}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// await polls the checkpoint until the projection has read the whole log.
func await(t *testing.T, log *eventstore.Log, pool *pgxpool.Pool, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	head, err := log.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for {
		position, err := projections.NewCheckpoints(pool).Position(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if position >= head {
			return
		}
	}
}

func TestProjectionsFollowTheLog(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	create(t, log, 1, "before-start")
	stop := run(t, log, pool, activity.Projection{}, reposearch.Projection{})
	create(t, log, 2, "While-Running")
	await(t, log, pool, "activity")
	await(t, log, pool, "reposearch")
	list, err := activity.NewQueries(pool).Latest(t.Context(), 2, 0, 10)
	if err != nil || len(list) != 2 || list[0].Refs != 1 || list[0].Forced != 1 || list[0].Actor != 5 || list[1].Type != "repository.created.v1" {
		t.Errorf("activity %+v, %v", list, err)
	}
	found, err := reposearch.NewQueries(pool).ByName(t.Context(), "while", 10)
	if err != nil || !slices.Equal(found, []domain.RepositoryID{2}) {
		t.Errorf("found %v, %v", found, err)
	}
	stop()

	create(t, log, 3, "while-stopped")
	stop = run(t, log, pool, activity.Projection{}, reposearch.Projection{})
	defer stop()
	await(t, log, pool, "reposearch")
	if found, _ := reposearch.NewQueries(pool).ByName(t.Context(), "while", 10); len(found) != 2 {
		t.Errorf("found %v after a restart", found)
	}
}

func TestTwoWorkersApplyEachEventOnce(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	defer run(t, log, pool, activity.Projection{})()
	defer run(t, log, pool, activity.Projection{})()
	for id := range domain.RepositoryID(30) {
		create(t, log, id+1, fmt.Sprint("r", id))
	}
	await(t, log, pool, "activity")
	var rows int
	if err := pool.QueryRow(t.Context(), `select count(*) from repository_activity`).Scan(&rows); err != nil || rows != 60 {
		t.Errorf("%d rows (%v), want 60", rows, err)
	}
}

// picky is the activity projection, except that it fails on some repositories.
type picky struct {
	activity.Projection
	fails  domain.RepositoryID
	panics domain.RepositoryID
}

func (p picky) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	for _, e := range events {
		if e.Stream == domain.RepositoryStream(p.fails) {
			return errors.New("does not fit")
		}
		if e.Stream == domain.RepositoryStream(p.panics) {
			panic("at this one")
		}
	}
	return p.Projection.Apply(ctx, tx, events)
}

func TestPoisonIsSetAsideWithItsStream(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	for id := range domain.RepositoryID(6) {
		create(t, log, id+1, fmt.Sprint("r", id+1))
	}
	stop := run(t, log, pool, picky{fails: 2, panics: 4})
	create(t, log, 7, "r7")
	await(t, log, pool, "activity")
	stop()
	queries := activity.NewQueries(pool)
	for id := range domain.RepositoryID(7) {
		want := 2
		if id+1 == 2 || id+1 == 4 {
			want = 0
		}
		if list, err := queries.Latest(t.Context(), id+1, 0, 10); err != nil || len(list) != want {
			t.Errorf("repository %d has %d activities (%v), want %d", id+1, len(list), err, want)
		}
	}
	statuses, err := projections.NewCheckpoints(pool).Statuses(t.Context())
	if err != nil || len(statuses) == 0 || statuses[0].Name != "activity" || statuses[0].Parked != 4 {
		t.Errorf("statuses %+v, %v: want 4 parked, the second of each stream held behind the first", statuses, err)
	}

	// Mended, a rebuild takes in what was set aside.
	builder := projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends}
	if _, err := builder.Rebuild(t.Context(), activity.Projection{}, false); err != nil {
		t.Fatal(err)
	}
	if list, _ := queries.Latest(t.Context(), 2, 0, 10); len(list) != 2 {
		t.Errorf("repository 2 has %d activities after the rebuild", len(list))
	}
	differences, position, err := builder.Verify(t.Context(), activity.Projection{}, false)
	if err != nil || len(differences) != 0 || position != 14 {
		t.Errorf("verify after the rebuild: %v at %d, %v", differences, position, err)
	}
	if _, err := pool.Exec(t.Context(), `update repository_activity set refs = 9 where position = 2`); err != nil {
		t.Fatal(err)
	}
	differences, _, err = builder.Verify(t.Context(), activity.Projection{}, false)
	if err != nil || len(differences) != 1 || differences[0].Missing != 1 || differences[0].Surplus != 1 {
		t.Errorf("a changed row is not found: %+v, %v", differences, err)
	}
}
