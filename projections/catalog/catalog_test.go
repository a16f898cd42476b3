package catalog_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/catalog"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// world is a log with the catalog beside it, and short words to fill it.
type world struct {
	t    *testing.T
	log  *eventstore.Log
	pool *pgxpool.Pool
	*catalog.Reader
}

func newWorld(t *testing.T) world {
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{catalog.Projection{}}})
	return world{t: t, log: log, pool: pool, Reader: catalog.NewReader(pool)}
}

func (w world) append(stream domain.Stream, events ...domain.Event) error {
	w.t.Helper()
	_, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
	return err
}

func (w world) must(stream domain.Stream, events ...domain.Event) {
	w.t.Helper()
	if err := w.append(stream, events...); err != nil {
		w.t.Fatal(err)
	}
}

func newProject(id domain.ProjectID, key string, public bool) project.Created {
	return project.Created{ID: id, Settings: project.Settings{Key: key, Name: "Project " + key, Public: public}}
}

func newRepository(id domain.RepositoryID, in domain.ProjectID, slug string, public bool) repository.Created {
	return repository.Created{
		ID: id, Project: in, Name: slug, Slug: slug, DefaultBranch: "refs/heads/main",
		Storage: "6d0c4f0e-5b1a-4f6e-9c59-0d8f4c3b2a10", Settings: repository.Settings{Public: public, Forkable: true},
	}
}

func conflict(t *testing.T, err error, field, message string) {
	t.Helper()
	c, ok := errors.AsType[*domain.ConflictError](err)
	if !ok || c.Field != field || c.Message != message {
		t.Errorf("got %v, want conflict %q on %q", err, message, field)
	}
}

func missing(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*domain.NotFoundError](err); !ok {
		t.Errorf("got %v, want not found", err)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("project/1", newProject(1, "PRJ", false))
	w.must("repository/1", newRepository(1, 1, "my-repo", true))

	p, err := w.Project(ctx, "prj")
	want := catalog.Project{ID: 1, Key: "PRJ", Name: "Project PRJ"}
	if err != nil || p != want {
		t.Errorf("project %+v, %v", p, err)
	}
	r, err := w.Repository(ctx, "pRj", "MY-repo")
	if err != nil || r != (catalog.Repository{
		ID: 1, Project: want, Slug: "my-repo", Name: "my-repo", Public: true, Forkable: true, DefaultBranch: "refs/heads/main",
		Storage: "6d0c4f0e-5b1a-4f6e-9c59-0d8f4c3b2a10", HierarchyID: "6d0c4f0e5b1a4f6e9c59",
	}) {
		t.Errorf("repository %+v, %v", r, err)
	}
	if again, err := w.RepositoryByID(ctx, 1); err != nil || again != r {
		t.Errorf("by id %+v, %v", again, err)
	}
	for _, slug := range []string{"my-rep", "my-repo2", "%", "my_repo"} {
		_, err := w.Repository(ctx, "PRJ", slug)
		missing(t, err)
	}
	_, err = w.Project(ctx, "OTHER")
	missing(t, err)
}

func TestConstraints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("project/1", newProject(1, "PRJ", false))
	w.must("project/2", newProject(2, "OTHER", false))
	w.must("repository/1", newRepository(1, 1, "a", false))
	w.must("repository/2", newRepository(2, 2, "a", false))

	conflict(t, w.append("project/3", newProject(3, "PRJ", false)), "key", "This project key is already in use.")
	conflict(t, w.append("project/3", project.Created{ID: 3, Settings: project.Settings{Key: "X", Name: "project prj"}}),
		"name", "This project name is already in use.")
	conflict(t, w.append("project/1", project.Updated{ID: 1, Settings: project.Settings{Key: "OTHER", Name: "N"}}),
		"key", "This project key is already in use.")
	conflict(t, w.append("repository/3", newRepository(3, 1, "a", false)), "name", "This repository URL is already taken.")
	conflict(t, w.append("repository/1", repository.Moved{ID: 1, OldProject: 1, Project: 2}), "name", "This repository URL is already taken.")
	conflict(t, w.append("repository/3", newRepository(3, 99, "b", false)), "project", "The project does not exist any more.")
	conflict(t, w.append("project/1", project.Deleted{ID: 1, Key: "PRJ"}), "", "The project cannot be deleted because it has repositories.")

	if head, err := w.log.Head(t.Context()); head != 4 || err != nil {
		t.Errorf("head %d, %v: a refused event was appended", head, err)
	}
}

