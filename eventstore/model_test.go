package eventstore_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

// padded is an event of any size.
type padded struct {
	Text string `json:"text"`
}

func (padded) EventType() string { return "test.padded.v1" }

// model is the log as it should be, from a position on: a list.
type model struct {
	newer, older *eventstore.Log // of one database; the older does not know the type called
	base         int64           // what was before is not of this model
	number       int             // of this model, so that its streams and users are its own
	events       []domain.Recorded
	highest      map[domain.Stream]int // of claims
	erased       map[domain.UserID]bool
	forgotten    map[int64]bool // positions whose greeting was erased
}

// TestLogEqualsModel does what comes to mind with two nodes on one log, and demands what a
// list would give.
func TestLogEqualsModel(t *testing.T) {
	t.Parallel()
	pool := eventstoretest.Database(t)
	open := func(types *eventstore.Registry) *eventstore.Log {
		eventstore.Register[counted](types)
		eventstore.Register[greeted](types)
		eventstore.Register[padded](types)
		log, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(log.Close)
		log.Arbitrate(&tally{log: log})
		return log
	}
	newTypes := callings()
	eventstore.Register[account.Created](newTypes)
	eventstore.Register[account.Erased](newTypes)
	oldTypes := eventstore.NewRegistry()
	eventstore.Register[account.Created](oldTypes)
	eventstore.Register[account.Erased](oldTypes)
	m := model{newer: open(newTypes), older: open(oldTypes)}
	rapid.Check(t, func(t *rapid.T) {
		m.begin(t)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			rapid.SampledFrom([]func(*rapid.T){m.appendSome, m.appendSome, m.claim, m.erase, m.readPage, m.readStream}).Draw(t, "step")(t)
		}
		m.readWhole(t)
	})
}

// begin forgets what was, and makes two users.
func (m *model) begin(t *rapid.T) {
	head, err := m.newer.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.base, m.number, m.events = head, m.number+1, nil
	m.highest, m.erased = map[domain.Stream]int{}, map[domain.UserID]bool{}
	m.forgotten = map[int64]bool{}
	for n := range 2 {
		m.propose(t, m.newer, eventstore.Proposal{
			Stream: domain.UserStream(m.user(n)),
			Events: []domain.Event{account.Created{ID: m.user(n), Type: account.Normal, Profile: account.Profile{Name: "x", Slug: "x", DisplayName: "X"}}},
		})
	}
}

func (m *model) user(n int) domain.UserID { return domain.UserID(10*m.number + n + 1) }

func (m *model) anyUser(t *rapid.T) domain.UserID {
	return m.user(rapid.IntRange(0, 1).Draw(t, "user"))
}

func (m *model) anyStream(t *rapid.T) domain.Stream {
	return domain.Stream(fmt.Sprintf("%d/%d", m.number, rapid.IntRange(0, 2).Draw(t, "stream")))
}

func (m *model) anyMeta(t *rapid.T) (meta domain.Metadata) {
	meta.Actor = rapid.SampledFrom([]domain.UserID{0, m.user(0), m.user(1)}).Draw(t, "actor")
	meta.Address = rapid.SampledFrom([]string{"", "192.0.2.1", "\"\u00e9\n"}).Draw(t, "address")
	if rapid.Bool().Draw(t, "request") {
		meta.RequestID, meta.Correlation = "r", rapid.SampledFrom([]string{"r", "c"}).Draw(t, "correlation")
	}
	return meta
}

func (m *model) anyLog(t *rapid.T) *eventstore.Log {
	return rapid.SampledFrom([]*eventstore.Log{m.newer, m.older}).Draw(t, "node")
}

func (m *model) anyEvent(t *rapid.T, log *eventstore.Log) domain.Event {
	switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
	case kind < 4:
		return counted{rapid.IntRange(0, 9).Draw(t, "n")}
	case kind < 7:
		return greeted{User: m.anyUser(t), Name: greetedName{rapid.String().Draw(t, "name")}}
	case kind < 9 && log == m.newer:
		return called3{User: m.anyUser(t), Greeting: rapid.String().Draw(t, "greeting"), Names: called3Names{[]string{"a", "b"}}}
	default:
		return padded{strings.Repeat("x", rapid.SampledFrom([]int{0, 100, 3000, 1_500_000}).Draw(t, "size"))}
	}
}

func (m *model) version(stream domain.Stream) (version int64) {
	for _, e := range m.events {
		if e.Stream == stream {
			version = e.Version
		}
	}
	return version
}

