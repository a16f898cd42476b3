package repository_test

import (
	"iter"
	"maps"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

var (
	a = git.MustParseObjectID(strings.Repeat("a", 40))
	b = git.MustParseObjectID(strings.Repeat("b", 40))
)

// refs is the naive model of a repository's refs.
type refs map[string]git.ObjectID

func (r refs) current(name string) git.ObjectID { return r[name] }

func (r refs) conflicts(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for other := range r {
			if clash(name, other) && !yield(other) {
				return
			}
		}
	}
}

func clash(x, y string) bool {
	return strings.HasPrefix(x, y+"/") || strings.HasPrefix(y, x+"/")
}

func (r refs) apply(event *repository.RefsUpdated) refs {
	after := maps.Clone(r)
	if event == nil {
		return after
	}
	for _, u := range event.Updates {
		if u.IsDelete() {
			delete(after, u.Name)
		} else {
			after[u.Name] = u.New
		}
	}
	return after
}

func TestDecidePush(t *testing.T) {
	const x, y, below = "refs/heads/x", "refs/heads/y", "refs/heads/x/below"
	create := func(name string) git.RefUpdate { return git.RefUpdate{Name: name, New: a} }
	stale := "expected " + git.ZeroID.String() + " is at " + a.String()
	atomic := "atomic push failed: another ref was refused"
	for _, tt := range []struct {
		name    string
		refs    refs
		updates []git.RefUpdate
		atomic  bool
		moved   []string
		reasons []string
	}{
		{name: "create", updates: []git.RefUpdate{create(x)}, moved: []string{x}, reasons: []string{""}},
		{name: "update", refs: refs{x: a}, updates: []git.RefUpdate{{Name: x, Old: a, New: b}}, moved: []string{x}, reasons: []string{""}},
		{name: "create of what exists", refs: refs{x: a}, updates: []git.RefUpdate{create(x), create(y)}, moved: []string{y}, reasons: []string{stale, ""}},
		{name: "same, atomic", refs: refs{x: a}, updates: []git.RefUpdate{create(x), create(y)}, atomic: true, reasons: []string{stale, atomic}},
		{name: "delete", refs: refs{x: a}, updates: []git.RefUpdate{{Name: x, Old: a}}, moved: []string{x}, reasons: []string{""}},
		{name: "delete of a missing ref", updates: []git.RefUpdate{{Name: x}, {Name: y, Old: b}}, reasons: []string{"", ""}},
		{name: "stale delete", refs: refs{x: b}, updates: []git.RefUpdate{{Name: x, Old: a}}, reasons: []string{"expected " + a.String() + " is at " + b.String()}},
		{
			name: "twice", refs: refs{y: a}, updates: []git.RefUpdate{create(x), {Name: y, Old: a, New: b}, create(x)},
			reasons: []string{"the push names this ref twice", "the push names this ref twice", "the push names this ref twice"},
		},
		{name: "no change", refs: refs{x: a}, updates: []git.RefUpdate{{Name: x, Old: a, New: a}}, reasons: []string{""}},
		{name: "below a ref", refs: refs{x: a}, updates: []git.RefUpdate{create(below)}, reasons: []string{`"refs/heads/x" exists; cannot create "refs/heads/x/below"`}},
		{name: "above a ref", refs: refs{below: a}, updates: []git.RefUpdate{create(x)}, reasons: []string{`"refs/heads/x/below" exists; cannot create "refs/heads/x"`}},
		{name: "below a ref of the same push", updates: []git.RefUpdate{create(x), create(below)}, moved: []string{x}, reasons: []string{"", `"refs/heads/x" exists; cannot create "refs/heads/x/below"`}},
		{name: "above a ref of the same push", updates: []git.RefUpdate{create(below), create(x)}, moved: []string{below}, reasons: []string{"", `"refs/heads/x/" exists; cannot create "refs/heads/x"`}},
		{name: "in place of a ref deleted by the same push", refs: refs{x: a}, updates: []git.RefUpdate{create(below), {Name: x, Old: a}}, moved: []string{below, x}, reasons: []string{"", ""}},
		{name: "case counts", refs: refs{x: a}, updates: []git.RefUpdate{create("refs/heads/X")}, moved: []string{"refs/heads/X"}, reasons: []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pack := &git.Pack{ID: b, Objects: 3, Bytes: 300}
			event, results := repository.DecidePush(tt.refs.current, tt.refs.conflicts, nil, "",
				repository.PushRefs{Updates: tt.updates, Atomic: tt.atomic, Pack: pack, Options: []string{"o"}})
			var moved, reasons []string
			if event != nil {
				for _, u := range event.Updates {
					moved = append(moved, u.Name)
				}
				if event.Pack != pack || len(event.Options) != 1 {
					t.Error("pack or options are lost")
				}
			}
			for i, r := range results {
				if r.Name != tt.updates[i].Name {
					t.Errorf("result %d is for %q", i, r.Name)
				}
				reasons = append(reasons, r.Reason)
			}
			if !reflect.DeepEqual(moved, tt.moved) || !reflect.DeepEqual(reasons, tt.reasons) {
				t.Errorf("moved %q, reasons %q, want %q, %q", moved, reasons, tt.moved, tt.reasons)
			}
		})
	}
}

// Whatever is pushed: one result for each update; an accepted update leaves its ref
// at New, a refused one where it was; an atomic push does all or nothing; no ref is
// ever a folder of another.
func TestPushesKeepRefsConsistent(t *testing.T) {
	id := rapid.SampledFrom([]git.ObjectID{git.ZeroID, a, b})
	name := rapid.SampledFrom([]string{"refs/heads/x", "refs/heads/x/y", "refs/heads/x/y/z", "refs/heads/x-", "refs/heads/w"})
	rapid.Check(t, func(t *rapid.T) {
		state := refs{}
		for range rapid.IntRange(1, 8).Draw(t, "pushes") {
			push := repository.PushRefs{Atomic: rapid.Bool().Draw(t, "atomic")}
			push.Updates = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) git.RefUpdate {
				u := git.RefUpdate{Name: name.Draw(t, "name"), New: id.Draw(t, "new")}
				u.Old = state[u.Name]
				if rapid.IntRange(0, 3).Draw(t, "stale") == 0 {
					u.Old = id.Draw(t, "old")
				}
				return u
			}), 1, 5).Draw(t, "updates")
			event, results := repository.DecidePush(state.current, state.conflicts, nil, "", push)
			after := state.apply(event)
			refused := 0
			for i, u := range push.Updates {
				switch {
				case results[i].OK() && after[u.Name] != u.New:
					t.Fatalf("%s is accepted and at %s", u.Name, after[u.Name])
				case !results[i].OK() && after[u.Name] != state[u.Name]:
					t.Fatalf("%s is refused and moved", u.Name)
				case results[i].OK() && u.Old != state[u.Name] && !(u.IsDelete() && state[u.Name].IsZero()):
					t.Fatalf("%s moved from an object it was not at", u.Name)
				case !results[i].OK():
					refused++
				}
			}
			if push.Atomic && refused > 0 && (event != nil || refused != len(push.Updates)) {
				t.Fatalf("atomic push half done: %v", results)
			}
			for x := range after {
				for y := range after {
					if clash(x, y) {
						t.Fatalf("%s and %s exist", x, y)
					}
				}
			}
			state = after
		}
	})
}
