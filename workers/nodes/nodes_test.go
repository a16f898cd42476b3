package nodes_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/workers/nodes"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// A type in two versions.
type (
	noted1 struct {
		Text string `json:"text"`
	}
	noted2 struct {
		Text   string `json:"text"`
		Pinned bool   `json:"pinned"`
	}
)

func (noted1) EventType() string { return "test.noted.v1" }
func (noted2) EventType() string { return "test.noted.v2" }

func oldTypes() *eventstore.Registry {
	r := eventstore.NewRegistry()
	eventstore.Register[noted1](r)
	return r
}

func newTypes() *eventstore.Registry {
	r := eventstore.NewRegistry()
	eventstore.Register[noted2](r)
	eventstore.RegisterOlder(r, func(n noted1) noted2 { return noted2{Text: n.Text} }, func(n noted2) noted1 { return noted1{Text: n.Text} })
	return r
}

// process is a log and its place among the nodes.
type process struct {
	*eventstore.Log
	member *nodes.Membership
	stop   func()
}

// start joins and runs a process until stop or the end of the test.
func start(t *testing.T, pool *pgxpool.Pool, name string, types *eventstore.Registry) process {
	t.Helper()
	log, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types, Node: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	member, err := nodes.Join(t.Context(), nodes.Config{Pool: pool, Types: types, Name: name, Version: "v", Every: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := member.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	p := process{Log: log, member: member, stop: func() { cancel(); <-done }}
	t.Cleanup(p.stop)
	return p
}

// written appends a note and says as what type it is stored.
func (p process) written(t *testing.T) string {
	t.Helper()
	appended, err := p.Append(t.Context(), eventstore.Proposal{Stream: "s", Expect: eventstore.Any, Events: []domain.Event{noted2{Text: "x"}}})
	if err != nil {
		t.Fatal(err)
	}
	stored, _, err := p.ReadEvent(t.Context(), appended.Position)
	if err != nil {
		t.Fatal(err)
	}
	return stored.Type
}

// writes waits until a process writes a type.
func (p process) writes(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); p.written(t) != name; {
		if time.Now().After(deadline) {
			t.Fatalf("%s is never written", name)
		}
	}
}

// A new version is written when the last node that does not read it has gone, and not
// from the moment on at which one has joined.
func TestNewVersionsWaitForAllNodes(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	newer := start(t, pool, "new", newTypes())
	if name := newer.written(t); name != "test.noted.v2" {
		t.Errorf("alone it writes %s", name)
	}
	older := start(t, pool, "old", oldTypes())
	if name := newer.written(t); name != "test.noted.v1" {
		t.Errorf("beside an old one that has joined it writes %s", name)
	}
	events, err := older.ReadAll(t.Context(), 1, 10)
	if err != nil || len(events) != 1 || events[0].Event != (noted1{Text: "x"}) {
		t.Errorf("the old one reads %+v, %v", events, err)
	}
	older.stop()
	newer.writes(t, "test.noted.v2")

	// One that dies is waited for until it counts as dead.
	dying := start(t, pool, "dying", oldTypes())
	if _, err := pool.Exec(t.Context(), `update log.nodes set id = gen_random_uuid(), seen_at = clock_timestamp() - interval '8 s' where id = $1`, dying.member.ID()); err != nil {
		t.Fatal(err)
	}
	dying.stop() // the row that it knows is gone
	if name := newer.written(t); name != "test.noted.v1" {
		t.Errorf("beside one that was seen a moment ago it writes %s", name)
	}
	newer.writes(t, "test.noted.v2")
}

// Two that join at the same moment go by each other.
func TestNodesThatJoinTogether(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	for range 10 {
		ctx, leave := context.WithCancel(t.Context())
		joined, left := make(chan error, 1), make(chan error, 1)
		go func() {
			member, err := nodes.Join(ctx, nodes.Config{Pool: pool, Types: oldTypes(), Name: "old", Every: 20 * time.Millisecond})
			joined <- err
			if err == nil {
				err = member.Run(ctx)
			}
			left <- err
		}()
		newer := start(t, pool, "new", newTypes())
		if err := <-joined; err != nil {
			t.Fatal(err)
		}
		if name := newer.written(t); name != "test.noted.v1" {
			t.Errorf("beside one that has joined it writes %s", name)
		}
		leave()
		if err := <-left; err != nil {
			t.Error(err)
		}
		newer.stop()
	}
}

// Who starts where another was killed does not wait for it.
func TestRestartAfterAKill(t *testing.T) {
	t.Parallel()
	pool, home := eventstoretest.Database(t), uuid.New()
	for range 2 { // neither runs nor leaves
		_, err := nodes.Join(t.Context(), nodes.Config{Pool: pool, Types: newTypes(), Name: "a", Home: home})
		if err != nil {
			t.Fatal(err)
		}
		live, err := nodes.Live(t.Context(), pool)
		if err != nil || len(live) != 1 {
			t.Errorf("live are %+v, %v: the row of the killed one stays", live, err)
		}
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	first := start(t, pool, "a", newTypes())
	second := start(t, pool, "b", oldTypes())
	live, err := nodes.Live(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	if len(live) != 2 || live[0].ID != first.member.ID() || live[0].Name != "a" || live[0].Version != "v" || len(live[0].Reads) != 2 ||
		live[1].ID != second.member.ID() || len(live[1].Reads) != 1 {
		t.Errorf("live are %+v", live)
	}
	first.stop()
	if live, err = nodes.Live(t.Context(), pool); err != nil || len(live) != 1 || live[0].Name != "b" {
		t.Errorf("after one has left, live are %+v, %v", live, err)
	}
}
