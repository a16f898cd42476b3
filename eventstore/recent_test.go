package eventstore_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

// What a node remembers of its own appends is what another one reads from the database,
// whoever appends, and however much.
func TestRecentEventsAreThoseOfTheLog(t *testing.T) {
	t.Parallel()
	one, pool := eventstoretest.Log(t, eventstore.Options{Types: types(), Poll: time.Millisecond})
	two, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types()})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(rt, "appends") {
			log := rapid.SampledFrom([]*eventstore.Log{one, one, two}).Draw(rt, "node")
			p := eventstore.Proposal{
				Stream: domain.Stream(fmt.Sprint("s", rapid.IntRange(0, 3).Draw(rt, "stream"))), Expect: eventstore.Any,
				Meta: domain.Metadata{
					Actor: 7, Auth: "token", RequestID: "r", Node: "n",
					Address:     rapid.SampledFrom([]string{"", "192.0.2.1"}).Draw(rt, "address"),
					Correlation: rapid.SampledFrom([]string{"", "r", "c"}).Draw(rt, "correlation"),
				},
			}
			for i := range rapid.IntRange(1, 3).Draw(rt, "events") {
				p.Events = append(p.Events, counted{i}, greeted{User: 7, Name: greetedName{
					strings.Repeat("x", rapid.SampledFrom([]int{1, 5, 5, 400 << 10}).Draw(rt, "size")),
				}})
			}
			if _, err := log.Append(t.Context(), p); err != nil {
				rt.Fatal(err)
			}
		}
		head, err := one.Head(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		after := max(0, head-rapid.Int64Range(1, 12).Draw(rt, "back"))
		mine, err := one.Follow(t.Context(), after, 20)
		if err != nil {
			rt.Fatal(err)
		}
		theirs, err := two.ReadAll(t.Context(), after, 20)
		if err != nil {
			rt.Fatal(err)
		}
		// Large pages end at different places.
		n := min(len(mine), len(theirs))
		if n == 0 || !reflect.DeepEqual(mine[:n], theirs[:n]) {
			rt.Fatalf("behind %d of %d one node reads %d events and another %d, and they differ", after, head, len(mine), len(theirs))
		}
	})
}
