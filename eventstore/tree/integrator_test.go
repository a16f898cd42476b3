package tree_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/eventstore/tree"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// world is a log with a tree.
type world struct {
	t    *testing.T
	log  *eventstore.Log
	pool *pgxpool.Pool
	tree.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	w := &world{t: t, log: log, pool: pool, Config: configOf(t, log, pool, t.TempDir())}
	w.append(domain.ClusterStream, cluster.Created{ID: clusterID, Name: "test"})
	if err := tree.PrepareKey(t.Context(), w.Config); err != nil {
		t.Fatal(err)
	}
	return w
}

func configOf(t *testing.T, log *eventstore.Log, pool *pgxpool.Pool, dir string) tree.Config {
	return tree.Config{
		Log: log, Table: tree.NewTable(pool), Dir: filepath.Join(dir, "log"), KeyFile: filepath.Join(dir, "keys", "key.pem"),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

func (w *world) append(stream domain.Stream, events ...domain.Event) int64 {
	w.t.Helper()
	appended, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
	if err != nil {
		w.t.Fatal(err)
	}
	return appended.Position
}

// fill appends n events.
func (w *world) fill(n int) int64 {
	w.t.Helper()
	events := make([]domain.Event, n)
	for i := range events {
		events[i] = project.Deleted{ID: domain.ProjectID(i), Key: fmt.Sprint("KEY", i)}
	}
	return w.append("project/1", events...)
}

func (w *world) step(i *tree.Integrator) tree.Row {
	w.t.Helper()
	size, err := i.Step(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	history, err := tree.ReadHistory(w.t.Context(), w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	row, ok, err := w.Table.Newest(w.t.Context(), history.Epoch(size))
	if err != nil || !ok || row.Size != size {
		w.t.Fatalf("checkpoint of %d: %+v %v", size, row, err)
	}
	return row
}

// root computes the root of the first events from the log alone.
func (w *world) root(size int64) tlog.Hash {
	w.t.Helper()
	var leaves []tlog.Hash
	for int64(len(leaves)) < size {
		events, err := w.log.ReadStored(w.t.Context(), int64(len(leaves)), int(size)-len(leaves))
		if err != nil || len(events) == 0 {
			w.t.Fatal(err)
		}
		for _, e := range events {
			leaves = append(leaves, tlog.RecordHash(e.AppendLeaf(nil)))
		}
	}
	return naiveRoot(leaves)
}

// Trees that grow by all kinds of steps, with tiles filling up and files being lost, have
// the root that the definition gives, and prove every event.
func TestTreeGrows(t *testing.T) {
	w := newWorld(t)
	i := tree.NewIntegrator(w.Config)
	folder := tree.EpochFolder(w.Dir, 1)
	for n, count := range []int{0, 1, 3, 251, 1, 255, 512, 7, 300} {
		if count > 0 {
			w.fill(count)
		}
		switch n {
		case 3:
			i = tree.NewIntegrator(w.Config) // resumes from the files
		case 6:
			_ = os.RemoveAll(w.Dir) // makes them anew from the log
			i = tree.NewIntegrator(w.Config)
		}
		row := w.step(i)
		if row.Root != w.root(row.Size) {
			t.Fatalf("root of %d events", row.Size)
		}
		again := w.step(i)
		if again.Note != row.Note {
			t.Error("a checkpoint without anything new")
		}
		c := tree.Checkpoint{Size: row.Size, Root: row.Root}
		for position := int64(1); position <= row.Size; position += 37 {
			proof, err := folder.ProveEvent(c, position)
			if err != nil {
				t.Fatal(err)
			}
			event, _, _ := w.log.ReadEvent(t.Context(), position)
			if err := tlog.CheckRecord(proof, row.Size, row.Root, position-1, tlog.RecordHash(event.AppendLeaf(nil))); err != nil {
				t.Errorf("event %d of %d: %v", position, row.Size, err)
			}
			frontier, err := folder.FrontierAt(c, position)
			if err != nil || frontier.Root() != w.root(position) {
				t.Errorf("frontier of %d in %d: %v", position, row.Size, err)
			}
		}
		if signed, err := folder.Checkpoint(); err != nil || signed != row.Note {
			t.Errorf("%v: the file has %q", err, signed)
		}
	}
	var files, narrow int
	_ = filepath.WalkDir(w.Dir, func(path string, e fs.DirEntry, err error) error {
		info, _ := e.Info()
		if mode := info.Mode().Perm(); err != nil || (e.IsDir() && mode != 0o700) || (!e.IsDir() && mode != 0o600) {
			t.Errorf("%s has mode %o (%v)", path, mode, err)
		}
		if files++; strings.Contains(path, ".p"+string(filepath.Separator)) {
			narrow++
		}
		return nil
	})
	if narrow > 12 {
		t.Errorf("%d of %d files are partial tiles that nobody needs", narrow, files)
	}
}

func TestLargeEvents(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	large := w.append("project/2", project.Deleted{ID: 2, Key: strings.Repeat("x", 100_000)})
	w.fill(2)
	w.step(tree.NewIntegrator(w.Config))
	w.fill(1)
	row := w.step(tree.NewIntegrator(w.Config)) // resumes across the large one
	if row.Root != w.root(row.Size) {
		t.Error("wrong root")
	}
	folder := tree.EpochFolder(w.Dir, 1)
	entries, err := folder.Bundle(0, int(row.Size))
	if err != nil {
		t.Fatal(err)
	}
	for i, entry := range entries {
		position := int64(i + 1)
		if len(entry) == 0 {
			if entry, err = folder.Read(tree.LargePath(position)); err != nil || position != large {
				t.Errorf("%d is empty: %v", position, err)
			}
		}
		event, _, _ := w.log.ReadEvent(t.Context(), position)
		if !bytes.Equal(entry, event.AppendLeaf(nil)) {
			t.Errorf("entry of %d", position)
		}
	}
}

// Many integrators at once, each thinking that it is the only one.
func TestIntegratorsAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			i := tree.NewIntegrator(w.Config)
			for ctx.Err() == nil {
				if _, err := i.Step(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 60 {
		w.fill(11)
	}
	head := w.fill(1)
	cancel()
	wg.Wait()
	row := w.step(tree.NewIntegrator(w.Config))
	if row.Size != head || row.Root != w.root(head) {
		t.Errorf("%d events of %d", row.Size, head)
	}
	rows, err := w.Table.After(t.Context(), 0, 0, 10000)
	if err != nil {
		t.Fatal(err)
	}
	folder := tree.EpochFolder(w.Dir, 1)
	previous := int64(0)
	for _, r := range rows {
		if r.Previous != previous {
			t.Errorf("%d follows %d and not %d", r.Size, r.Previous, previous)
		}
		previous = r.Size
		if root, err := folder.RootAt(tree.Checkpoint{Size: row.Size, Root: row.Root}, r.Size); err != nil || root != r.Root {
			t.Errorf("%d is not of one tree: %v", r.Size, err)
		}
	}
}

func TestReceipts(t *testing.T) {
	w := newWorld(t)
	first, _ := tree.LoadKey(w.KeyFile)
	i := tree.NewIntegrator(w.Config)
	position := w.fill(300)
	w.step(i)
	change, event, err := tree.RotateKey(t.Context(), w.Config, false, domain.Metadata{Auth: "system"})
	if err != nil {
		t.Fatal(err)
	}
	w.fill(5)
	row := w.step(i)
	history, err := tree.ReadHistory(t.Context(), w.log)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := history.Open(row.Note, first.Public()); err != nil || c.Size != row.Size {
		t.Error(err)
	}
	if _, err := tree.OpenCheckpoint(row.Note, first.Public()); err == nil {
		t.Errorf("the old key signs size %d after it was replaced at %d", row.Size, change)
	}
	stored, _, _ := w.log.ReadEvent(t.Context(), position)
	receipt, err := tree.NewReceipt(tree.EpochFolder(w.Dir, 1), history, row.Note, stored)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.MarshalIndent(receipt, "", "    ") // as somebody may have kept it
	if err != nil {
		t.Fatal(err)
	}
	next, _ := tree.ParsePublicKey(event.New)
	for _, key := range []struct {
		name string
		good bool
		tree.Key
	}{{"first", true, first}, {"stranger", false, newKey(t)}} {
		parsed, err := tree.ParseReceipt(data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Check(key.Public()); (err == nil) != key.good {
			t.Errorf("%s: %v", key.name, err)
		}
		if _, err := parsed.Check(next); err != nil {
			t.Errorf("the key that signed: %v", err)
		}
	}
	for _, edit := range []struct{ from, to string }{{`"KEY299"`, `"KEY298"`}, {`"position": 301`, `"position": 300`}, {"\\n307\\n", "\\n306\\n"}} {
		edited := strings.Replace(string(data), edit.from, edit.to, 1)
		if parsed, err := tree.ParseReceipt([]byte(edited)); edited == string(data) || err != nil {
			t.Errorf("%s: %v", edit.from, err)
		} else if _, err := parsed.Check(first.Public()); err == nil {
			t.Errorf("good with %s for %s", edit.to, edit.from)
		}
	}
	stored.Body = json.RawMessage(`{}`)
	if _, err := tree.NewReceipt(tree.EpochFolder(w.Dir, 1), history, row.Note, stored); err == nil {
		t.Error("a receipt for an event that was changed")
	}
	stored.Position = w.fill(1)
	var notYet *tree.NotCoveredError
	if _, err := tree.NewReceipt(tree.EpochFolder(w.Dir, 1), history, row.Note, stored); !errors.As(err, &notYet) {
		t.Error(err)
	}
}

func TestLostKey(t *testing.T) {
	w := newWorld(t)
	w.fill(3)
	w.step(tree.NewIntegrator(w.Config))
	if err := os.Remove(w.KeyFile); err != nil {
		t.Fatal(err)
	}
	if err := tree.PrepareKey(t.Context(), w.Config); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lost key: %v", err)
	}
	if _, err := tree.NewIntegrator(w.Config).Step(t.Context()); err == nil {
		t.Error("signed without a key")
	}
	if _, _, err := tree.RotateKey(t.Context(), w.Config, true, domain.Metadata{}); err != nil {
		t.Fatal(err)
	}
	if err := tree.PrepareKey(t.Context(), w.Config); err != nil {
		t.Error(err)
	}
	if row := w.step(tree.NewIntegrator(w.Config)); row.Size != 5 {
		t.Errorf("%d events are signed", row.Size)
	}
}

// The node that integrates is started anew between a change of the key and the
// checkpoint that covers it.
func TestKeyChangesWhileNobodyIntegrates(t *testing.T) {
	w := newWorld(t)
	w.step(tree.NewIntegrator(w.Config))
	for range 3 {
		if _, _, err := tree.RotateKey(t.Context(), w.Config, false, domain.Metadata{}); err != nil {
			t.Fatal(err)
		}
	}
	row := w.step(tree.NewIntegrator(w.Config))
	key, _ := tree.LoadKey(w.KeyFile)
	if _, err := tree.OpenCheckpoint(row.Note, key.Public()); err != nil || row.Size != 4 {
		t.Errorf("%d events: %v", row.Size, err)
	}
}
