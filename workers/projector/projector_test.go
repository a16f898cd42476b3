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
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/reposearch"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/lease"
	"github.com/annal-git/annal/workers/projector"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

var quiet = slog.New(slog.DiscardHandler)

func run(t *testing.T, log *eventstore.Log, pool *pgxpool.Pool, list ...projections.Follower) (stop func()) {
	t.Helper()
	return runWith(t, projector.Config{Pool: pool, Log: log, Leases: lease.New(pool, t.Name()), Projections: list})
}

func runWith(t *testing.T, config projector.Config) (stop func()) {
	t.Helper()
	config.Logger, config.Backoff = quiet, time.Millisecond
	p, err := projector.New(config)
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

func push(t *testing.T, log *eventstore.Log, id domain.RepositoryID) {
	t.Helper()
	propose(t, log, domain.RepositoryStream(id), repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/main", New: git.ObjectID{2}}}})
}

func propose(t *testing.T, log *eventstore.Log, stream domain.Stream, event domain.Event) {
	t.Helper()
	_, err := log.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: []domain.Event{event}})
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
	policy projections.Policy
}

func (p picky) Policy() projections.Policy { return p.policy }

func (p picky) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	for _, e := range events {
		if e.Stream == domain.RepositoryStream(p.fails) {
			return errors.New("does not fit")
		}
		if e.Stream == domain.RepositoryStream(p.panics) {
			panic("at this one")
		}
	}
	return p.Projection.Queue(flight, events)
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
	push(t, log, 2) // behind what is set aside
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
	statuses, err := statusesOf(t.Context(), pool, "activity")
	if err != nil || len(statuses) != 1 || statuses[0].Parked != 5 {
		t.Errorf("statuses %+v, %v: want 5 parked, all behind the first of their stream", statuses, err)
	}

	// Mended, a rebuild takes in what was set aside.
	builder := projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends}
	if _, err := builder.Rebuild(t.Context(), activity.Projection{}); err != nil {
		t.Fatal(err)
	}
	if list, _ := queries.Latest(t.Context(), 2, 0, 10); len(list) != 3 {
		t.Errorf("repository 2 has %d activities after the rebuild", len(list))
	}
	differences, position, err := builder.Verify(t.Context(), activity.Projection{})
	if err != nil || len(differences) != 0 || position != 15 {
		t.Errorf("verify after the rebuild: %v at %d, %v", differences, position, err)
	}
	if _, err := pool.Exec(t.Context(), `update repository_activity set refs = 9 where position = 2`); err != nil {
		t.Fatal(err)
	}
	differences, _, err = builder.Verify(t.Context(), activity.Projection{})
	if err != nil || len(differences) != 1 || differences[0].Missing != 1 || differences[0].Surplus != 1 {
		t.Errorf("a changed row is not found: %+v, %v", differences, err)
	}
}

func TestShardsKeepTheOrderOfEachStream(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	sharded := picky{fails: 3, policy: projections.Policy{Shards: 4}}
	defer run(t, log, pool, sharded)()
	defer run(t, log, pool, sharded)()
	for id := range domain.RepositoryID(20) {
		create(t, log, id+1, fmt.Sprint("r", id))
	}
	await(t, log, pool, "activity")
	var rows int
	if err := pool.QueryRow(t.Context(), `select count(*) from repository_activity`).Scan(&rows); err != nil || rows != 38 {
		t.Errorf("%d rows (%v), want those of all repositories but one", rows, err)
	}
	statuses, err := statusesOf(t.Context(), pool, "activity")
	if err != nil || len(statuses) != 4 {
		t.Fatalf("statuses %+v, %v", statuses, err)
	}
	owners := map[string]bool{}
	for _, s := range statuses {
		owners[s.Owner] = true
		if want := projections.ShardOf("repository/3", 4) == s.Shard; (s.Parked == 2) != want {
			t.Errorf("shard %d has %d set aside", s.Shard, s.Parked)
		}
	}
	if owners[""] {
		t.Errorf("a shard has no owner: %+v", statuses)
	}
}

