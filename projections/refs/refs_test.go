package refs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/refs"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

func open(t testing.TB) (*eventstore.Log, *pgxpool.Pool, *refs.Reader) {
	log, pool := eventstoretest.Log(t, eventstore.Options{})
	reader := refs.NewReader(pool, log, 1<<20)
	log.Arbitrate(refs.NewArbiter(reader))
	return log, pool, reader
}

func create(t testing.TB, log *eventstore.Log, id domain.RepositoryID) {
	t.Helper()
	_, err := log.Append(t.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(id), Events: []domain.Event{repository.Created{
		ID: id, Storage: fmt.Sprint("storage-", id), Project: 1, Name: "r", Slug: "r", DefaultBranch: "refs/heads/main",
	}}})
	if err != nil {
		t.Fatal(err)
	}
}

func push(t testing.TB, log *eventstore.Log, id domain.RepositoryID, atomic bool, pack *git.Pack, updates ...git.RefUpdate) []git.RefResult {
	t.Helper()
	appended, err := log.Append(t.Context(), eventstore.Proposal{
		Stream: domain.RepositoryStream(id), Expect: eventstore.Any,
		Claim: repository.PushRefs{Updates: updates, Atomic: atomic, Pack: pack},
	})
	if err != nil {
		t.Fatal(err)
	}
	return appended.Outcome.([]git.RefResult)
}

func object(n byte) git.ObjectID { return git.ObjectID{0: n, 19: 1} }

func list(s *refs.Snapshot) []string {
	var names []string
	for ref := range s.Refs.Prefixed("") {
		names = append(names, fmt.Sprintf("%s=%x", ref.Name, ref.ID[0]))
	}
	return names
}