// propose appends to both.
func (m *model) propose(t *rapid.T, log *eventstore.Log, p eventstore.Proposal) {
	t.Helper()
	version := m.version(p.Stream)
	appended, err := log.Append(t.Context(), p)
	if p.Expect != eventstore.Any && int64(p.Expect) != version {
		var conflict *eventstore.VersionConflictError
		if !errors.As(err, &conflict) || conflict.Actual != version {
			t.Fatalf("expecting %d of %s at %d is answered with %v", p.Expect, p.Stream, version, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.record(t, appended, p.Stream, p.Meta, p.Events)
}

// record compares what was appended with what should have been, and puts it on the list.
func (m *model) record(t *rapid.T, appended eventstore.Appended, stream domain.Stream, meta domain.Metadata, events []domain.Event) {
	t.Helper()
	version := m.version(stream)
	for i, event := range events {
		m.events = append(m.events, domain.Recorded{
			Position: m.base + int64(len(m.events)) + 1, Stream: stream, Version: version + int64(i) + 1,
			ID: appended.ID, At: appended.At, Event: event, Meta: meta,
		})
	}
	last := m.events[len(m.events)-1]
	if appended.Position != last.Position || appended.Version != last.Version ||
		!reflect.DeepEqual(appended.Events, m.events[len(m.events)-len(events):]) {
		t.Fatalf("appended %+v, want %d events up to position %d, version %d", appended, len(events), last.Position, last.Version)
	}
}

func (m *model) appendSome(t *rapid.T) {
	log, p := m.anyLog(t), eventstore.Proposal{Stream: m.anyStream(t), Meta: m.anyMeta(t)}
	for range rapid.IntRange(1, 3).Draw(t, "events") {
		p.Events = append(p.Events, m.anyEvent(t, log))
	}
	p.Expect = eventstore.Expect(m.version(p.Stream) + rapid.Int64Range(-1, 1).Draw(t, "off by"))
	if rapid.Bool().Draw(t, "expects nothing") || p.Expect < 0 {
		p.Expect = eventstore.Any
	}
	m.propose(t, log, p)
}

func (m *model) claim(t *rapid.T) {
	stream, meta, to := domain.Stream(fmt.Sprintf("%d/claims", m.number)), m.anyMeta(t), rapid.IntRange(1, 20).Draw(t, "to")
	appended, err := m.anyLog(t).Append(t.Context(), eventstore.Proposal{Stream: stream, Claim: rise{to}, Meta: meta})
	if to <= m.highest[stream] {
		var conflict *domain.ConflictError
		if !errors.As(err, &conflict) {
			t.Fatalf("a claim to %d at %d is answered with %v", to, m.highest[stream], err)
		}
		return
	}
	if err != nil || appended.Outcome != to {
		t.Fatalf("a claim to %d comes to %v, %v", to, appended.Outcome, err)
	}
	m.highest[stream] = to
	m.record(t, appended, stream, meta, []domain.Event{counted{to}})
}

func (m *model) erase(t *rapid.T) {
	user := m.anyUser(t)
	if err := eventstore.Erase(t.Context(), m.newer, user, domain.Metadata{}, nil); err != nil {
		t.Fatal(err)
	}
	positions := [][2]int64{}
	for i := range m.events {
		e := &m.events[i]
		hit := false
		if e.Meta.Actor == user && e.Meta.Address != "" {
			e.Meta.Address, hit = "", true
		}
		switch event := e.Event.(type) {
		case account.Created:
			if event.ID == user && event.Profile != (account.Profile{}) {
				e.Event, hit = account.Created{ID: event.ID, Type: event.Type}, true
			}
		case greeted:
			if event.User == user && !m.forgotten[e.Position] {
				e.Event, hit, m.forgotten[e.Position] = greeted{User: user}, true, true
			}
		case called3:
			if event.User == user && event.Names.Names != nil {
				e.Event, hit = called3{User: user, Greeting: event.Greeting}, true
			}
		}
		if hit {
			if n := len(positions); n > 0 && positions[n-1][1] == e.Position-1 {
				positions[n-1][1] = e.Position
			} else {
				positions = append(positions, [2]int64{e.Position, e.Position})
			}
		}
	}
	stream := domain.UserStream(user)
	expect := [][][2]int64{}
	if !m.erased[user] {
		expect = append(expect, [][2]int64{})
	}
	if len(positions) > 0 {
		expect = append(expect, positions)
	}
	m.erased[user] = true
	recorded, err := m.newer.ReadStream(t.Context(), stream, m.version(stream), 10)
	if err != nil || len(recorded) != len(expect) {
		t.Fatalf("an erasure is in the log as %+v, %v, want the positions %v", recorded, err, expect)
	}
	for i, e := range recorded {
		m.record(t, eventstore.Appended{ID: e.ID, At: e.At, Position: e.Position, Version: e.Version, Events: recorded[i : i+1]},
			stream, domain.Metadata{}, []domain.Event{account.Erased{ID: user, Positions: expect[i]}})
	}
}

// compare compares a page with the list, from an index on.
func (m *model) compare(t *rapid.T, log *eventstore.Log, page, want []domain.Recorded) {
	t.Helper()
	for i, e := range page {
		w := want[i]
		if _, ok := w.Event.(called3); ok && log == m.older {
			unknown, ok := e.Event.(domain.Unknown)
			if !ok || unknown.Type != "test.called.v3" {
				t.Fatalf("event %d is read as %+v by a node that cannot know it", e.Position, e.Event)
			}
			w.Event = unknown
		}
		if !reflect.DeepEqual(e, w) {
			t.Fatalf("event %d is read as\n%+v, want\n%+v", w.Position, e, w)
		}
	}
}

func (m *model) readPage(t *rapid.T) {
	log, from, limit := m.anyLog(t), rapid.IntRange(0, len(m.events)).Draw(t, "from"), rapid.IntRange(1, 200).Draw(t, "limit")
	page, err := log.ReadAll(t.Context(), m.base+int64(from), limit)
	if err != nil {
		t.Fatal(err)
	}
	rest := m.events[from:]
	if len(page) > min(limit, len(rest)) || (len(page) == 0 && len(rest) > 0) {
		t.Fatalf("%d events after %d, limit %d, of %d", len(page), from, limit, len(rest))
	}
	if size := sizeOf(page); len(page) < min(limit, len(rest)) && size+sizeOf(rest[len(page):len(page)+1]) < 4<<20 {
		t.Fatalf("a page of %d events and %d bytes ends before its limit of %d", len(page), size, limit)
	}
	m.compare(t, log, page, rest)
}

// sizeOf is about how large events are that are not small.
func sizeOf(events []domain.Recorded) (size int) {
	for _, e := range events {
		if p, ok := e.Event.(padded); ok {
			size += len(p.Text)
		}
	}
	return size
}

func (m *model) readStream(t *rapid.T) {
	log, stream := m.anyLog(t), m.anyStream(t)
	after, limit := rapid.Int64Range(0, m.version(stream)).Draw(t, "after"), rapid.IntRange(1, 10).Draw(t, "limit")
	want := slices.DeleteFunc(slices.Clone(m.events), func(e domain.Recorded) bool { return e.Stream != stream || e.Version <= after })
	want = want[:min(limit, len(want))]
	events, err := log.ReadStream(t.Context(), stream, after, limit)
	if err != nil || len(events) != len(want) {
		t.Fatalf("%d events of %s after %d, want %d (%v)", len(events), stream, after, len(want), err)
	}
	m.compare(t, log, events, want)
}

// readWhole reads everything in each of the ways.
func (m *model) readWhole(t *rapid.T) {
	for _, log := range []*eventstore.Log{m.newer, m.older} {
		read := 0
		for {
			page, err := log.ReadAll(t.Context(), m.base+int64(read), 7)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			m.compare(t, log, page, m.events[read:])
			stored, err := log.ReadStored(t.Context(), m.base+int64(read), len(page))
			if err != nil || len(stored) == 0 {
				t.Fatalf("%d stored events, %v", len(stored), err)
			}
			read += len(page)
		}
		if read != len(m.events) {
			t.Fatalf("%d events are read, want %d", read, len(m.events))
		}
	}
	for i := range m.events {
		stored, ok, err := m.newer.ReadEvent(t.Context(), m.events[i].Position)
		if err != nil || !ok {
			t.Fatalf("event %d: %t, %v", m.events[i].Position, ok, err)
		}
		event, err := stored.Decode(m.newer.Types())
		if err != nil {
			t.Fatal(err)
		}
		m.compare(t, m.newer, []domain.Recorded{event}, m.events[i:i+1])
	}
	if _, ok, err := m.newer.ReadEvent(t.Context(), m.base+int64(len(m.events))+1); ok || err != nil {
		t.Fatalf("there is an event behind the last one, %v", err)
	}
}
