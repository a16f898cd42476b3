package maintenance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/maintenance"
	"github.com/annal-git/annal/gitfs/store"
)

// world is a repository whose history came in many pushes.
type world struct {
	t      *testing.T
	config store.Config
	store  *store.Store
	native string // repository that holds the same
	packs  []git.Pack
}

func newWorld(t *testing.T, commits, pushes int) *world {
	t.Helper()
	w := &world{t: t, config: store.Config{SharedHome: t.TempDir(), LocalHome: t.TempDir()}, native: gitfstest.NewRepository(t, commits)}
	var err error
	if w.store, err = store.Open(w.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	order := strings.Fields(gitfstest.Git(t, w.native, "rev-list", "--reverse", "--first-parent", "main"))
	most := len(order) * 4 / 5
	w.push(order[most] + "\n")
	rest := order[most:]
	for i := range pushes - 1 {
		w.push(rest[(i+1)*(len(rest)-1)/(pushes-1)] + "\n^" + rest[i*(len(rest)-1)/(pushes-1)] + "\n")
	}
	w.push("v1\nv1-again\n^main\n")
	return w
}

func (w *world) push(revs string) {
	w.t.Helper()
	packed, err := gitfstest.TryGit(w.t, w.native, []byte(revs), "pack-objects", "--quiet", "--stdout", "--revs", "--thin")
	if err != nil {
		w.t.Fatal(err)
	}
	objects, err := w.store.Objects(w.t.Context(), gitfstest.Storage, w.packs)
	if err != nil {
		w.t.Fatal(err)
	}
	defer objects.Release()
	q, err := w.store.Receive(w.t.Context(), gitfstest.Storage, objects, strings.NewReader(packed), store.ReceiveOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(q.Publish(w.t.Context()), q.Discard()); err != nil {
		w.t.Fatal(err)
	}
	if q.Pack().Objects > 0 {
		w.packs = append(w.packs, q.Pack())
	}
}

func (w *world) snapshot(names ...string) *gitfs.Snapshot {
	var refs []git.Ref
	for _, name := range names {
		refs = append(refs, git.Ref{Name: name, ID: w.id(name)})
	}
	return &gitfs.Snapshot{Storage: gitfstest.Storage, Packs: w.packs, Refs: gitfstest.NewRefs(refs...)}
}

func (w *world) id(rev string) git.ObjectID {
	w.t.Helper()
	id, err := git.ParseObjectID(strings.TrimSpace(gitfstest.Git(w.t, w.native, "rev-parse", rev)))
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) maintainer(change ...func(*maintenance.Config)) *maintenance.Maintainer {
	w.t.Helper()
	c := maintenance.Config{Store: w.store, Dir: filepath.Join(w.config.LocalHome, "maintenance")}
	for _, f := range change {
		f(&c)
	}
	m, err := maintenance.Open(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// ids lists what packs hold, each object once.
func (w *world) ids(packs []git.Pack) []git.ObjectID {
	w.t.Helper()
	objects, err := w.store.Objects(w.t.Context(), gitfstest.Storage, packs)
	if err != nil {
		w.t.Fatal(err)
	}
	defer objects.Release()
	var ids []git.ObjectID
	for _, p := range objects.Packs() {
		for pos := range p.Index().Len() {
			ids = append(ids, p.Index().ID(pos))
		}
	}
	slices.SortFunc(ids, func(a, b git.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// run carries out a plan and applies it to the list of packs.
func (w *world) run(plan maintenance.Plan, s *gitfs.Snapshot, kept ...git.ObjectID) {
	w.t.Helper()
	before := w.ids(w.packs)
	combined, err := w.maintainer().Run(w.t.Context(), plan, s, kept)
	if err != nil {
		w.t.Fatal(err)
	}
	if combined == nil {
		w.t.Fatal("nothing was combined")
	}
	w.packs = slices.DeleteFunc(slices.Clone(w.packs), func(p git.Pack) bool { return slices.Contains(combined.Superseded, p.ID) })
	for _, p := range combined.Packs {
		w.packs = append(w.packs, p.Pack)
		info, err := os.Stat(w.store.PackPath(gitfstest.Storage, p.ID, "bitmap"))
		if (err == nil) != (p.Bitmap > 0) || err == nil && info.Size() != p.Bitmap {
			w.t.Errorf("a bitmap of %d bytes, %v", p.Bitmap, err)
		}
	}
	if after := w.ids(w.packs); !slices.Equal(before, after) {
		w.t.Errorf("%d objects have become %d", len(before), len(after))
	}
	w.fsck()
}

// fsck has git look at exactly the packs of the list.
func (w *world) fsck() {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "check.git")
	gitfstest.Git(w.t, "", "init", "--quiet", "--bare", dir)
	if err := gitfstest.Pin(w.t, w.store, w.packs...).LinkPacks(filepath.Join(dir, "objects", "pack")); err != nil {
		w.t.Fatal(err)
	}
	for _, tip := range []string{"main", "v1-again"} {
		gitfstest.Git(w.t, dir, "update-ref", "refs/tags/"+tip, w.id(tip).String())
	}
	gitfstest.Git(w.t, dir, "fsck", "--full", "--strict")
}

func TestRollUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 200, 20)
	plan := maintenance.Choose(w.packs, maintenance.Thresholds{Packs: 8, Tail: 100})
	if plan.Kind != maintenance.RollUp || len(plan.Packs) < 2 {
		t.Fatalf("%+v", plan)
	}
	before := len(w.packs)
	w.run(plan, w.snapshot()) // no ref names anything: all objects stay nevertheless
	if len(w.packs) != before-len(plan.Packs)+1 {
		t.Errorf("%d packs became %d", before, len(w.packs))
	}
	if again := maintenance.Choose(w.packs, maintenance.Thresholds{Packs: 8, Tail: 100}); again.Kind != maintenance.Nothing {
		t.Errorf("not done after it: %+v", again)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 120, 20)
	side := w.id("main~30")
	// main is at an older commit now, a later one was named once, and some were never named.
	s := w.snapshot()
	s.Refs = gitfstest.NewRefs(git.Ref{Name: "refs/heads/main", ID: w.id("main~60")})
	w.run(maintenance.Plan{Kind: maintenance.Full, Packs: w.packs}, s, side, w.id("main~90"), w.id("main~35"))
	if len(w.packs) != 2 {
		t.Fatalf("%d packs, want what refs name or have named, and the rest", len(w.packs))
	}
	want := strings.Fields(gitfstest.Git(t, w.native, "rev-list", "--objects", "--no-object-names", "main~30"))
	slices.Sort(want)
	var got []string
	for _, id := range w.ids(w.packs[:1]) {
		got = append(got, id.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d objects in the pack with the bitmap, want %d", len(got), len(want))
	}
	if combined, err := w.maintainer().Run(t.Context(), maintenance.Plan{Kind: maintenance.Full, Packs: w.packs[:0]}, s, nil); combined != nil || err != nil {
		t.Errorf("%v, %v", combined, err)
	}
}

// A repository that is one pack already stays as it is, or gets a pack that holds the same.
func TestFullOfOnePack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 40, 3)
	s := w.snapshot("main", "side", "v1", "v1-again")
	for i := range s.Refs.(gitfstest.Refs) {
		s.Refs.(gitfstest.Refs)[i].Name = "refs/tags/" + s.Refs.(gitfstest.Refs)[i].Name
	}
	w.run(maintenance.Plan{Kind: maintenance.Full, Packs: w.packs}, s)
	if len(w.packs) != 1 {
		t.Fatalf("%d packs", len(w.packs))
	}
	combined, err := w.maintainer().Run(t.Context(), maintenance.Plan{Kind: maintenance.Full, Packs: w.packs}, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if combined != nil && slices.Contains(combined.Superseded, combined.Packs[0].ID) {
		t.Error("a pack supersedes itself")
	}
}

// What is not whole is not placed: a program that leaves objects out, adds some, or
// breaks one.
func TestWrongOutput(t *testing.T) {
	t.Parallel()
	real, err := gitPath()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 40, 6)
	for name, c := range map[string]struct {
		script string
		want   func(error) bool
	}{
		"one pack left out": {`case "$1" in pack-objects) sed 1d | "$REAL" "$@" ;; *) exec "$REAL" "$@" ;; esac`, func(err error) bool {
			var difference *maintenance.DifferenceError
			return errors.As(err, &difference) && difference.Missing
		}},
		"broken": {`"$REAL" "$@" && case "$1" in pack-objects) for last; do :; done; for f in "$last"-*.pack; do chmod u+w "$f"; printf X | dd of="$f" bs=1 seek=300 conv=notrunc 2>/dev/null; done ;; esac`, func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "index-pack")
		}},
		"fails": {`exit 1`, func(err error) bool { return err != nil }},
		"hangs": {`[ "$1" = pack-objects ] && sleep 60; exec "$REAL" "$@"`, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "git")
			script := fmt.Sprintf("#!/bin/sh\nREAL=%s\n%s\n", real, c.script)
			if err := os.WriteFile(program, []byte(script), 0o755); err != nil { //nolint:gosec // it is run
				t.Fatal(err)
			}
			m := w.maintainer(func(c *maintenance.Config) {
				c.Git = program
				if name == "hangs" {
					c.Timeout = 300 * time.Millisecond
				}
			})
			combined, err := m.Run(t.Context(), maintenance.Plan{Kind: maintenance.RollUp, Packs: w.packs}, w.snapshot(), nil)
			if combined != nil || !c.want(err) {
				t.Errorf("%v, %v", combined, err)
			}
			left, err := os.ReadDir(filepath.Join(w.config.LocalHome, "maintenance"))
			if err != nil || len(left) > 0 {
				t.Errorf("%d scratch repositories are left, %v", len(left), err)
			}
			files, err := filepath.Glob(w.store.PackPath(gitfstest.Storage, git.ZeroID, "pack")[:len(w.config.SharedHome)] + "/repos/*/*/objects/pack/*.pack")
			if err != nil || len(files) != len(w.packs) {
				t.Errorf("%d packs on the shared home, want %d, %v", len(files), len(w.packs), err)
			}
		})
	}
}

