package group_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/group"
)

var created = group.Created{ID: 3, Name: "Developers"}

func users(ids ...domain.UserID) group.Members { return group.Members{Users: ids} }

func TestDecide(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given []domain.Event
		when  group.Command
		then  []domain.Event
		fails any // pointer to an error type
	}{
		{name: "create trims the name", when: group.Create{ID: 3, Name: " Developers "}, then: []domain.Event{created}},
		{name: "create without name", when: group.Create{ID: 3, Name: " "}, fails: new(*domain.InvalidError)},
		{name: "create with a long name", when: group.Create{ID: 3, Name: strings.Repeat("x", 256)}, fails: new(*domain.InvalidError)},
		{name: "create with bidi override", when: group.Create{ID: 3, Name: "a\u202eb"}, fails: new(*domain.InvalidError)},
		{name: "create twice", given: []domain.Event{created}, when: group.Create{ID: 3, Name: "x"}, fails: new(*domain.ConflictError)},
		{
			name: "rename", given: []domain.Event{created}, when: group.Rename{Name: "Devs"},
			then: []domain.Event{group.Renamed{ID: 3, Old: "Developers", Name: "Devs"}},
		},
		{name: "rename to the same", given: []domain.Event{created}, when: group.Rename{Name: "Developers "}},
		{
			name: "add names each once, and not those who are in", given: []domain.Event{created, group.MembersAdded{ID: 3, Members: users(2)}},
			when: group.AddMembers{Users: []domain.UserID{5, 2, 1, 5}, Groups: []domain.GroupID{4}},
			then: []domain.Event{group.MembersAdded{ID: 3, Members: group.Members{Users: []domain.UserID{1, 5}, Groups: []domain.GroupID{4}}}},
		},
		{name: "add to itself", given: []domain.Event{created}, when: group.AddMembers{Groups: []domain.GroupID{3}}, fails: new(*domain.ConflictError)},
		{name: "add too many at once", given: []domain.Event{created}, when: group.AddMembers{Users: make([]domain.UserID, 1001)}, fails: new(*domain.InvalidError)},
		{name: "remove who is not in", given: []domain.Event{created}, when: group.RemoveMembers{Users: []domain.UserID{1}}},
		{
			name: "remove", given: []domain.Event{created, group.MembersAdded{ID: 3, Members: users(1, 2)}},
			when: group.RemoveMembers{Users: []domain.UserID{2, 7}}, then: []domain.Event{group.MembersRemoved{ID: 3, Members: users(2)}},
		},
		{name: "delete", given: []domain.Event{created}, when: group.Delete{}, then: []domain.Event{group.Deleted{ID: 3, Name: "Developers"}}},
		{name: "after the end", given: []domain.Event{created, group.Deleted{ID: 3}}, when: group.AddMembers{}, fails: new(*domain.NotFoundError)},
		{name: "of nothing", when: group.Delete{}, fails: new(*domain.NotFoundError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var state group.State
			for _, event := range tt.given {
				state = group.Evolve(state, event)
			}
			events, err := group.Decide(state, tt.when)
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

func TestLimits(t *testing.T) {
	state := group.Evolve(group.State{}, created)
	next := domain.UserID(1)
	for range group.MaxUsers / group.MaxAtOnce {
		ids := make([]domain.UserID, group.MaxAtOnce)
		for i := range ids {
			ids[i], next = next, next+1
		}
		state = group.Evolve(state, group.MembersAdded{ID: 3, Members: users(ids...)})
	}
	if _, err := group.Decide(state, group.AddMembers{Users: []domain.UserID{next}}); err == nil {
		t.Error("one user too many")
	}
	ids := make([]domain.GroupID, group.MaxGroups+1)
	for i := range ids {
		ids[i] = domain.GroupID(10 + i)
	}
	if _, err := group.Decide(state, group.AddMembers{Groups: ids}); err == nil {
		t.Error("one group too many")
	}
}

// Whatever is asked, events change something, members are sorted and once, and whoever was
// added is in until removed.
func TestMembersAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := group.Evolve(group.State{}, created)
		model := map[domain.UserID]bool{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			ids := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) domain.UserID { return domain.UserID(rapid.IntRange(1, 6).Draw(t, "user")) }), 0, 5).Draw(t, "ids")
			add := rapid.Bool().Draw(t, "add")
			command := group.Command(group.RemoveMembers{Users: ids})
			if add {
				command = group.AddMembers{Users: ids}
			}
			events, err := group.Decide(state, command)
			if err != nil {
				t.Fatal(err)
			}
			for _, event := range events {
				members := named(event)
				if len(members) == 0 || !slices.IsSorted(members) || len(slices.Compact(slices.Clone(members))) != len(members) {
					t.Fatalf("%+v", event)
				}
				state = group.Evolve(state, event)
			}
			for _, id := range ids {
				if model[id] = add; !add {
					delete(model, id)
				}
			}
			if !reflect.DeepEqual(state.Users, model) {
				t.Fatalf("%v, want %v", state.Users, model)
			}
		}
	})
}

func named(event domain.Event) []domain.UserID {
	switch e := event.(type) {
	case group.MembersAdded:
		return e.Users
	case group.MembersRemoved:
		return e.Users
	}
	return nil
}
