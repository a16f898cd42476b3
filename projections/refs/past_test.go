package refs_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/refs"
)

// At every position, asked for in any order, the past is what the repository was seen to be
// when it was there.
func TestPastAgainstModel(t *testing.T) {
	t.Parallel()
	log, pool, reader := open(t)
	next := domain.RepositoryID(0)
	rapid.Check(t, func(rt *rapid.T) {
		next += 2
		id := next
		begin, err := log.Head(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		seen := map[int64]string{} // by position; "" is not there
		see := func() {
			head, err := log.Head(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			s, err := reader.Snapshot(t.Context(), id)
			seen[head] = ""
			if err == nil {
				seen[head] = fmt.Sprint(s.Head, s.Version, list(s))
			}
		}
		seen[begin] = ""
		create(t, log, id)
		see()
		deleted := false
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"push", "push", "push", "other", "delete", "head"}).Draw(rt, "what") {
			case "push":
				if deleted {
					continue
				}
				s, err := reader.Snapshot(t.Context(), id)
				if err != nil {
					rt.Fatal(err)
				}
				name := "refs/heads/" + rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name")
				old, _ := s.Refs.Get(name)
				push(t, log, id, false, nil, git.RefUpdate{Name: name, Old: old.ID, New: object(rapid.Byte().Draw(rt, "new"))})
			case "other":
				create(t, log, id+1_000_000+domain.RepositoryID(len(seen))*1_000_000)
			case "delete":
				change := domain.Event(repository.Deleted{ID: id})
				if deleted {
					change = repository.Restored{ID: id}
				}
				deleted = !deleted
				appendTo(t, log, id, change)
			case "head":
				appendTo(t, log, id, repository.DefaultBranchChanged{ID: id, New: "refs/heads/" + rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "head")})
			}
			see()
		}
		if deleted { // nobody sees the past of what is deleted
			var missing *domain.NotFoundError
			if _, err := reader.At(t.Context(), id, begin+1); !errors.As(err, &missing) || missing.What != "repository" {
				rt.Fatalf("the past of a deleted repository: %v", err)
			}
			appendTo(t, log, id, repository.Restored{ID: id})
			see()
		}
		fresh := refs.NewReader(pool, log, 1<<20)
		for _, position := range rapid.Permutation(slices.Sorted(keys(seen))).Draw(rt, "positions") {
			if position == 0 {
				continue
			}
			for _, r := range []*refs.Reader{reader, fresh} {
				s, err := r.At(t.Context(), id, position)
				var missing *domain.NotFoundError
				switch {
				case err == nil && fmt.Sprint(s.Head, s.Version, list(s)) == seen[position]:
				case errors.As(err, &missing) && missing.What == "position" && seen[position] == "":
				default:
					rt.Fatalf("at %d it was %q and is now %v (%v)", position, seen[position], s, err)
				}
			}
		}
	})
}

func keys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func appendTo(t testing.TB, log *eventstore.Log, id domain.RepositoryID, events ...domain.Event) {
	t.Helper()
	if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(id), Expect: eventstore.Any, Events: events}); err != nil {
		t.Fatal(err)
	}
}

// Many who ask for the same moment of the past at once have it made once, and a cache that
// holds nothing answers all the same.
func TestPastIsMadeOnce(t *testing.T) {
	t.Parallel()
	log, pool, reader := open(t)
	create(t, log, 1)
	pack := &git.Pack{ID: object(99), Objects: 3, Bytes: 1234}
	for i := range byte(20) {
		old := object(i)
		if i == 0 {
			old = git.ZeroID
		}
		push(t, log, 1, false, pack, git.RefUpdate{Name: "refs/heads/main", Old: old, New: object(i + 1)})
		pack = nil
	}
	var wg sync.WaitGroup
	found := make([]*refs.Snapshot, 16)
	for i := range found {
		wg.Go(func() {
			var err error
			if found[i], err = reader.At(t.Context(), 1, int64(5+i%2)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, s := range found {
		if s != nil && s.Refs != found[i%2].Refs {
			t.Error("the same moment was made twice")
		}
		if want := fmt.Sprintf("[refs/heads/main=%x]", 4+i%2); s != nil && fmt.Sprint(list(s)) != want {
			t.Errorf("at %d %v, want %s", 5+i%2, list(s), want)
		}
		if s != nil && (len(s.Packs()) != 1 || s.Storage != "storage-1") {
			t.Errorf("without the repository's objects: %+v", s)
		}
	}
	tiny := refs.NewReader(pool, log, 0)
	for position := int64(21); position > 1; position-- {
		if s, err := tiny.At(t.Context(), 1, position); err != nil || s.Version != position {
			t.Fatalf("at %d: %+v, %v", position, s, err)
		}
	}
	var missing *domain.NotFoundError
	if _, err := reader.At(t.Context(), 1, 1000); !errors.As(err, &missing) || missing.What != "position" {
		t.Errorf("behind the end of the log: %v", err)
	}
}