// Whatever the sizes of packs: what is left after roll-ups is few, and every pack at
// least twice all smaller ones.
func TestChoose(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		thresholds := maintenance.Thresholds{Packs: rapid.IntRange(1, 12).Draw(t, "packs"), Tail: rapid.IntRange(1, 100).Draw(t, "tail")}
		var packs []git.Pack
		for i := range rapid.IntRange(0, 60).Draw(t, "count") {
			objects := rapid.Int64Range(1, 1<<rapid.IntRange(0, 20).Draw(t, "bits")).Draw(t, "objects")
			packs = append(packs, git.Pack{ID: git.ObjectID{byte(i), 1}, Objects: objects, Bytes: 100 * objects})
		}
		plan := maintenance.Choose(packs, thresholds)
		if plan.Kind == maintenance.Nothing {
			return
		}
		if len(packs) <= thresholds.Packs || len(plan.Packs) < 2 && plan.Kind == maintenance.RollUp {
			t.Fatalf("%d packs: %+v", len(packs), plan)
		}
		sum, largest := int64(0), int64(0)
		for _, p := range plan.Packs {
			sum += p.Objects
			largest = max(largest, p.Objects)
		}
		if plan.Kind == maintenance.Full && len(plan.Packs) != len(packs) {
			t.Fatalf("full, but only %d of %d", len(plan.Packs), len(packs))
		}
		for _, p := range packs {
			if !slices.Contains(plan.Packs, p) && p.Objects < largest {
				t.Fatalf("%+v is smaller than one that is combined and stays", p)
			}
		}
	})
}

func gitPath() (string, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "git")
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
	}
	return "", os.ErrNotExist
}
