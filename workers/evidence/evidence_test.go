package evidence_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/evidence"
	"github.com/annal-git/annal/workers/lease"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

func add(t *testing.T, log *eventstore.Log) error {
	t.Helper()
	_, err := log.Append(t.Context(), eventstore.Proposal{Stream: "project/1", Expect: eventstore.Any, Events: []domain.Event{project.Deleted{ID: 1, Key: "K"}}})
	return err
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatal("it does not come about: ", what)
		}
	}
}

// Two nodes with one log: what is appended is soon signed and verified by both; when the
// shared home knows of something that the log does not contain, both take no changes, and
// do again when it is mended.
func TestNodes(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	dir := t.TempDir()
	config := tree.Config{
		Log: log, Table: tree.NewTable(pool), Dir: filepath.Join(dir, "log"), KeyFile: filepath.Join(dir, "keys", "key.pem"),
		Logger: slog.New(slog.DiscardHandler),
	}
	_, err := log.Append(t.Context(), eventstore.Proposal{Stream: domain.ClusterStream, Events: []domain.Event{cluster.Created{ID: "c", Name: "test"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.PrepareKey(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	group := workers.NewGroup(config.Logger)
	defer group.Stop()
	for _, node := range []string{"a", "b"} {
		witness := tree.NewWitness(config, filepath.Join(dir, node, "checkpoint"))
		e, err := evidence.New(evidence.Config{
			Log: log, Integrator: tree.NewIntegrator(config), Witness: witness, Leases: lease.New(pool, node), Metrics: prometheus.NewRegistry(),
			Logger: config.Logger, Interval: 10 * time.Millisecond, Patience: 10 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		integrator, watching := e.Services()
		group.Start(t.Context(), integrator)
		group.Start(t.Context(), watching)
	}
	kept := func(node string) int64 {
		signed, err := os.ReadFile(filepath.Join(dir, node, "checkpoint"))
		if err != nil {
			return 0
		}
		c, _ := tree.PeekCheckpoint(string(signed))
		return c.Size
	}
	for range 20 {
		if err := add(t, log); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "both nodes keep the checkpoint of all events", func() bool { return kept("a") == 21 && kept("b") == 21 })

	// A checkpoint of the same key that the log knows nothing of, in a folder that no
	// integrator writes.
	key, err := tree.LoadKey(config.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := key.Sign(tree.Checkpoint{Origin: tree.Origin("c", 2), Size: 1000})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(config.Dir, "2", "checkpoint")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	var refused *domain.UnavailableError
	until(t, "changes are refused", func() bool { return errors.As(add(t, log), &refused) })
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	until(t, "changes are taken again", func() bool { return add(t, log) == nil })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	head, err := log.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "and are signed", func() bool { return kept("a") >= head && kept("b") >= head })
}
