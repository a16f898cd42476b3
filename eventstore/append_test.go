package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	log, _ := eventstoretest.Log(t, eventstore.Options{Types: types(), Node: "node-1"})
	ctx := t.Context()
	meta := domain.Metadata{Actor: 7, Auth: "password", Address: "192.0.2.1", RequestID: "r1", Correlation: "c1"}

	first, err := log.Append(ctx, eventstore.Proposal{Stream: "a", Expect: 0, Events: []domain.Event{counted{1}, counted{2}}, Meta: meta})
	if err != nil {
		t.Fatal(err)
	}
	if first.Position != 2 || first.Version != 2 {
		t.Errorf("appended at position %d, version %d, want 2 and 2", first.Position, first.Version)
	}
	second, err := log.Append(ctx, eventstore.Proposal{Stream: "b", Expect: eventstore.Any, Events: []domain.Event{counted{3}}, Meta: meta})
	if err != nil {
		t.Fatal(err)
	}
	if second.Position != 3 || second.Version != 1 {
		t.Errorf("appended at position %d, version %d, want 3 and 1", second.Position, second.Version)
	}

	all, err := log.ReadAll(ctx, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[2].Event != (counted{3}) || all[1].Version != 2 || all[0].Stream != "a" {
		t.Fatalf("read %+v", all)
	}
	meta.Node = "node-1"
	if all[0].Meta != meta {
		t.Errorf("metadata %+v, want %+v", all[0].Meta, meta)
	}
	if all[0].ID != all[1].ID || all[0].ID == all[2].ID {
		t.Error("events of one command must share its id, and others not")
	}
	stream, err := log.ReadStream(ctx, "a", 1, 10)
	if err != nil || len(stream) != 1 || stream[0].Event != (counted{2}) {
		t.Errorf("stream a after version 1: %+v, %v", stream, err)
	}
}

func TestAppendExpectedVersion(t *testing.T) {
	t.Parallel()
	log, _ := eventstoretest.Log(t, eventstore.Options{Types: types()})
	propose := func(expect eventstore.Expect) error {
		_, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Expect: expect, Events: []domain.Event{counted{1}}})
		return err
	}
	if err := propose(0); err != nil {
		t.Fatal(err)
	}
	var conflict *eventstore.VersionConflictError
	if err := propose(0); !errors.As(err, &conflict) || conflict.Actual != 1 || conflict.Expected != 0 {
		t.Errorf("stale append: %v", err)
	}
	if err := propose(1); err != nil {
		t.Error(err)
	}
	if head, err := log.Head(t.Context()); head != 2 || err != nil {
		t.Errorf("head %d, %v: a refused append must take no position", head, err)
	}
}

func TestPersonalDataStaysBesideTheLog(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Types: types()})
	event := greeted{User: 9, Name: greetedName{"Ada Lovelace"}}
	if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Events: []domain.Event{event}, Meta: domain.Metadata{Address: "192.0.2.9"}}); err != nil {
		t.Fatal(err)
	}
	stored, _, err := log.ReadEvent(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"Ada", "192.0.2.9"} {
		if strings.Contains(string(stored.Body)+string(stored.Meta), secret) {
			t.Errorf("%q is in the log itself: %s %s", secret, stored.Body, stored.Meta)
		}
	}
	read, err := stored.Decode(types())
	if err != nil || read.Event != event || read.Meta.Address != "192.0.2.9" {
		t.Errorf("decoded %+v, %v", read, err)
	}
	if _, err := pool.Exec(t.Context(), `delete from personal where subject = 9`); err != nil {
		t.Fatal(err)
	}
	stored, _, _ = log.ReadEvent(t.Context(), 1)
	if read, err = stored.Decode(types()); err != nil || read.Event != (greeted{User: 9}) {
		t.Errorf("after erasure decoded %+v, %v", read.Event, err)
	}
}

func TestLogIsAppendOnly(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Types: types()})
	if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Events: []domain.Event{counted{1}}}); err != nil {
		t.Fatal(err)
	}
	owner, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close(context.Background()) }()
	for _, statement := range []string{
		`update log.events set type = 'x'`, `delete from log.events`, `truncate log.events`,
	} {
		if _, err := pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("the application's role may %q", statement)
		}
		if _, err := owner.Exec(t.Context(), statement); err == nil {
			t.Errorf("even the owner may %q", statement)
		}
	}
}

// tally is an inline projection and an arbiter: a claim is a number that must
// rise on each stream. It forgets where the streams are when told to.
type tally struct {
	refuse error
	log    *eventstore.Log

	mu      sync.Mutex
	streams map[domain.Stream]*height
}

type height struct {
	tail    eventstore.Tail
	highest int
}

func (h *height) climb(events []domain.Recorded) {
	for _, e := range events {
		h.tail.Version, h.tail.Known, h.highest = e.Version, e.Position, e.Event.(counted).N
	}
}

type rise struct{ to int }

func (*tally) Name() string      { return "tally" }
func (*tally) Tables() []string  { return nil }
func (*tally) Needs(string) bool { return true }

func (a *tally) Apply(_ context.Context, _ pgx.Tx, events []domain.Recorded) error {
	for _, e := range events {
		if c, ok := e.Event.(counted); ok && c.N < 0 {
			return a.refuse
		}
	}
	return nil
}

func (a *tally) height(stream domain.Stream) *height {
	if a.streams == nil {
		a.streams = map[domain.Stream]*height{}
	}
	if a.streams[stream] == nil {
		a.streams[stream] = &height{tail: eventstore.Tail{Stream: stream}}
	}
	return a.streams[stream]
}

func (a *tally) Warm(context.Context, *eventstore.Claim) error { return nil }

