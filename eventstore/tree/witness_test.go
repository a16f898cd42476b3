package tree_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
)

// restored is another database that has the first events of w, and then others: what is
// left after it was restored to an older state and written to. It keeps w's files.
func (w *world) restored(cut int64, others int) *world {
	w.t.Helper()
	pool := emptyDatabase(w.t)
	// What a dump keeps: rows and no more.
	copyRows(w.t, w.pool, pool, cut)
	log, err := eventstore.Open(w.t.Context(), pool, eventstore.Options{Types: eventstore.Types(), Node: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(log.Close)
	r := &world{t: w.t, log: log, pool: pool, Config: w.Config}
	r.Log, r.Table = log, tree.NewTable(pool)
	for range others {
		r.append("project/9", project.Deleted{ID: 9, Key: "OTHER"})
	}
	return r
}

func (w *world) witness(name string) *tree.Witness {
	return tree.NewWitness(w.Config, filepath.Join(filepath.Dir(w.Dir), name, "checkpoint"))
}

func TestWitnessFollows(t *testing.T) {
	w := newWorld(t)
	i, witness := tree.NewIntegrator(w.Config), w.witness("node")
	for range 5 {
		if err := witness.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.fill(200)
		w.step(i)
	}
	// A witness that was away for long, and one that is new.
	for _, again := range []*tree.Witness{w.witness("node"), w.witness("other")} {
		if err := again.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if again.Newest().Size != 1001 {
			t.Errorf("it has verified %d", again.Newest().Size)
		}
	}
}

func TestRestoredDatabases(t *testing.T) {
	w := newWorld(t)
	w.fill(99)
	i, witness := tree.NewIntegrator(w.Config), w.witness("node")
	w.step(i)
	w.fill(400)
	before := w.step(i)
	w.fill(500)
	w.step(i)
	if err := witness.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var behind *tree.BehindError
	var forked *tree.ForkError
	for _, c := range []struct {
		name   string
		cut    int64
		others int
		want   any
	}{
		{"at a checkpoint", before.Size, 0, &behind},
		{"between two", 700, 0, &behind},
		{"before the first", 50, 0, &behind},
		{"and written to", 700, 20, &behind},
		{"and written to beyond", 700, 600, &forked},
		{"at a checkpoint and written to beyond", before.Size, 600, &forked},
	} {
		r := w.restored(c.cut, c.others)
		err := r.witness("node").Check(t.Context())
		if !errors.As(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := tree.NewIntegrator(r.Config).Step(t.Context()); err == nil {
			t.Errorf("%s: it is signed", c.name)
		}
		// Without this node's own memory the shared home says it, too.
		if err := r.witness("none").Check(t.Context()); !errors.As(err, c.want) {
			t.Errorf("%s, new node: %v", c.name, err)
		}
	}
	if err := w.witness("node").Check(t.Context()); err != nil {
		t.Errorf("the true one is refused after that: %v", err)
	}
	whole := w.restored(1000, 0)
	if err := whole.witness("node").Check(t.Context()); err != nil {
		t.Errorf("restored whole: %v", err)
	}
}

func TestEpochs(t *testing.T) {
	w := newWorld(t)
	w.fill(999)
	i := tree.NewIntegrator(w.Config)
	old := w.step(i)
	if err := w.witness("node").Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tree.StartEpoch(t.Context(), w.witness("node"), "no reason", domain.Metadata{}, nil); !errors.Is(err, tree.ErrWhole) {
		t.Errorf("an epoch without need: %v", err)
	}
	for _, c := range []struct {
		name   string
		cut    int64
		others int
	}{{"behind", 700, 0}, {"forked", 700, 600}, {"all lost but the first", 1, 300}} {
		home := t.TempDir() // each has the files as they were
		if err := os.CopyFS(home, os.DirFS(filepath.Dir(w.Dir))); err != nil {
			t.Fatal(err)
		}
		r := w.restored(c.cut, c.others)
		r.Dir, r.KeyFile = filepath.Join(home, "log"), filepath.Join(home, "keys", "key.pem")
		position, event, err := tree.StartEpoch(t.Context(), r.witness("node"), c.name, domain.Metadata{Auth: "system"}, nil)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if event.Epoch != 2 || event.Cut != c.cut || event.Checkpoint != old.Note || position != c.cut+int64(c.others)+1 {
			t.Errorf("%s: at %d %+v", c.name, position, event)
		}
		r.fill(40)
		fresh := tree.NewIntegrator(r.Config)
		for range 3 { // and the integrator goes on in the new epoch
			row := r.step(fresh)
			if row.Epoch != 2 || row.Root != r.root(row.Size) {
				t.Errorf("%s: checkpoint %+v", c.name, row)
			}
			for _, name := range []string{"node", "new"} {
				if err := r.witness(name).Check(t.Context()); err != nil {
					t.Errorf("%s, %s: %v", c.name, name, err)
				}
			}
			r.fill(300)
		}
		// The files of the old epoch are as they were.
		signed, _ := tree.PeekCheckpoint(old.Note)
		if _, err := tree.EpochFolder(r.Dir, 1).ProveEvent(signed, 999); err != nil {
			t.Errorf("%s: old tiles: %v", c.name, err)
		}
		if err := tree.CheckLink(event, position, r.root(position-1)); err != nil {
			t.Errorf("%s: link: %v", c.name, err)
		}
		for what, edit := range map[string]func(*cluster.EpochStarted){
			"cut":      func(e *cluster.EpochStarted) { e.Cut-- },
			"root":     func(e *cluster.EpochStarted) { e.CutRoot = old.Root.String() },
			"unproven": func(e *cluster.EpochStarted) { e.OldProof = nil },
		} {
			edited := event
			edit(&edited)
			if err := tree.CheckLink(edited, position, r.root(position-1)); err == nil && edited.Cut > 0 {
				t.Errorf("%s: link with another %s", c.name, what)
			}
		}
		if err := tree.CheckLink(event, position, tlog.Hash{}); err == nil {
			t.Errorf("%s: link to another log", c.name)
		}
	}
}
