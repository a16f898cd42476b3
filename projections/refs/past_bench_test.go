package refs_test

import (
	"encoding/binary"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections/refs"
)

// BenchmarkPast makes the view of a repository after 20,000 pushes to 100 branches from
// nothing, and finds it again.
func BenchmarkPast(b *testing.B) {
	const pushes = 20_000
	log, pool, reader := open(b)
	create(b, log, 1)
	var events []domain.Event
	at := [100]git.ObjectID{}
	for i := range uint32(pushes) {
		var next git.ObjectID
		binary.BigEndian.PutUint32(next[:], i+1)
		name := "refs/heads/branch-" + string(rune('a'+i%10)) + string(rune('a'+i/10%10))
		events = append(events, repository.RefsUpdated{Updates: []git.RefUpdate{{Name: name, Old: at[i%100], New: next}}})
		at[i%100] = next
		if len(events) == 1000 {
			if _, err := log.Append(b.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(1), Expect: eventstore.Any, Events: events}); err != nil {
				b.Fatal(err)
			}
			events = events[:0]
		}
	}
	if _, err := reader.Snapshot(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	b.Run("made", func(b *testing.B) {
		for b.Loop() {
			fresh := refs.NewReader(pool, log, 0)
			if _, err := fresh.At(b.Context(), 1, pushes-5); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/pushes, "us/event")
	})
	b.Run("now", func(b *testing.B) { // what the view of the present costs
		for b.Loop() {
			if _, err := reader.Snapshot(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("found", func(b *testing.B) {
		for b.Loop() {
			if _, err := reader.At(b.Context(), 1, pushes-5); err != nil {
				b.Fatal(err)
			}
		}
	})
}