func TestLife(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("project/1", newProject(1, "PRJ", false))
	w.must("project/2", newProject(2, "OTHER", false))
	w.must("repository/1", newRepository(1, 1, "a", false))
	w.must("repository/1",
		repository.Renamed{ID: 1, OldName: "a", OldSlug: "a", Name: "B", Slug: "b"},
		repository.Moved{ID: 1, OldProject: 1, Project: 2},
		repository.SettingsChanged{ID: 1, Settings: repository.Settings{Description: "d", Public: true}},
		repository.DefaultBranchChanged{ID: 1, Old: "refs/heads/main", New: "refs/heads/trunk"})
	r, err := w.Repository(ctx, "OTHER", "b")
	if err != nil || r.Name != "B" || r.Description != "d" || !r.Public || r.Forkable || r.DefaultBranch != "refs/heads/trunk" {
		t.Errorf("repository %+v, %v", r, err)
	}
	_, err = w.Repository(ctx, "PRJ", "a")
	missing(t, err)

	w.must("repository/1", repository.Deleted{ID: 1, Project: 2, Slug: "b"})
	_, err = w.Repository(ctx, "OTHER", "b")
	missing(t, err)
	w.must("repository/2", newRepository(2, 2, "b", false))
	conflict(t, w.append("repository/1", repository.Restored{ID: 1, Project: 2, Name: "B", Slug: "b"}), "name", "This repository URL is already taken.")
	w.must("repository/2", repository.Deleted{ID: 2, Project: 2, Slug: "b"})
	w.must("project/2", project.Deleted{ID: 2, Key: "OTHER"})
	conflict(t, w.append("repository/1", repository.Restored{ID: 1, Project: 2, Name: "B", Slug: "b"}), "project", "The project does not exist any more.")

	deleted, more, err := w.DeletedRepositories(ctx, catalog.Page{Limit: 1})
	if err != nil || !more || len(deleted) != 1 || deleted[0].ID != 2 || deleted[0].Project.ID != 2 {
		t.Errorf("deleted %+v, %v, %v", deleted, more, err)
	}
	w.must("repository/1", repository.Restored{ID: 1, Project: 1, Name: "Back", Slug: "back"})
	back, err := w.Repository(ctx, "PRJ", "back")
	if err != nil || back.ID != 1 || back.Storage != r.Storage || back.Name != "Back" || back.DefaultBranch != "refs/heads/trunk" {
		t.Errorf("restored %+v, %v", back, err)
	}
	_, err = w.DeletedRepository(ctx, 1)
	missing(t, err)
}

