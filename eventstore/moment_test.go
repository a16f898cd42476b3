package eventstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

// Every position, time and version is found as a search through all events finds it.
func TestMoments(t *testing.T) {
	t.Parallel()
	log, _ := eventstoretest.Log(t, eventstore.Options{})
	if position, err := log.PositionAt(t.Context(), time.Now()); err != nil || position != 0 {
		t.Fatalf("in an empty log %d, %v", position, err)
	}
	for i := range 23 {
		_, err := log.Append(t.Context(), eventstore.Proposal{
			Stream: domain.ProjectStream(domain.ProjectID(i%3 + 1)), Expect: eventstore.Any, Events: []domain.Event{project.Deleted{}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all, err := log.ReadAll(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[domain.Stream]int64{}
	for i, e := range all {
		versions[e.Stream] = e.Version
		for s := range 4 {
			stream := domain.ProjectStream(domain.ProjectID(s + 1))
			if got, err := log.VersionAt(t.Context(), stream, e.Position); err != nil || got != versions[stream] {
				t.Errorf("%s at %d has version %d (%v), want %d", stream, e.Position, got, err, versions[stream])
			}
		}
		for _, when := range []time.Time{e.At, e.At.Add(-time.Microsecond)} {
			want := int64(0)
			for _, other := range all {
				if !other.At.After(when) {
					want = other.Position
				}
			}
			if got, err := log.PositionAt(t.Context(), when); err != nil || got != want {
				t.Errorf("at the time of event %d: position %d (%v), want %d", i+1, got, err, want)
			}
		}
	}
	var folded []int64
	take := func(e domain.Recorded) error { folded = append(folded, e.Version); return nil }
	if err := log.FoldStream(t.Context(), domain.ProjectStream(1), 2, 5, take); err != nil || len(folded) != 3 || folded[0] != 3 {
		t.Errorf("versions 3 to 5 are %v (%v)", folded, err)
	}
	if err := log.FoldStream(t.Context(), domain.ProjectStream(1), 2, 50, take); err == nil {
		t.Error("a version that is not there was folded")
	}
	if err := log.FoldStream(t.Context(), domain.ProjectStream(1), 0, 5, func(domain.Recorded) error { return context.Canceled }); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of yield is %v", err)
	}
}
