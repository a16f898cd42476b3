package projections_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/git"
	domainlfs "github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/gpgkeys"
	"github.com/annal-git/annal/projections/lfs"
	"github.com/annal-git/annal/projections/refhistory"
	"github.com/annal-git/annal/projections/refs"
	"github.com/annal-git/annal/projections/reposearch"
	"github.com/annal-git/annal/projections/rules"
)

var inline = []eventstore.Inline{catalog.Projection{}, access.Projection{}, rules.Projection{}, gpgkeys.Projection{}, lfs.Projection{}}

var followers = []projections.Follower{refs.Projection{}, refhistory.Projection{}, activity.Projection{}, reposearch.Projection{}}

func all() (list []projections.Projection) {
	for _, p := range inline {
		list = append(list, p)
	}
	for _, p := range followers {
		list = append(list, p)
	}
	return list
}

func builder(log *eventstore.Log, pool *pgxpool.Pool) projections.Builder {
	return projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends}
}

// world is a log with something of everything.
type world struct {
	t    *testing.T
	log  *eventstore.Log
	pool *pgxpool.Pool
	n    byte
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: inline})
	w := &world{t: t, log: log, pool: pool}
	w.append(domain.UserStream(1), account.Created{ID: 1, Type: account.Normal, Profile: account.Profile{Name: "u", Slug: "u", DisplayName: "U"}})
	w.append(domain.ProjectStream(1), project.Created{ID: 1, Settings: project.Settings{Key: "P", Name: "P"}})
	w.append(domain.ProjectStream(2), project.Created{ID: 2, Settings: project.Settings{Key: "Q", Name: "Q"}})
	for id := range domain.RepositoryID(6) {
		name := fmt.Sprint("r", id+1)
		w.append(domain.RepositoryStream(id+1), repository.Created{ID: id + 1, Storage: name, Project: 1, Name: name, Slug: name, DefaultBranch: "refs/heads/main"})
	}
	w.append(domain.RepositoryStream(1), repository.Renamed{ID: 1, Name: "renamed", Slug: "renamed"})
	w.append(domain.RepositoryStream(2), repository.Moved{ID: 2, Project: 2})
	w.append(domain.RepositoryStream(3), repository.Deleted{ID: 3, Project: 1, Slug: "r3"})
	w.append(domain.RepositoryStream(4), repository.Deleted{ID: 4, Project: 1, Slug: "r4"})
	w.append(domain.RepositoryStream(4), repository.Restored{ID: 4, Project: 2, Name: "back", Slug: "back"})
	w.append(domain.RepositoryStream(5), repository.DefaultBranchChanged{ID: 5, Old: "refs/heads/main", New: "refs/heads/b1"})
	w.append(domainlfs.Stream(1), domainlfs.ObjectAdded{Repository: 1, OID: domainlfs.OID{1}, Size: 9})
	w.append(domainlfs.Stream(1), domainlfs.Locked{Lock: domainlfs.Lock{ID: 1, Repository: 1, Path: "a", Owner: 1}})
	for i := range 40 {
		w.push(domain.RepositoryID(i%6+1), fmt.Sprint("refs/heads/b", i%5), i%7 == 6)
	}
	return w
}

func (w *world) append(stream domain.Stream, event domain.Event) {
	w.t.Helper()
	if _, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: []domain.Event{event}}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) push(id domain.RepositoryID, ref string, remove bool) {
	w.t.Helper()
	w.n++
	update := git.RefUpdate{Name: ref, New: git.ObjectID{w.n, 1}, Forced: w.n%3 == 0}
	if remove {
		update.New = git.ZeroID
	}
	w.append(domain.RepositoryStream(id), repository.RefsUpdated{
		Updates: []git.RefUpdate{update}, Pack: &git.Pack{ID: git.ObjectID{w.n / 2, 2}, Objects: 3, Bytes: 99},
	})
}