func TestLists(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("project/1", newProject(1, "OPEN", true))
	w.must("project/2", newProject(2, "CLOSED", false))
	w.must("project/3", newProject(3, "HIDDEN", false))
	w.must("repository/1", newRepository(1, 1, "one", false))
	w.must("repository/2", newRepository(2, 2, "two", false))
	w.must("repository/3", newRepository(3, 2, "three", true))
	w.must("repository/4", newRepository(4, 3, "four_100%", false))
	const reader, writer = domain.UserID(5), domain.UserID(6)
	grant := func(user domain.UserID, level string, target int64, rank int) {
		t.Helper()
		// The rows of the access projection, which this package only reads.
		_, err := w.pool.Exec(ctx, `insert into users (id, name, slug, display_name, email, type) values ($1, $2, $2, '', '', 'NORMAL') on conflict do nothing`,
			user, string(domain.UserStream(user)))
		if err != nil {
			t.Fatal(err)
		}
		if user == writer { // by a group
			for _, statement := range []string{
				`insert into groups (id, name) values ($1, 'writers')`,
				`insert into memberships (user_id, group_id) values ($1, $1)`,
			} {
				if _, err := w.pool.Exec(ctx, statement, user); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.pool.Exec(ctx, `insert into group_grants (group_id, level, target, permission, rank) values ($1, $2, $3, '', $4)`, user, level, target, rank); err != nil {
				t.Fatal(err)
			}
			return
		}
		if _, err := w.pool.Exec(ctx, `insert into grants (user_id, level, target, permission, rank) values ($1, $2, $3, '', $4)`, user, level, target, rank); err != nil {
			t.Fatal(err)
		}
	}
	grant(reader, "project", 2, 1)
	grant(writer, "repository", 4, 2)

	repositories := func(f catalog.RepositoryFilter, page catalog.Page) ([]string, bool) {
		t.Helper()
		list, more, err := w.Repositories(ctx, f, page)
		if err != nil {
			t.Fatal(err)
		}
		var slugs []string
		for _, r := range list {
			slugs = append(slugs, r.Slug)
		}
		return slugs, more
	}
	anybody, all := catalog.Viewer{}, catalog.Viewer{All: true}
	for _, tt := range []struct {
		name   string
		filter catalog.RepositoryFilter
		want   []string
	}{
		{"anonymous", catalog.RepositoryFilter{Viewer: anybody, Rank: 1}, []string{"one", "three"}},
		{"administrator", catalog.RepositoryFilter{Viewer: all, Rank: 3}, []string{"four_100%", "one", "three", "two"}},
		{"by project", catalog.RepositoryFilter{Viewer: catalog.Viewer{User: reader}, Rank: 1}, []string{"one", "three", "two"}},
		{"by repository", catalog.RepositoryFilter{Viewer: catalog.Viewer{User: writer}, Rank: 1}, []string{"four_100%", "one", "three"}},
		{"to write", catalog.RepositoryFilter{Viewer: catalog.Viewer{User: writer}, Rank: 2}, []string{"four_100%"}},
		{"to administer", catalog.RepositoryFilter{Viewer: catalog.Viewer{User: writer}, Rank: 3}, nil},
		{"public", catalog.RepositoryFilter{Viewer: all, Rank: 1, Visibility: catalog.Public}, []string{"one", "three"}},
		{"private", catalog.RepositoryFilter{Viewer: all, Rank: 1, Visibility: catalog.Private}, []string{"four_100%", "two"}},
		{"by name", catalog.RepositoryFilter{Viewer: all, Rank: 1, Name: "T"}, []string{"three", "two"}},
		{"by name with wildcards", catalog.RepositoryFilter{Viewer: all, Rank: 1, Name: "_100%"}, []string{"four_100%"}},
		{"by name with quotes", catalog.RepositoryFilter{Viewer: all, Rank: 1, Name: "'; drop table projects; --"}, nil},
		{"by key", catalog.RepositoryFilter{Viewer: all, Rank: 1, ProjectKey: "closed"}, []string{"three", "two"}},
		{"by part of a key", catalog.RepositoryFilter{Viewer: all, Rank: 1, ProjectKey: "clos"}, nil},
		{"by project name", catalog.RepositoryFilter{Viewer: all, Rank: 1, ProjectName: "hidd"}, []string{"four_100%"}},
		{"of a project", catalog.RepositoryFilter{Viewer: all, Rank: 1, Project: 2}, []string{"three", "two"}},
	} {
		if got, more := repositories(tt.filter, catalog.Page{Limit: 10}); !slices.Equal(got, tt.want) || more {
			t.Errorf("%s: %q, more %v, want %q", tt.name, got, more, tt.want)
		}
	}
	if got, more := repositories(catalog.RepositoryFilter{Viewer: all, Rank: 1}, catalog.Page{Start: 1, Limit: 2}); !slices.Equal(got, []string{"one", "three"}) || !more {
		t.Errorf("page: %q, more %v", got, more)
	}

	for _, tt := range []struct {
		name   string
		filter catalog.ProjectFilter
		want   []string
	}{
		{"anonymous sees the project of a public repository", catalog.ProjectFilter{}, []string{"CLOSED", "OPEN"}},
		{"anonymous reads", catalog.ProjectFilter{Rank: 1}, []string{"OPEN"}},
		{"reader", catalog.ProjectFilter{Viewer: catalog.Viewer{User: reader}, Rank: 1}, []string{"CLOSED", "OPEN"}},
		{"writer of a repository", catalog.ProjectFilter{Viewer: catalog.Viewer{User: writer}}, []string{"CLOSED", "HIDDEN", "OPEN"}},
		{"writer of a repository is none of the project", catalog.ProjectFilter{Viewer: catalog.Viewer{User: writer}, Rank: 2}, nil},
		{"administrator by name", catalog.ProjectFilter{Viewer: all, Rank: 3, Name: "hid"}, []string{"HIDDEN"}},
	} {
		list, more, err := w.Projects(ctx, tt.filter, catalog.Page{Limit: 10})
		var keys []string
		for _, p := range list {
			keys = append(keys, p.Key)
		}
		if err != nil || more || !slices.Equal(keys, tt.want) {
			t.Errorf("%s: %q, %v, want %q", tt.name, keys, err, tt.want)
		}
	}

	for viewer, want := range map[catalog.Viewer]bool{anybody: false, all: true, {User: writer}: true, {User: reader}: false} {
		if got, err := w.ShowsProject(ctx, viewer, 3); got != want || err != nil {
			t.Errorf("shows project to %+v: %v, %v", viewer, got, err)
		}
	}
	projects, repos, err := w.Readable(ctx, catalog.Viewer{User: writer}, []domain.ProjectID{1, 2, 3, 9}, []domain.RepositoryID{1, 2, 3, 4, 9})
	if err != nil || len(projects) != 1 || !projects[1] || len(repos) != 3 || repos[2] {
		t.Errorf("readable %v, %v, %v", projects, repos, err)
	}
}