func (a *tally) Refresh(ctx context.Context, tx pgx.Tx, claims []*eventstore.Claim) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	head, err := a.log.HeadIn(ctx, tx)
	if err != nil {
		return err
	}
	for _, claim := range claims {
		h := a.height(claim.Stream)
		if err := a.log.ReadTails(ctx, tx, &h.tail); err != nil {
			return err
		}
		h.climb(h.tail.Events)
		h.tail.Known = head
	}
	return nil
}

func (a *tally) Decide(claims []*eventstore.Claim) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	ahead := map[domain.Stream]*height{}
	for _, claim := range claims {
		if ahead[claim.Stream] == nil {
			h := *a.height(claim.Stream)
			ahead[claim.Stream] = &h
		}
		h := ahead[claim.Stream]
		to := claim.Command.(rise).to
		claim.Undecided()
		claim.Version, claim.Known = h.tail.Version, h.tail.Known
		if to <= h.highest {
			claim.Err = domain.Conflict("", "%d is not above %d", to, h.highest)
			continue
		}
		h.highest = to
		h.tail.Version++
		claim.Events, claim.Outcome = []domain.Event{counted{to}}, to
	}
	return nil
}

func (a *tally) Committed(claims []*eventstore.Claim) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, claim := range claims {
		a.height(claim.Stream).climb(claim.Recorded)
	}
}

func TestInlineErrorRefusesOnlyItsOwnProposal(t *testing.T) {
	t.Parallel()
	refusal := domain.Conflict("name", "the name is taken")
	a := &tally{refuse: refusal}
	log, _ := eventstoretest.Log(t, eventstore.Options{Types: types(), Inline: []eventstore.Inline{a}})
	var wg sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		wg.Go(func() {
			n := i
			if i%8 == 3 {
				n = -1
			}
			_, errs[i] = log.Append(t.Context(), eventstore.Proposal{Stream: domain.Stream(fmt.Sprint("s", i)), Events: []domain.Event{counted{n}}})
		})
	}
	wg.Wait()
	for i, err := range errs {
		if i%8 == 3 && !errors.Is(err, refusal) {
			t.Errorf("proposal %d: %v, want the projection's refusal", i, err)
		} else if i%8 != 3 && err != nil {
			t.Errorf("proposal %d: %v", i, err)
		}
	}
	all, err := log.ReadAll(t.Context(), 0, 100)
	if err != nil || len(all) != 35 {
		t.Errorf("%d events (%v), want 35, dense", len(all), err)
	}
}

// Two nodes, each with a memory of its own that the other makes stale.
func TestClaimsOfManyWritersFormAChain(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	var nodes [2]*eventstore.Log
	for i := range nodes {
		log, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types()})
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		log.Arbitrate(&tally{log: log})
		nodes[i] = log
	}
	var wg sync.WaitGroup
	for writer := range 16 {
		wg.Go(func() {
			for n := 1; n <= 30; n++ {
				_, err := nodes[writer%2].Append(t.Context(), eventstore.Proposal{Stream: domain.Stream(fmt.Sprint(writer % 3)), Claim: rise{n*16 + writer}})
				var conflict *domain.ConflictError
				if err != nil && !errors.As(err, &conflict) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for stream := range 3 {
		events, err := nodes[0].ReadStream(t.Context(), domain.Stream(fmt.Sprint(stream)), 0, 1000)
		if err != nil || len(events) == 0 {
			t.Fatal(len(events), err)
		}
		last := 0
		for i, e := range events {
			if n := e.Event.(counted).N; n <= last || e.Version != int64(i+1) {
				t.Fatalf("event %d: %+v after %d", i, e, last)
			} else {
				last = n
			}
		}
	}
	all, err := nodes[1].ReadAll(t.Context(), 0, 10000)
	if err != nil || len(all) == 0 {
		t.Error(len(all), err) // a gap would be one
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Types: types()})
	other, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types(), Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 5 {
		if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Expect: eventstore.Any, Events: []domain.Event{counted{i}}}); err != nil {
			t.Fatal(err)
		}
		for _, l := range []*eventstore.Log{log, other} {
			if head, err := l.Await(t.Context(), int64(i)); err != nil || head < int64(i+1) {
				t.Fatalf("await %d: %d, %v", i, head, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Await(ctx, 5); !errors.Is(err, context.Canceled) {
		t.Errorf("await beyond the head: %v", err)
	}
}

func TestExecute(t *testing.T) {
	t.Parallel()
	log, _ := eventstoretest.Log(t, eventstore.Options{Types: types()})
	sum := func(total int, e domain.Event) int { return total + e.(counted).N }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, _, err := eventstore.Execute(t.Context(), log, "sum", sum, domain.Metadata{}, func(total int) ([]domain.Event, error) {
				return []domain.Event{counted{total + 1}}, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	total, _, err := eventstore.Execute(t.Context(), log, "sum", sum, domain.Metadata{}, func(int) ([]domain.Event, error) { return nil, nil })
	if err != nil || total != 255 { // 1, 2, 4, ... each decided on all before it
		t.Errorf("total %d, %v, want 255", total, err)
	}
}

func TestAppendAfterClose(t *testing.T) {
	t.Parallel()
	log, _ := eventstoretest.Log(t, eventstore.Options{Types: types()})
	log.Close()
	if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Events: []domain.Event{counted{1}}}); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	log, _ := eventstoretest.Log(t, eventstore.Options{Types: types()})
	propose := func() error {
		_, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Expect: eventstore.Any, Events: []domain.Event{counted{1}}})
		return err
	}
	log.SetMaintenance(true)
	if err := propose(); !errors.Is(err, eventstore.ErrMaintenance) {
		t.Errorf("append under maintenance: %v", err)
	}
	log.SetMaintenance(false)
	if err := propose(); err != nil {
		t.Error(err)
	}
}