// follow brings every follower to the end of the log.
func (w *world) follow() {
	w.t.Helper()
	for _, f := range followers {
		var term int64
		if err := w.pool.QueryRow(w.t.Context(), `select coalesce(max(term), 0) + 1 from runners`).Scan(&term); err != nil {
			w.t.Fatal(err)
		}
		conn, cursor := openCursor(w.t, w.pool, w.log, f, term)
		for {
			events, err := w.log.ReadAll(w.t.Context(), cursor.Position(), 1000)
			if err != nil {
				w.t.Fatal(err)
			}
			if len(events) == 0 {
				break
			}
			if err := cursor.Apply(w.t.Context(), events); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := cursor.Close(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		_ = conn.Close(w.t.Context())
	}
}

func (w *world) verify(p projections.Projection) []projections.Difference {
	w.t.Helper()
	differences, _, err := builder(w.log, w.pool).Verify(w.t.Context(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	return differences
}

// form describes the tables, keys, indexes, comments and rights of a schema.
func (w *world) form(schema string) string {
	w.t.Helper()
	var text string
	err := w.pool.QueryRow(w.t.Context(), `
		select string_agg(line, e'\n' order by line) from (
			select format('%s %s %s %s', c.relname, c.relkind, c.reloptions, c.relacl) as line from pg_class c where c.relnamespace = $1::text::regnamespace
			union all
			select format('%s.%s %s %s %s %s', a.attrelid::regclass, a.attname, a.atttypid::regtype, a.attnotnull, a.attcollation::regcollation,
				pg_get_expr(d.adbin, d.adrelid))
			from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
			where c.relnamespace = $1::text::regnamespace and a.attnum > 0 and not a.attisdropped and c.relkind = 'r'
			union all
			select format('%s %s', conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace = $1::text::regnamespace
			union all
			select indexdef from pg_indexes where schemaname = $1::text
			union all
			select format('%s %s %s', c.relname, a.attname, d.description) from pg_description d join pg_class c on c.oid = d.objoid
			left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid
			where c.relnamespace = $1::text::regnamespace and d.classoid = 'pg_class'::regclass) lines`, schema).Scan(&text)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func sameForm(t *testing.T, schema, before, after string) {
	t.Helper()
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			t.Errorf("%s is without: %s", schema, line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			t.Errorf("%s has become: %s", schema, line)
		}
	}
}

func (w *world) leftovers() (n int) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), `select count(*) from pg_namespace where nspname ~ '_(rebuild|old)$'`).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestRebuiltEqualsLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	for _, p := range all() {
		if d := w.verify(p); len(d) > 0 {
			t.Errorf("%s differs from what the log says: %+v", p.Name(), d)
		}
		before := w.form(p.Name())
		for _, table := range p.Tables() { // so that the rows must come from the log
			if p.Name() != "catalog" && p.Name() != "access" {
				if _, err := w.pool.Exec(t.Context(), `delete from `+p.Name()+"."+table); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := builder(w.log, w.pool).Rebuild(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if d := w.verify(p); len(d) > 0 {
			t.Errorf("%s after a rebuild: %+v", p.Name(), d)
		}
		sameForm(t, p.Name(), before, w.form(p.Name()))
	}
	if n := w.leftovers(); n > 0 {
		t.Errorf("%d schemas are left", n)
	}
	// The names of constraints are what tells users what was wrong.
	_, err := w.log.Append(t.Context(), eventstore.Proposal{Stream: "project/9", Events: []domain.Event{project.Created{ID: 9, Settings: project.Settings{Key: "P", Name: "X"}}}})
	var conflict *domain.ConflictError
	if !errors.As(err, &conflict) || conflict.Field != "key" {
		t.Errorf("a key that is taken, after a rebuild: %v", err)
	}
	// Folding in memory and event by event come to the same.
	for _, f := range followers {
		b := builder(w.log, w.pool)
		b.Bytes = 1
		if d, _, err := b.Verify(t.Context(), f); err != nil || len(d) > 0 {
			t.Errorf("%s event by event: %+v, %v", f.Name(), d, err)
		}
	}
}

func TestVerifyFindsAChangedRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	w.push(1, "refs/heads/not-followed-yet", false)
	for _, change := range []struct {
		projection projections.Projection
		sql        string
		table      string
		missing    int64
		surplus    int64
	}{
		{refs.Projection{}, `update refs.refs set id = '\x0102030405060708090a0b0c0d0e0f1011121314' where repository = 2 and name = 'refs/heads/b1'`, "refs", 1, 1},
		{refhistory.Projection{}, `delete from refhistory.ref_history where position = (select min(position) from refhistory.ref_history)`, "ref_history", 1, 0},
		{catalog.Projection{}, `update catalog.projects set public = true where id = 2`, "projects", 1, 1},
		{reposearch.Projection{}, `insert into reposearch.repository_names values (99, 1, 'x', 'x')`, "repository_names", 0, 1},
	} {
		if _, err := w.pool.Exec(t.Context(), change.sql); err != nil {
			t.Fatal(err)
		}
		want := []projections.Difference{{Table: change.table, Missing: change.missing, Surplus: change.surplus}}
		if d := w.verify(change.projection); !slices.Equal(d, want) {
			t.Errorf("%s: found %+v, want %+v", change.sql, d, want)
		}
	}
}

// Appends and runners go on while each projection is made anew.
func TestRebuildWhileTheLogMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	ctx, cancel := context.WithCancel(t.Context())
	var moving sync.WaitGroup
	moving.Go(func() {
		for ctx.Err() == nil {
			w.push(1, "refs/heads/main", false)
			w.append(domain.RepositoryStream(2), repository.Renamed{ID: 2, Name: fmt.Sprint("n", w.n), Slug: fmt.Sprint("n", w.n)})
		}
	})
	for _, f := range followers {
		moving.Go(func() {
			conn, cursor := openCursor(t, w.pool, w.log, f, 100)
			defer func() { _ = conn.Close(context.Background()) }()
			for ctx.Err() == nil {
				events, err := w.log.ReadAll(t.Context(), cursor.Position(), 10)
				if err == nil && len(events) > 0 {
					err = cursor.Apply(t.Context(), events)
				}
				if errors.Is(err, projections.ErrFenced) {
					err = cursor.Open(t.Context(), conn)
				}
				if err != nil {
					t.Errorf("%s: %v", f.Name(), err)
					return
				}
			}
		})
	}
	for _, p := range all() {
		if _, err := builder(w.log, w.pool).Rebuild(t.Context(), p); err != nil {
			t.Errorf("rebuild %s: %v", p.Name(), err)
		}
		if d, position, err := builder(w.log, w.pool).Verify(t.Context(), p); err != nil || len(d) > 0 || position == 0 {
			t.Errorf("verify %s while the log moves: %+v at %d, %v", p.Name(), d, position, err)
		}
	}
	cancel()
	moving.Wait()
	w.follow()
	for _, p := range all() {
		if d := w.verify(p); len(d) > 0 {
			t.Errorf("%s in the end: %+v", p.Name(), d)
		}
	}
}

func TestTheSwapWaitsForReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	reader, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Rollback(context.Background()) }()
	if _, err := reader.Exec(t.Context(), `select from refs.repository_state`); err != nil {
		t.Fatal(err)
	}
	b := builder(w.log, w.pool)
	waited := false
	b.Waiting = func(error) {
		if !waited {
			waited = true
			// What the reader has begun with one table it ends with the others of the same age.
			if _, err := reader.Exec(context.Background(), `select from refs.refs`); err != nil {
				t.Error(err)
			}
			_ = reader.Rollback(context.Background())
		}
	}
	if _, err := b.Rebuild(t.Context(), refs.Projection{}); err != nil || !waited {
		t.Errorf("rebuilt, waited %v: %v", waited, err)
	}
}

func TestACancelledRebuildLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.follow()
	before := w.form("refs")
	ctx, cancel := context.WithCancel(t.Context())
	b := builder(w.log, w.pool)
	b.Progress = func(int64, int64) { cancel() }
	if _, err := b.Rebuild(ctx, refs.Projection{}); err == nil {
		t.Error("it did not notice that it was cancelled")
	}
	if _, err := builder(w.log, w.pool).Rebuild(t.Context(), refs.Projection{}); err != nil {
		t.Fatal(err)
	}
	sameForm(t, "refs", before, w.form("refs"))
	if n := w.leftovers(); n > 0 {
		t.Errorf("after a cancelled rebuild and another %d schemas are left", n)
	}
}

func TestOneRebuildAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := builder(w.log, w.pool)
	var second error
	once := sync.OnceFunc(func() { _, second = builder(w.log, w.pool).Rebuild(t.Context(), refs.Projection{}) })
	b.Progress = func(int64, int64) { once() }
	if _, err := b.Rebuild(t.Context(), refs.Projection{}); err != nil || !errors.Is(second, projections.ErrBeingBuilt) {
		t.Errorf("the first %v, the second %v", err, second)
	}
}

// What an operator has skipped is left out of copies, too, and what is set aside of the
// copy to compare with.
func TestSkippedAndParkedEventsInCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	head, err := w.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.push(1, "refs/heads/a", false)
	w.push(1, "refs/heads/a", false)
	w.push(2, "refs/heads/a", false)
	follower := poisoned{positions: map[int64]bool{head + 1: true, head + 3: true}}
	conn, cursor := openCursor(t, w.pool, w.log, follower, 1)
	defer func() { _ = conn.Close(context.Background()) }()
	apply := func() {
		events, err := w.log.ReadAll(t.Context(), cursor.Position(), 1000)
		if err == nil {
			err = cursor.Apply(t.Context(), events)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	apply()
	if d := w.verify(activity.Projection{}); len(d) > 0 {
		t.Errorf("with events set aside: %+v", d)
	}
	w.append(domain.ClusterStream, cluster.ProjectionSkipped{Projection: "activity", Position: head + 1, Reason: "test"})
	apply()
	if d := w.verify(activity.Projection{}); len(d) > 0 {
		t.Errorf("with one event skipped and one set aside: %+v", d)
	}
	if _, err := builder(w.log, w.pool).Rebuild(t.Context(), activity.Projection{}); err != nil {
		t.Fatal(err)
	}
	var positions []int64
	if err := w.pool.QueryRow(t.Context(), `select array_agg(position order by position) from repository_activity where position > $1`, head).Scan(&positions); err != nil ||
		!slices.Equal(positions, []int64{head + 2, head + 3}) {
		t.Errorf("after a rebuild there are the events %v (%v)", positions, err)
	}
}

func TestRefHistoryAtAPosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	head, _ := w.log.Head(t.Context())
	w.append("repository/7", repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/a", New: git.ObjectID{1}}, {Name: "refs/tags/t", New: git.ObjectID{2}, Peeled: git.ObjectID{3}}}})
	w.append("repository/7", repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/a", New: git.ObjectID{4}, Forced: true}}})
	w.append("repository/7", repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/a"}}})
	w.follow()
	history := refhistory.NewQueries(w.pool)
	for after, want := range map[int64]string{
		0: "", 1: "refs/heads/a=01 refs/tags/t=02^03", 2: "refs/heads/a=04 refs/tags/t=02^03", 3: "refs/tags/t=02^03", 9: "refs/tags/t=02^03",
	} {
		list, err := history.At(t.Context(), 7, head+after)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ref := range list {
			text := fmt.Sprintf("%s=%02x", ref.Name, ref.ID[0])
			if !ref.Peeled.IsZero() {
				text += fmt.Sprintf("^%02x", ref.Peeled[0])
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d events later: %q, want %q", after, got, want)
		}
	}
}
