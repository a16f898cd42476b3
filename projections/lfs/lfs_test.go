package lfs_test

import (
	"errors"
	"testing"

	"github.com/annal-git/annal/domain"
	domainlfs "github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/lfs"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

type world struct {
	*testing.T
	log    *eventstore.Log
	reader *lfs.Reader
	verify func()
}

func newWorld(t *testing.T) *world {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{catalog.Projection{}, lfs.Projection{}}})
	w := &world{t, log, lfs.NewReader(pool), func() {
		t.Helper()
		builder := projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends}
		if differences, _, err := builder.Verify(t.Context(), lfs.Projection{}); err != nil || len(differences) > 0 {
			t.Errorf("%+v, %v", differences, err)
		}
	}}
	for id, key := range map[domain.ProjectID]string{1: "ONE", 2: "TWO"} {
		w.must(domain.ProjectStream(id), project.Created{ID: id, Settings: project.Settings{Key: key, Name: key}})
	}
	w.create(1)
	return w
}

func (w *world) append(stream domain.Stream, events ...domain.Event) error {
	_, err := w.log.Append(w.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
	return err
}

func (w *world) must(stream domain.Stream, events ...domain.Event) {
	w.Helper()
	if err := w.append(stream, events...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(id domain.RepositoryID, more ...domain.Event) {
	w.Helper()
	name := string('a' + rune(id))
	w.must(domain.RepositoryStream(id), append([]domain.Event{repository.Created{ID: id, Project: 1, Name: name, Slug: name, Storage: "storage-" + name, DefaultBranch: repository.InitialBranch}}, more...)...)
}

func (w *world) add(id domain.RepositoryID, n byte, size int64) error {
	return w.append(domainlfs.Stream(id), domainlfs.ObjectAdded{Repository: id, OID: domainlfs.OID{n}, Size: size})
}

// has expects the objects of a repository, of ten that there may be.
func (w *world) has(id domain.RepositoryID, want ...byte) {
	w.Helper()
	var all []domainlfs.OID
	for n := range byte(10) {
		all = append(all, domainlfs.OID{n})
	}
	found, err := w.reader.Objects(w.Context(), id, all)
	if err != nil {
		w.Fatal(err)
	}
	for _, n := range want {
		if o := found[domainlfs.OID{n}]; o.Size != int64(n) || o.Storage == "" {
			w.Errorf("repository %d has of object %d: %+v", id, n, o)
		}
	}
	if len(found) != len(want) {
		w.Errorf("repository %d has %v, want %v", id, found, want)
	}
}

// What a repository has is what was uploaded to it, and what those had that it comes from
// when it was forked: never what they got later, and never what a fork got.
func TestObjectsOfForks(t *testing.T) {
	w := newWorld(t)
	add := func(id domain.RepositoryID, n byte) {
		t.Helper()
		if err := w.add(id, n, int64(n)); err != nil {
			t.Fatal(err)
		}
	}
	add(1, 1)
	w.create(2, repository.Forked{ID: 2, Origin: 1, OriginVersion: 1})
	add(1, 2)
	add(2, 3)
	w.create(3, repository.Forked{ID: 3, Origin: 2, OriginVersion: 1})
	add(2, 4)
	add(3, 2)
	w.create(4)
	w.has(1, 1, 2)
	w.has(2, 1, 3, 4)
	w.has(3, 1, 2, 3)
	w.has(4)
	if err := w.add(1, 1, 1); !errors.Is(err, lfs.ErrKnown) {
		t.Errorf("the same object again: %v", err)
	}
	// Nothing is lost with a repository that is deleted.
	w.must(domain.RepositoryStream(1), repository.Deleted{ID: 1, Project: 1, Slug: "b"})
	w.has(2, 1, 3, 4)
	w.must(domain.RepositoryStream(1), repository.Restored{ID: 1, Project: 2, Name: "b", Slug: "b"})
	w.has(1, 1, 2)
	w.verify()
}

func TestQuotas(t *testing.T) {
	w := newWorld(t)
	w.create(2)
	set := func(target domainlfs.Target, quota int64) {
		t.Helper()
		w.must(target.Stream(), domainlfs.SettingsChanged{Target: target, Settings: domainlfs.Settings{Quota: quota}})
	}
	full := func(err error, want domainlfs.QuotaError) {
		t.Helper()
		var got *domainlfs.QuotaError
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%v, want %+v", err, want)
		}
	}
	if err := w.add(1, 1, 100); err != nil {
		t.Fatal(err)
	}
	set(domainlfs.Target{Repository: 1}, 150)
	full(w.add(1, 2, 51), domainlfs.QuotaError{Quota: 150, Used: 100, Size: 51})
	if err := w.add(1, 2, 50); err != nil {
		t.Fatal(err)
	}
	set(domainlfs.Target{Project: 1}, 200)
	full(w.add(2, 1, 51), domainlfs.QuotaError{Project: true, Quota: 200, Used: 150, Size: 51})
	if p, err := w.reader.Project(t.Context(), 1); err != nil || p.Bytes != 150 || p.Objects != 2 || p.Quota != 200 {
		t.Errorf("%+v, %v", p, err)
	}
	w.must(domain.RepositoryStream(1), repository.Moved{ID: 1, OldProject: 1, Project: 2})
	if err := w.add(2, 1, 51); err != nil {
		t.Fatal(err)
	}
	if r, err := w.reader.Repository(t.Context(), 1); err != nil || r.Objects != 2 || r.Used != 150 || r.Room.Quota != 150 || r.ProjectQuota != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	w.verify()
}

func TestLocks(t *testing.T) {
	w := newWorld(t)
	lock := func(id domainlfs.LockID, path string) domainlfs.Lock {
		return domainlfs.Lock{ID: id, Repository: 1, Path: path, Owner: 7}
	}
	var conflict *domain.ConflictError
	w.must(domainlfs.Stream(1), domainlfs.Locked{Lock: lock(1, "a")})
	w.must(domainlfs.Stream(1), domainlfs.Locked{Lock: lock(2, "b")})
	if err := w.append(domainlfs.Stream(1), domainlfs.Locked{Lock: lock(3, "a")}); !errors.As(err, &conflict) {
		t.Errorf("a path locked twice: %v", err)
	}
	w.must(domainlfs.Stream(1), domainlfs.Unlocked{Lock: lock(1, "a")})
	if err := w.append(domainlfs.Stream(1), domainlfs.Unlocked{Lock: lock(1, "a")}); !errors.As(err, &conflict) {
		t.Errorf("a lock released twice: %v", err)
	}
	w.must(domainlfs.Stream(1), domainlfs.Locked{Lock: lock(4, "a")})
	for filter, want := range map[lfs.LockFilter]int{{}: 2, {Path: "a"}: 1, {Path: "c"}: 0, {ID: 2}: 1, {ID: 1}: 0, {After: 2}: 1} {
		filter.Limit = 10
		if locks, err := w.reader.Locks(t.Context(), 1, filter); err != nil || len(locks) != want {
			t.Errorf("%+v: %+v, %v", filter, locks, err)
		}
	}
	if n, err := w.reader.CountLocks(t.Context(), 1); err != nil || n != 2 {
		t.Errorf("%d locks, %v", n, err)
	}
	w.verify()
}