func TestPushMovesRefsAndPacks(t *testing.T) {
	t.Parallel()
	log, _, reader := open(t)
	create(t, log, 1)
	pack := &git.Pack{ID: object(99), Objects: 3, Bytes: 1234}
	results := push(t, log, 1, false, pack,
		git.RefUpdate{Name: "refs/heads/main", New: object(1)},
		git.RefUpdate{Name: "refs/tags/v1", New: object(2), Peeled: object(1)},
		git.RefUpdate{Name: "refs/heads/stale", Old: object(7), New: object(1)})
	if !results[0].OK() || !results[1].OK() || results[2].OK() {
		t.Fatalf("results %+v", results)
	}
	s, err := reader.Snapshot(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(s); !slices.Equal(got, []string{"refs/heads/main=1", "refs/tags/v1=2"}) {
		t.Errorf("refs %v", got)
	}
	if tag, _ := s.Refs.Get("refs/tags/v1"); tag.Peeled != object(1) {
		t.Errorf("tag %+v is not peeled", tag)
	}
	if packs := s.Packs(); len(packs) != 1 || packs[0] != *pack || s.Head != "refs/heads/main" || s.Storage != "storage-1" || s.Version != 2 {
		t.Errorf("snapshot %+v", s)
	}
	again, _ := reader.Snapshot(t.Context(), 1)
	if again != s {
		t.Error("an unchanged repository is not served from the cache")
	}
	push(t, log, 1, false, nil, git.RefUpdate{Name: "refs/heads/main", Old: object(1), New: object(3), Forced: true}, git.RefUpdate{Name: "refs/tags/v1", Old: object(2)})
	after, err := reader.Snapshot(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(after); !slices.Equal(got, []string{"refs/heads/main=3"}) {
		t.Errorf("refs after the second push %v", got)
	}
	if got := list(s); len(got) != 2 {
		t.Errorf("the older snapshot changed: %v", got)
	}
}

func TestPushRefusals(t *testing.T) {
	t.Parallel()
	log, _, reader := open(t)
	create(t, log, 1)
	push(t, log, 1, false, nil, git.RefUpdate{Name: "refs/heads/a", New: object(1)}, git.RefUpdate{Name: "refs/heads/x/y", New: object(1)})
	for _, c := range []struct {
		name   string
		atomic bool
		update git.RefUpdate
		ok     bool
	}{
		{"create over existing", false, git.RefUpdate{Name: "refs/heads/a", New: object(2)}, false},
		{"stale", false, git.RefUpdate{Name: "refs/heads/a", Old: object(5), New: object(2)}, false},
		{"below an existing ref", false, git.RefUpdate{Name: "refs/heads/a/b", New: object(2)}, false},
		{"above an existing ref", false, git.RefUpdate{Name: "refs/heads/x", New: object(2)}, false},
		{"delete of a missing ref", false, git.RefUpdate{Name: "refs/heads/none"}, true},
		{"beside", false, git.RefUpdate{Name: "refs/heads/x0", New: object(2)}, true},
	} {
		if results := push(t, log, 1, c.atomic, nil, c.update); results[0].OK() != c.ok {
			t.Errorf("%s: %+v", c.name, results)
		}
	}
	push(t, log, 1, false, nil, git.RefUpdate{Name: "refs/heads/x/z", New: object(1)})
	instead := []git.RefUpdate{{Name: "refs/heads/x/y", Old: object(1)}, {Name: "refs/heads/x", New: object(2)}}
	if results := push(t, log, 1, true, nil, instead...); results[0].OK() || results[1].OK() {
		t.Errorf("a ref in the place of two, of which one goes: %+v", results)
	}
	if results := push(t, log, 1, true, nil, append(instead, git.RefUpdate{Name: "refs/heads/x/z", Old: object(1)})...); !results[1].OK() {
		t.Errorf("a ref in the place of two that go: %+v", results)
	}
	results := push(t, log, 1, true, nil, git.RefUpdate{Name: "refs/heads/new", New: object(2)}, git.RefUpdate{Name: "refs/heads/a", Old: object(9), New: object(2)})
	if results[0].OK() || results[1].OK() {
		t.Errorf("atomic push with a stale ref: %+v", results)
	}
	s, _ := reader.Snapshot(t.Context(), 1)
	if _, there := s.Refs.Get("refs/heads/new"); there {
		t.Error("an atomic push was half done")
	}
	_, err := log.Append(t.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(2), Expect: eventstore.Any,
		Claim: repository.PushRefs{Updates: []git.RefUpdate{{Name: "refs/heads/a", New: object(1)}}}})
	var notFound *domain.NotFoundError
	if !errors.As(err, &notFound) {
		t.Errorf("push to a repository that does not exist: %v", err)
	}
	if _, err := reader.Snapshot(t.Context(), 2); !errors.As(err, &notFound) {
		t.Errorf("snapshot of a repository that does not exist: %v", err)
	}
}

// Many writers at once on few refs: exactly one wins each value, and what the
// reader sees in the end is the last of each chain.
func TestConcurrentPushesFormChains(t *testing.T) {
	t.Parallel()
	log, _, reader := open(t)
	create(t, log, 1)
	var wg sync.WaitGroup
	for writer := range byte(8) {
		wg.Go(func() {
			for range 20 {
				s, err := reader.Snapshot(t.Context(), 1)
				if err != nil {
					t.Error(err)
					return
				}
				name := fmt.Sprintf("refs/heads/%d", writer%3)
				old, _ := s.Refs.Get(name)
				next := old.ID
				next[0], next[1] = next[0]+1, writer
				push(t, log, 1, false, nil, git.RefUpdate{Name: name, Old: old.ID, New: next})
			}
		})
	}
	wg.Wait()
	at := map[string]git.ObjectID{}
	events, err := log.ReadStream(t.Context(), domain.RepositoryStream(1), 1, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		pushed, _ := e.Event.(repository.RefsUpdated) // the first push also sets the default branch
		for _, u := range pushed.Updates {
			if at[u.Name] != u.Old {
				t.Fatalf("event %d moves %s from %s, which was at %s", e.Position, u.Name, u.Old, at[u.Name])
			}
			at[u.Name] = u.New
		}
	}
	s, _ := reader.Snapshot(t.Context(), 1)
	for name, id := range at {
		if ref, _ := s.Refs.Get(name); ref.ID != id {
			t.Errorf("%s is at %s, its last event says %s", name, ref.ID, id)
		}
	}
}

// Pushes of any shape, compared with a map: folders and refs never share a name,
// deletes make room, and the incremental cache equals a fresh read.
func TestPushesAgainstModel(t *testing.T) {
	t.Parallel()
	log, pool, reader := open(t)
	next, followed := domain.RepositoryID(0), int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		next++
		id := next
		create(t, log, id)
		model := map[string]git.ObjectID{}
		for range rapid.IntRange(1, 8).Draw(rt, "pushes") {
			var updates []git.RefUpdate
			for range rapid.IntRange(1, 4).Draw(rt, "updates") {
				name := "refs/heads/" + rapid.SampledFrom([]string{"a", "a/b", "a/b/c", "b", "a0", "b/c"}).Draw(rt, "name")
				u := git.RefUpdate{Name: name, New: object(rapid.Byte().Draw(rt, "new"))}
				if rapid.Bool().Draw(rt, "known") {
					u.Old = model[name]
				}
				if rapid.IntRange(0, 2).Draw(rt, "delete") == 0 {
					u.New = git.ZeroID
				}
				updates = append(updates, u)
			}
			for i, result := range push(t, log, id, rapid.Bool().Draw(rt, "atomic"), nil, updates...) {
				if !result.OK() {
					continue
				}
				if updates[i].IsDelete() {
					delete(model, result.Name)
				} else {
					model[result.Name] = updates[i].New
				}
			}
			s, err := reader.Snapshot(t.Context(), id)
			if err != nil {
				rt.Fatal(err)
			}
			// The rows follow as they like: what they lack is read from the log.
			follow(rt, log, pool, &followed, rapid.Int64Range(0, 3).Draw(rt, "followed"))
			whole, err := refs.NewReader(pool, log, 1<<20).Snapshot(t.Context(), id)
			if err != nil {
				rt.Fatal(err)
			}
			if !slices.Equal(list(s), list(whole)) {
				rt.Fatalf("the cache has %v, the database %v", list(s), list(whole))
			}
			if s.Refs.Len() != len(model) {
				rt.Fatalf("refs %v, want %v", list(s), model)
			}
			for name, want := range model {
				if ref, _ := s.Refs.Get(name); ref.ID != want {
					rt.Fatalf("%s is at %s, want %s", name, ref.ID, want)
				}
				for other := range model {
					if len(other) > len(name) && other[:len(name)+1] == name+"/" {
						rt.Fatalf("%s and %s exist side by side", name, other)
					}
				}
			}
		}
	})
}

