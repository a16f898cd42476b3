package project_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/project"
)

var created = project.Created{ID: 7, Settings: project.Settings{Key: "PRJ", Name: "Project"}}

func TestDecide(t *testing.T) {
	settings := func(key, name string) project.Settings { return project.Settings{Key: key, Name: name} }
	for _, tt := range []struct {
		name  string
		given []domain.Event
		when  project.Command
		then  []domain.Event
		fails any // pointer to an error type
	}{
		{
			name: "create stores the key in upper case and trims the name",
			when: project.Create{ID: 7, Settings: settings("prj", " Project ")},
			then: []domain.Event{created},
		},
		{name: "create twice", given: []domain.Event{created}, when: project.Create{ID: 8, Settings: settings("X", "X")}, fails: new(*domain.ConflictError)},
		{name: "create without name", when: project.Create{ID: 7, Settings: settings("PRJ", " ")}, fails: new(*domain.InvalidError)},
		{name: "create with NUL in the name", when: project.Create{ID: 7, Settings: settings("PRJ", "a\x00b")}, fails: new(*domain.InvalidError)},
		{name: "create with bidi override in the name", when: project.Create{ID: 7, Settings: settings("PRJ", "a\u202eb")}, fails: new(*domain.InvalidError)},
		{
			name: "update what is given", given: []domain.Event{created},
			when: project.Update{Description: new("Text\nmore"), Public: new(true)},
			then: []domain.Event{project.Updated{
				ID: 7, Old: created.Settings,
				Settings: project.Settings{Key: "PRJ", Name: "Project", Description: "Text\nmore", Public: true},
			}},
		},
		{name: "update to the same", given: []domain.Event{created}, when: project.Update{Key: new("prj"), Name: new("Project")}},
		{name: "update to a bad key", given: []domain.Event{created}, when: project.Update{Key: new("1")}, fails: new(*domain.InvalidError)},
		{name: "update of nothing", when: project.Update{}, fails: new(*domain.NotFoundError)},
		{name: "delete", given: []domain.Event{created}, when: project.Delete{}, then: []domain.Event{project.Deleted{ID: 7, Key: "PRJ"}}},
		{name: "delete twice", given: []domain.Event{created, project.Deleted{ID: 7, Key: "PRJ"}}, when: project.Delete{}, fails: new(*domain.NotFoundError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var state project.State
			for _, event := range tt.given {
				state = project.Evolve(state, event)
			}
			events, err := project.Decide(state, tt.when)
			if tt.fails != nil {
				if !errors.As(err, tt.fails) {
					t.Fatalf("error %v, want %T", err, tt.fails)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(events, tt.then) {
				t.Fatalf("got %+v, %v, want %+v", events, err, tt.then)
			}
		})
	}
}

func TestCheckKey(t *testing.T) {
	for _, key := range []string{"A", "PRJ", "a1", "My-Key_2", strings.Repeat("K", 128)} {
		if err := project.CheckKey(key); err != nil {
			t.Errorf("%q: %v", key, err)
		}
	}
	for _, key := range []string{
		"", "1A", "-", "_A", "A B", "A.B", "A/B", "..", "~user", ".git", "con", "API", "É", "ПРО", "A\x00", "A\n",
		strings.Repeat("K", 129), strings.Repeat("K", 256),
	} {
		if err := project.CheckKey(key); err == nil {
			t.Errorf("%q is accepted", key)
		}
	}
}

// Whatever is asked, an accepted project's key satisfies the rule in upper case,
// and an update that succeeds is what Evolve shows afterwards.
func TestStateStaysValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var state project.State
		key := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_.~-]{0,5}`), rapid.String())
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			command := rapid.OneOf(
				rapid.Just(project.Command(project.Delete{})),
				rapid.Custom(func(t *rapid.T) project.Command {
					return project.Create{ID: 1, Settings: project.Settings{Key: key.Draw(t, "key"), Name: rapid.String().Draw(t, "name")}}
				}),
				rapid.Custom(func(t *rapid.T) project.Command {
					return project.Update{Key: new(key.Draw(t, "key")), Name: new(rapid.String().Draw(t, "name"))}
				}),
			).Draw(t, "command")
			events, err := project.Decide(state, command)
			if err != nil && len(events) > 0 {
				t.Fatal("events beside an error")
			}
			before := state
			for _, event := range events {
				state = project.Evolve(state, event)
			}
			if len(events) > 0 && state == before {
				t.Fatalf("%+v changes nothing", events)
			}
			if state.Exists() && (project.CheckKey(state.Key) != nil || state.Key != strings.ToUpper(state.Key) || state.Name == "") {
				t.Fatalf("invalid state %+v", state)
			}
			if before.Deleted && state.Exists() {
				t.Fatal("a deleted project came back")
			}
		}
	})
}