func TestACriticalProjectionStopsUntilAnOperatorDecides(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	create(t, log, 1, "r1")
	create(t, log, 2, "r2")
	create(t, log, 3, "r3")
	stop := run(t, log, pool, picky{fails: 2, policy: projections.Policy{Critical: true}})
	stopped := awaitStop(t, pool, 3)
	if stopped.Position != 2 || stopped.Error != "does not fit" {
		t.Errorf("status %+v", stopped)
	}
	// Tried again it fails again; then its two events are left out.
	operator := projections.Operator{Checkpoints: projections.NewCheckpoints(pool), Log: log}
	carriedOut := func(order projections.Order, err error) (int64, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		stands, reason, err := operator.Await(ctx, order)
		if err != nil {
			t.Fatal(err)
		}
		return stands, reason
	}
	if stands, reason := carriedOut(operator.Retry(t.Context(), "activity", "3", domain.Metadata{})); stands != 3 || reason != "does not fit" {
		t.Errorf("tried again it stands at %d: %s", stands, reason)
	}
	propose(t, log, domain.ClusterStream, cluster.ProjectionSkipped{Projection: "other", Position: 3})
	for position, reason := range map[int64]string{3: "", 4: "not its turn", 1: "not set aside", 99: "not there"} {
		if _, err := operator.Skip(t.Context(), "activity", position, reason, domain.Metadata{}); err == nil {
			t.Errorf("event %d can be skipped with the reason %q", position, reason)
		}
	}
	if _, err := operator.Retry(t.Context(), "activity", "repository/1", domain.Metadata{}); err == nil {
		t.Error("a stream can be tried again that has nothing set aside")
	}
	carriedOut(operator.Skip(t.Context(), "activity", 3, "test", domain.Metadata{}))
	awaitStop(t, pool, 4)
	stop()
	stop = run(t, log, pool, picky{fails: 2, policy: projections.Policy{Critical: true}})
	defer stop()
	awaitStop(t, pool, 4)
	propose(t, log, domain.ClusterStream, cluster.ProjectionSkipped{Projection: "activity", Position: 4})
	await(t, log, pool, "activity")
	var positions []int64
	if err := pool.QueryRow(t.Context(), `select array_agg(position order by position) from repository_activity`).Scan(&positions); err != nil ||
		!slices.Equal(positions, []int64{1, 2, 5, 6}) {
		t.Errorf("rows of events %v (%v)", positions, err)
	}
	statuses, err := statusesOf(t.Context(), pool, "activity")
	if err != nil || len(statuses) != 1 || statuses[0].Stopped != 0 || statuses[0].Error != "" {
		t.Errorf("status after it goes on: %+v, %v", statuses, err)
	}
}

// statusesOf lists the shards of one projection.
func statusesOf(ctx context.Context, pool *pgxpool.Pool, name string) ([]projections.Status, error) {
	statuses, err := projections.NewCheckpoints(pool).Statuses(ctx)
	return slices.DeleteFunc(statuses, func(s projections.Status) bool { return s.Name != name }), err
}

// awaitStop polls until the projection has stopped at an event.
func awaitStop(t *testing.T, pool *pgxpool.Pool, position int64) projections.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		statuses, err := statusesOf(ctx, pool, "activity")
		if err != nil {
			t.Fatalf("it has not stopped at event %d: %v", position, err)
		}
		if len(statuses) == 1 && statuses[0].Stopped == position {
			return statuses[0]
		}
	}
}

// stuck blocks at one repository until it is let go, whatever its connection does.
type stuck struct {
	activity.Projection
	at     domain.RepositoryID
	letGo  chan struct{}
	called chan struct{}
}

func (s stuck) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	for _, e := range events {
		if e.Stream == domain.RepositoryStream(s.at) {
			select {
			case s.called <- struct{}{}:
			default:
			}
			<-s.letGo
		}
	}
	return s.Projection.Queue(flight, events)
}

func TestAStuckRunnerGivesItsLeaseBack(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	create(t, log, 1, "r1")
	create(t, log, 2, "r2")
	handler := stuck{at: 2, letGo: make(chan struct{}), called: make(chan struct{}, 1)}
	leases := lease.New(pool, "stuck")
	stop := runWith(t, projector.Config{
		Pool: pool, Log: log, Leases: leases, Projections: []projections.Follower{handler}, Stuck: 200 * time.Millisecond,
	})
	<-handler.called
	defer run(t, log, pool, activity.Projection{})() // another node
	await(t, log, pool, "activity")
	statuses, err := statusesOf(t.Context(), pool, "activity")
	if err != nil || len(statuses) != 1 || statuses[0].Owner == leases.Owner() || statuses[0].Term < 2 {
		t.Errorf("status %+v, %v: the lease has not passed on", statuses, err)
	}
	close(handler.letGo) // it wakes up, too late
	stop()
	var rows int
	if err := pool.QueryRow(t.Context(), `select count(*) from repository_activity`).Scan(&rows); err != nil || rows != 4 {
		t.Errorf("%d rows (%v)", rows, err)
	}
}

func TestARunnerGoesOnAfterALostConnection(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Log: quiet})
	owner, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close(context.Background()) }()
	defer run(t, log, pool, activity.Projection{})()
	killed := 0
	for id := range domain.RepositoryID(10) {
		create(t, log, id+1, fmt.Sprint("r", id))
		await(t, log, pool, "activity")
		create(t, log, id+101, fmt.Sprint("s", id))
		var n int
		if err := owner.QueryRow(t.Context(), `
			select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid()
				and (query like '%repository_activity%' or query like '%projections.advance%')`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		killed += n
	}
	if killed == 0 {
		t.Error("no connection was lost")
	}
	await(t, log, pool, "activity")
	var rows, parked int
	if err := pool.QueryRow(t.Context(), `select (select count(*) from repository_activity), (select count(*) from parked)`).Scan(&rows, &parked); err != nil ||
		rows != 40 || parked != 0 {
		t.Errorf("%d rows, %d parked (%v)", rows, parked, err)
	}
}