// follow has the projection apply up to n more events.
func follow(t *rapid.T, log *eventstore.Log, pool *pgxpool.Pool, from *int64, n int64) {
	if n == 0 {
		return
	}
	events, err := log.ReadAll(context.Background(), *from, int(n))
	if err != nil {
		t.Fatal(err)
	}
	flight := &pgx.Batch{}
	if err := (refs.Projection{}).Queue(flight, events); err != nil {
		t.Fatal(err)
	}
	if err := pool.SendBatch(context.Background(), flight).Close(); err != nil {
		t.Fatal(err)
	}
	*from += int64(len(events))
}

func TestFirstPushDecidesTheDefaultBranch(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		push []string
		head string
	}{
		{[]string{"refs/heads/master", "refs/heads/main"}, "refs/heads/main"},
		{[]string{"refs/heads/a", "refs/heads/master"}, "refs/heads/master"},
		{[]string{"refs/tags/v1", "refs/heads/trunk", "refs/heads/a"}, "refs/heads/trunk"},
		{[]string{"refs/tags/v1"}, "refs/heads/main"},
	} {
		log, _, reader := open(t)
		id := domain.RepositoryID(i + 1)
		create(t, log, id)
		var updates []git.RefUpdate
		for _, name := range c.push {
			updates = append(updates, git.RefUpdate{Name: name, New: object(1)})
		}
		push(t, log, id, false, nil, updates...)
		push(t, log, id, false, nil, git.RefUpdate{Name: "refs/heads/later", New: object(1)})
		s, err := reader.Snapshot(t.Context(), id)
		want := c.head
		if len(c.push) == 1 {
			want = "refs/heads/later" // the first push with a branch decides
		}
		if err != nil || s.Head != want {
			t.Errorf("%v: default branch %s (%v), want %s", c.push, s.Head, err, want)
		}
	}
}

func TestRecentTips(t *testing.T) {
	t.Parallel()
	log, _, reader := open(t)
	create(t, log, 1)
	push(t, log, 1, false, nil, git.RefUpdate{Name: "refs/heads/main", New: object(1)})
	push(t, log, 1, false, nil, git.RefUpdate{Name: "refs/heads/main", Old: object(1), New: object(2), Forced: true})
	tips, err := reader.RecentTips(t.Context(), 1, time.Hour)
	if err != nil || !slices.Equal(tips, []git.ObjectID{object(1)}) {
		t.Errorf("within an hour: %v, %v", tips, err)
	}
	if tips, err := reader.RecentTips(t.Context(), 1, 0); err != nil || len(tips) != 0 {
		t.Errorf("within no time: %v, %v", tips, err)
	}
}
