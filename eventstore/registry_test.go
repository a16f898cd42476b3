package eventstore_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

// A type in three versions: first a name, then name and greeting, then a list of names.
type (
	called1 struct {
		User domain.UserID `json:"user"`
		Name called1Name   `json:"-"`
	}
	called1Name struct {
		Name string `json:"name"`
	}
	called2 struct {
		User     domain.UserID `json:"user"`
		Greeting string        `json:"greeting"`
		Name     called1Name   `json:"-"`
	}
	called3 struct {
		User     domain.UserID `json:"user"`
		Greeting string        `json:"greeting"`
		Names    called3Names  `json:"-"`
	}
	called3Names struct {
		Names []string `json:"names"`
	}
)

func (called1) EventType() string        { return "test.called.v1" }
func (c called1) Subject() domain.UserID { return c.User }
func (c *called1) PersonalData() any     { return &c.Name }
func (called2) EventType() string        { return "test.called.v2" }
func (c called2) Subject() domain.UserID { return c.User }
func (c *called2) PersonalData() any     { return &c.Name }
func (called3) EventType() string        { return "test.called.v3" }
func (c called3) Subject() domain.UserID { return c.User }
func (c *called3) PersonalData() any     { return &c.Names }

func callings() *eventstore.Registry {
	r := eventstore.NewRegistry()
	eventstore.Register[called3](r)
	eventstore.RegisterOlder(r,
		func(c called2) called3 {
			return called3{User: c.User, Greeting: c.Greeting, Names: called3Names{[]string{c.Name.Name}}}
		},
		func(c called3) called2 {
			return called2{User: c.User, Greeting: c.Greeting, Name: called1Name{c.Names.Names[0]}}
		})
	eventstore.RegisterOlder(r,
		func(c called1) called2 { return called2{User: c.User, Greeting: "Hello", Name: c.Name} },
		func(c called2) called1 { return called1{User: c.User, Name: c.Name} })
	return r
}

func TestOldVersionsAreReadAsTheNewest(t *testing.T) {
	t.Parallel()
	types := callings()
	for _, c := range []struct {
		name, body, personal string
		want                 called3
	}{
		{"test.called.v1", `{"user":7}`, `{"name":"Ada"}`, called3{7, "Hello", called3Names{[]string{"Ada"}}}},
		{"test.called.v2", `{"greeting":"Hi","user":7}`, `{"name":"Ada"}`, called3{7, "Hi", called3Names{[]string{"Ada"}}}},
		{"test.called.v3", `{"greeting":"Hi","user":7}`, `{"names":["A","B"]}`, called3{7, "Hi", called3Names{[]string{"A", "B"}}}},
	} {
		event, err := types.Decode(c.name, []byte(c.body), []byte(c.personal))
		if err != nil || !reflect.DeepEqual(event, c.want) {
			t.Errorf("%s is read as %+v, %v, want %+v", c.name, event, err, c.want)
		}
		if newest := types.Newest(c.name); newest != "test.called.v3" {
			t.Errorf("the newest version of %s is %s", c.name, newest)
		}
	}
	if name := types.Newest("test.unheard.v1"); name != "test.unheard.v1" {
		t.Errorf("the newest version of an unknown type is %q", name)
	}
}

