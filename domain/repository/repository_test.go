package repository_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

var (
	created = repository.Created{
		ID: 3, Storage: "6d0c4f0e-0000-4000-8000-000000000003", Project: 7, Name: "My Repo", Slug: "my-repo",
		DefaultBranch: "refs/heads/main", Settings: repository.Settings{Forkable: true},
	}
	deleted = repository.Deleted{ID: 3, Project: 7, Slug: "my-repo"}
)

func TestDecide(t *testing.T) {
	create := func(change func(*repository.Create)) repository.Create {
		c := repository.Create{ID: 3, Storage: created.Storage, Project: 7, Name: "My Repo", Settings: created.Settings}
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name  string
		given []domain.Event
		when  repository.Command
		then  []domain.Event
		fails any
	}{
		{name: "create", when: create(func(*repository.Create) {}), then: []domain.Event{created}},
		{name: "create twice", given: []domain.Event{created}, when: create(func(*repository.Create) {}), fails: new(*domain.ConflictError)},
		{name: "create with bad branch", when: create(func(c *repository.Create) { c.DefaultBranch = "a..b" }), fails: new(*domain.InvalidError)},
		{name: "create with a tag as branch", when: create(func(c *repository.Create) { c.DefaultBranch = "refs/tags/v1" }), fails: new(*domain.InvalidError)},
		{name: "create with NUL", when: create(func(c *repository.Create) { c.Description = "\x00" }), fails: new(*domain.InvalidError)},
		{
			name: "update everything", given: []domain.Event{created},
			when: repository.Update{
				Name: new("Other"), Project: new(domain.ProjectID(8)), Description: new("d"), Public: new(true),
				Forkable: new(false), DefaultBranch: new("trunk"),
			},
			then: []domain.Event{
				repository.Renamed{ID: 3, OldName: "My Repo", OldSlug: "my-repo", Name: "Other", Slug: "other"},
				repository.Moved{ID: 3, OldProject: 7, Project: 8},
				repository.SettingsChanged{ID: 3, Old: created.Settings, Settings: repository.Settings{Description: "d", Public: true}},
				repository.DefaultBranchChanged{ID: 3, Old: "refs/heads/main", New: "refs/heads/trunk"},
			},
		},
		{
			name: "update to the same", given: []domain.Event{created},
			when: repository.Update{Name: new("My Repo"), Project: new(domain.ProjectID(7)), Forkable: new(true), DefaultBranch: new("main")},
		},
		{name: "rename to a bad name", given: []domain.Event{created}, when: repository.Update{Name: new("x.git")}, fails: new(*domain.InvalidError)},
		{name: "update of a deleted one", given: []domain.Event{created, deleted}, when: repository.Update{Name: new("x")}, fails: new(*domain.NotFoundError)},
		{name: "delete", given: []domain.Event{created}, when: repository.Delete{}, then: []domain.Event{deleted}},
		{name: "delete twice", given: []domain.Event{created, deleted}, when: repository.Delete{}, fails: new(*domain.NotFoundError)},
		{
			name: "restore", given: []domain.Event{created, deleted}, when: repository.Restore{},
			then: []domain.Event{repository.Restored{ID: 3, Project: 7, Name: "My Repo", Slug: "my-repo"}},
		},
		{
			name: "restore elsewhere", given: []domain.Event{created, deleted}, when: repository.Restore{Name: "Again", Project: 9},
			then: []domain.Event{repository.Restored{ID: 3, Project: 9, Name: "Again", Slug: "again"}},
		},
		{name: "restore what is not deleted", given: []domain.Event{created}, when: repository.Restore{}, fails: new(*domain.NotFoundError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var state repository.State
			for _, event := range tt.given {
				state = repository.Evolve(state, event)
			}
			events, err := repository.Decide(state, tt.when)
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

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"a": "a", "My Repo": "my-repo", " Two  spaces ": "two-spaces", "v1.2_x-y": "v1.2_x-y", "9": "9", "api-gateway": "api-gateway",
		strings.Repeat("a", 128): strings.Repeat("a", 128),
	} {
		if got, err := repository.Slug(name); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{
		"", " ", "..", ".git", "a/../b", "a/b", "con", "CON.txt", "nul", "x.git", "X.GIT", "x.wiki", "x.lock", "api", "-", "-h", "_a",
		"a..b", "a.", strings.Repeat("a", 129), strings.Repeat("a", 256), "а", "a\x00", "a\nb", "a\tb", "é", "a%2fb", "a\\b", "a:b",
	} {
		if got, err := repository.Slug(name); err == nil {
			t.Errorf("%q is accepted as %q", name, got)
		}
	}
}

func TestSlugIsSafe(t *testing.T) {
	safe := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9 ._-]{1,140}`)).Draw(t, "name")
		slug, err := repository.Slug(name)
		if err != nil {
			return
		}
		if !safe.MatchString(slug) || strings.Contains(slug, "..") || strings.HasSuffix(slug, ".git") {
			t.Fatalf("slug %q of %q", slug, name)
		}
		if again, err := repository.Slug(slug); err != nil || again != slug {
			t.Fatalf("slug of slug %q is %q, %v", slug, again, err)
		}
	})
}

// Id and storage of a repository never change, whatever is asked of it.
func TestIdentityNeverChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := repository.Evolve(repository.State{}, created)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			command := rapid.OneOf(
				rapid.Just(repository.Command(repository.Delete{})),
				rapid.Just(repository.Command(repository.Create{ID: 4, Name: "b", Storage: "x"})),
				rapid.Just(repository.Command(repository.Restore{})),
				rapid.Custom(func(t *rapid.T) repository.Command {
					return repository.Update{
						Name: new(rapid.StringMatching(`[a-c. ]{1,3}`).Draw(t, "name")), Public: new(rapid.Bool().Draw(t, "public")),
						DefaultBranch: new(rapid.StringMatching(`[a-c./]{1,3}`).Draw(t, "branch")),
					}
				}),
			).Draw(t, "command")
			before := state
			events, err := repository.Decide(state, command)
			for _, event := range events {
				state = repository.Evolve(state, event)
			}
			if err == nil && len(events) > 0 && state == before {
				t.Fatalf("%+v changes nothing", events)
			}
			if state.ID != created.ID || state.Storage != created.Storage {
				t.Fatalf("identity is now %+v", state)
			}
			if slug, err := repository.Slug(state.Name); err != nil || slug != state.Slug || git.CheckRefName(state.DefaultBranch) != nil {
				t.Fatalf("invalid state %+v", state)
			}
		}
	})
}
