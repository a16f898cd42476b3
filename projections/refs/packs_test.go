package refs_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/refs"
)

func claim(ctx context.Context, log *eventstore.Log, command any) (eventstore.Appended, error) {
	return log.Append(ctx, eventstore.Proposal{Stream: domain.RepositoryStream(1), Claim: command, Meta: domain.Metadata{Auth: "system"}})
}

func packed(n byte) git.Pack {
	return git.Pack{ID: object(n), Objects: int64(n), Bytes: 100 * int64(n)}
}

func ids(s *refs.Snapshot) (list []byte) {
	for _, p := range s.Packs() {
		list = append(list, p.ID[0])
	}
	return list
}

// A pack that was pushed while others were combined stays; what was combined already
// cannot be again.
func TestCombinePacks(t *testing.T) {
	t.Parallel()
	log, pool, reader := open(t)
	create(t, log, 1)
	for n := byte(1); n <= 4; n++ {
		pack := packed(n)
		push(t, log, 1, false, &pack, git.RefUpdate{Name: "refs/heads/" + string(rune('a'+n)), New: object(n)})
	}
	combine := repository.CombinePacks{Packs: []repository.CombinedPack{{Pack: packed(9), Bitmap: 7}}, Superseded: []git.ObjectID{object(1), object(2), object(3)}}
	if _, err := claim(t.Context(), log, combine); err != nil {
		t.Fatal(err)
	}
	var conflict *domain.ConflictError
	if _, err := claim(t.Context(), log, combine); !errors.As(err, &conflict) {
		t.Errorf("combined twice: %v", err)
	}
	for name, r := range map[string]*refs.Reader{"kept": reader, "read anew": refs.NewReader(pool, log, 1<<20)} {
		s, err := r.Snapshot(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if got := ids(s); !slices.Equal(got, []byte{4, 9}) || len(list(s)) != 4 {
			t.Errorf("%s: packs %v, refs %v", name, got, list(s))
		}
	}
}

// What is listed is not removed, and a push that began before a removal is sent back to
// look for its pack.
func TestRemovePacks(t *testing.T) {
	t.Parallel()
	log, _, reader := open(t)
	create(t, log, 1)
	one := packed(1)
	push(t, log, 1, false, &one, git.RefUpdate{Name: "refs/heads/main", New: object(1)})
	if got, err := claim(t.Context(), log, repository.RemovePacks{Packs: []git.ObjectID{object(1)}}); err != nil || len(got.Events) != 0 {
		t.Fatalf("a listed pack was removed: %+v, %v", got, err)
	}
	before, err := reader.Snapshot(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := claim(t.Context(), log, repository.RemovePacks{Packs: []git.ObjectID{object(1), object(8)}}); err != nil || len(got.Events) != 1 ||
		!slices.Equal(got.Events[0].Event.(repository.PacksRemoved).Packs, []git.ObjectID{object(8)}) {
		t.Fatalf("%+v, %v", got, err)
	}
	two := packed(2)
	late := repository.PushRefs{Pack: &two, Base: before.Version, Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: object(1), New: object(2)}}}
	var removed *repository.PacksRemovedError
	if _, err := claim(t.Context(), log, late); !errors.As(err, &removed) || removed.Version <= before.Version {
		t.Fatalf("%v", err)
	}
	if _, err := claim(t.Context(), log, repository.CombinePacks{Base: before.Version, Packs: []repository.CombinedPack{{Pack: packed(3)}}, Superseded: []git.ObjectID{object(1)}}); !errors.As(err, &removed) {
		t.Errorf("a combination that began before a removal: %v", err)
	}
	late.Base = removed.Version
	if _, err := claim(t.Context(), log, late); err != nil {
		t.Fatal(err)
	}
	// A push without a pack has nothing to look for.
	if _, err := claim(t.Context(), log, repository.PushRefs{Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: object(2)}}}); err != nil {
		t.Error(err)
	}
}

// Whatever was pushed, combined, removed and pushed again: the list in memory, the rows
// that follow, and the rows that are made anew are the same.
func TestPackListsAgree(t *testing.T) {
	t.Parallel()
	log, pool, reader := open(t)
	create(t, log, 1)
	last, followed := git.ZeroID, int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		s, err := reader.Snapshot(t.Context(), 1)
		if err != nil {
			rt.Fatal(err)
		}
		listed := ids(s)
		for range rapid.IntRange(1, 6).Draw(rt, "steps") {
			if s, err = reader.Snapshot(t.Context(), 1); err != nil {
				rt.Fatal(err)
			}
			n := rapid.ByteRange(1, 30).Draw(rt, "pack")
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				pack, next := packed(n), git.ObjectID{1: byte(s.Version), 2: byte(s.Version >> 8), 3: 1}
				if _, err := claim(t.Context(), log, repository.PushRefs{Pack: &pack, Base: s.Version, Updates: []git.RefUpdate{{Name: "refs/heads/main", Old: last, New: next}}}); err != nil {
					rt.Fatal(err)
				}
				last = next
				if !slices.Contains(listed, n) {
					listed = append(listed, n)
				}
			case 1:
				count := rapid.IntRange(0, len(listed)).Draw(rt, "superseded")
				if slices.Contains(listed, n) || count == 0 {
					continue
				}
				var superseded []git.ObjectID
				for _, old := range listed[:count] {
					superseded = append(superseded, object(old))
				}
				if _, err := claim(t.Context(), log, repository.CombinePacks{Base: s.Version, Packs: []repository.CombinedPack{{Pack: packed(n)}}, Superseded: superseded}); err != nil {
					rt.Fatal(err)
				}
				listed = append(slices.Clone(listed[count:]), n)
			case 2:
				if _, err := claim(t.Context(), log, repository.RemovePacks{Packs: []git.ObjectID{object(n)}}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		if s, err = reader.Snapshot(t.Context(), 1); err != nil {
			rt.Fatal(err)
		}
		if got := ids(s); !slices.Equal(got, listed) {
			rt.Fatalf("packs %v, want %v", got, listed)
		}
		// The rows follow as they like: what they lack is read from the log.
		follow(rt, log, pool, &followed, rapid.Int64Range(0, 5).Draw(rt, "followed"))
		anew, err := refs.NewReader(pool, log, 1<<20).Snapshot(t.Context(), 1)
		if err != nil || !slices.Equal(ids(anew), listed) {
			rt.Fatalf("read anew %v, want %v, %v", ids(anew), listed, err)
		}
		events, err := log.ReadAll(t.Context(), 0, 10_000)
		if err != nil {
			rt.Fatal(err)
		}
		at := rapid.IntRange(0, len(events)).Draw(rt, "split")
		first, second := refs.Projection{}.NewFold(), refs.Projection{}.NewFold()
		first.Add(events[:at])
		second.Add(events[at:])
		first.Merge(second)
		if got := folded(rt, first); !slices.Equal(got, slices.Sorted(slices.Values(listed))) {
			rt.Fatalf("folded %v, want %v", got, listed)
		}
	})
}

// folded lists the packs that a fold has rows of.
func folded(t *rapid.T, f projections.Fold) (list []byte) {
	columns, rows := f.Rows("packs")
	for rows.Next() {
		values, err := rows.Values()
		if err != nil || len(values) != len(columns) {
			t.Fatal(values, err)
		}
		list = append(list, values[1].([]byte)[0])
	}
	slices.Sort(list)
	return list
}