// Which version is written depends on what may be; everybody, also whoever appended it,
// works with what the log says.
func TestOlderVersionIsWrittenUntilTheNewestMayBe(t *testing.T) {
	t.Parallel()
	types := callings()
	log, _ := eventstoretest.Log(t, eventstore.Options{Types: types})
	event := called3{User: 7, Greeting: "Ahoy", Names: called3Names{[]string{"Ada", "Countess"}}}
	later := time.Now().Add(time.Hour)
	for i, c := range []struct {
		permitted []string
		until     time.Time
		stored    string
		read      called3
	}{
		{[]string{"test.called.v1"}, later, "test.called.v1", called3{7, "Hello", called3Names{[]string{"Ada"}}}},
		{[]string{"test.called.v1", "test.called.v2"}, later, "test.called.v2", called3{7, "Ahoy", called3Names{[]string{"Ada"}}}},
		{types.Names(), later, "test.called.v3", event},
		{types.Names(), time.Now(), "test.called.v1", called3{7, "Hello", called3Names{[]string{"Ada"}}}}, // not known any more
	} {
		types.Permit(c.permitted, c.until)
		if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Expect: eventstore.Any, Events: []domain.Event{event}}); err != nil {
			t.Fatal(err)
		}
		stored, _, err := log.ReadEvent(t.Context(), int64(i)+1)
		if err != nil || stored.Type != c.stored {
			t.Errorf("with %v it is stored as %q, want %q (%v)", c.permitted, stored.Type, c.stored, err)
		}
		read, err := stored.Decode(types)
		if err != nil || !reflect.DeepEqual(read.Event, c.read) {
			t.Errorf("with %v it is read as %+v, %v, want %+v", c.permitted, read.Event, err, c.read)
		}
	}
	types.Permit([]string{"test.other.v1"}, later)
	var notYet *eventstore.NotYetReadError
	var unavailable *domain.UnavailableError
	_, err := log.Append(t.Context(), eventstore.Proposal{Stream: "s", Expect: eventstore.Any, Events: []domain.Event{event}})
	if !errors.As(err, &notYet) || !errors.As(err, &unavailable) {
		t.Errorf("a type that may not be written is answered with %v", err)
	}
}

// An event of a type that is not registered is read as Unknown; only who decides on its
// stream stops.
func TestUnknownType(t *testing.T) {
	t.Parallel()
	newer, pool := eventstoretest.Log(t, eventstore.Options{Types: callings()})
	event := called3{User: 7, Greeting: "Hi", Names: called3Names{[]string{"Ada"}}}
	if _, err := newer.Append(t.Context(), eventstore.Proposal{Stream: "a", Events: []domain.Event{event}}); err != nil {
		t.Fatal(err)
	}
	older, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types()})
	if err != nil {
		t.Fatal(err)
	}
	defer older.Close()
	all, err := older.ReadAll(t.Context(), 0, 10)
	if err != nil || len(all) != 1 {
		t.Fatalf("read %+v, %v", all, err)
	}
	want := domain.Unknown{Type: "test.called.v3", Body: []byte(`{"greeting":"Hi","user":7}`)}
	if !reflect.DeepEqual(all[0].Event, want) {
		t.Errorf("read as %+v, want %+v", all[0].Event, want)
	}
	count := func(n int, _ domain.Event) int { return n + 1 }
	decide := func(int) ([]domain.Event, error) { return []domain.Event{counted{1}}, nil }
	_, _, err = eventstore.Execute(t.Context(), older, "a", count, domain.Metadata{}, decide)
	var unknown *eventstore.UnknownTypeError
	if !errors.As(err, &unknown) || unknown.Position != 1 || unknown.Type != "test.called.v3" {
		t.Errorf("a command on its stream is answered with %v", err)
	}
	tail := eventstore.Tail{Stream: "a"}
	if err := older.ReadTails(t.Context(), pool, &tail); !errors.As(err, &unknown) || unknown.Position != 1 {
		t.Errorf("the tail of its stream is answered with %v", err)
	}
	if n, _, err := eventstore.Execute(t.Context(), older, "b", count, domain.Metadata{}, decide); err != nil || n != 1 {
		t.Errorf("a command on another stream: %d, %v", n, err)
	}
	if _, err := older.Append(t.Context(), eventstore.Proposal{Stream: "a", Expect: 1, Events: []domain.Event{want}}); !errors.As(err, &unknown) {
		t.Errorf("appending an unknown event is answered with %v", err)
	}
}

func TestRegistryRefusesMistakes(t *testing.T) {
	t.Parallel()
	for name, mistake := range map[string]func(){
		"twice": func() { eventstore.Register[counted](types()) },
		"no newer": func() {
			eventstore.RegisterOlder(eventstore.NewRegistry(), func(called1) called2 { return called2{} }, nil)
		},
		"two older": func() {
			r := callings()
			eventstore.RegisterOlder(r, func(counted) called3 { return called3{} }, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("registered")
				}
			}()
			mistake()
		})
	}
}
