package refs

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/projections"
)

// Projection moves the tables of refs and packs. Readers never wait for it: they read what
// the log holds behind its rows. It implements projections.Follower and
// projections.Folder.
type Projection struct{}

// Name implements projections.Projection.
func (Projection) Name() string { return "refs" }

// Tables implements projections.Projection.
func (Projection) Tables() []string {
	return []string{"repository_state", "refs", "packs"}
}

// Needs implements projections.Projection: any unknown event of a repository may have
// moved its refs.
func (Projection) Needs(eventType string) bool { return strings.HasPrefix(eventType, "repository.") }

// Policy implements projections.Follower. Readers of a stream that is set aside read more
// of the log, and are right all the same.
func (Projection) Policy() projections.Policy { return projections.Policy{} }

// Queue implements projections.Follower.
func (Projection) Queue(flight *pgx.Batch, events []domain.Recorded) error {
	changes := newChanges()
	for _, e := range events {
		id, ok := repositoryOf(e.Stream)
		if !ok {
			continue
		}
		changes.add(id, e)
	}
	changes.queue(flight)
	return nil
}

// repositoryOf reads the repository's id from its stream's name.
func repositoryOf(stream domain.Stream) (domain.RepositoryID, bool) {
	number, ok := strings.CutPrefix(string(stream), "repository/")
	id, err := strconv.ParseInt(number, 10, 64)
	return domain.RepositoryID(id), ok && err == nil
}

// changes collects what a batch of events does to the tables, last writer wins.
type changes struct {
	created []created
	state   map[domain.RepositoryID]state
	refs    map[refKey]refRow
	packs   map[packKey]packChange
}

type created struct {
	repository        domain.RepositoryID
	storage, head     string
	version, position int64
}

// state is what changed in a repository's row; nil fields keep their value.
type state struct {
	head              *string
	deleted           *bool
	removed           *int64
	fork              bool
	version, position int64
}

type refKey struct {
	repository domain.RepositoryID
	name       string
}

type refRow struct {
	id, peeled git.ObjectID
}

type packKey struct {
	repository domain.RepositoryID
	pack       git.ObjectID
}

type packRow struct {
	pack     repository.CombinedPack
	position int64
}

// packChange is what becomes of a row: it may be taken away, and a new one may follow.
type packChange struct {
	gone bool
	row  *packRow
}

// then returns what two changes make, one after the other. A pack that is listed stays
// where it was first.
func (c packChange) then(later packChange) packChange {
	switch {
	case later.gone:
		return later
	case c.row == nil:
		c.row = later.row
	}
	return c
}

// packChanges yields what an event does to the list of packs.
func packChanges(e domain.Recorded, yield func(git.ObjectID, packChange)) {
	switch event := e.Event.(type) {
	case repository.RefsUpdated:
		if event.Pack != nil {
			yield(event.Pack.ID, packChange{row: &packRow{repository.CombinedPack{Pack: *event.Pack}, e.Position}})
		}
	case repository.Forked:
		for _, pack := range event.Packs {
			yield(pack.ID, packChange{row: &packRow{repository.CombinedPack{Pack: pack}, e.Position}})
		}
	case repository.PacksCombined:
		for _, id := range event.Superseded {
			yield(id, packChange{gone: true})
		}
		for _, pack := range event.Packs {
			yield(pack.ID, packChange{row: &packRow{pack, e.Position}})
		}
	}
}

func newChanges() *changes {
	return &changes{state: map[domain.RepositoryID]state{}, refs: map[refKey]refRow{}, packs: map[packKey]packChange{}}
}

func (c *changes) add(id domain.RepositoryID, e domain.Recorded) {
	s := c.state[id]
	s.version, s.position = e.Version, e.Position
	yes, no := true, false
	switch event := e.Event.(type) {
	case repository.Created:
		c.created = append(c.created, created{id, event.Storage, event.DefaultBranch, e.Version, e.Position})
	case repository.DefaultBranchChanged:
		s.head = &event.New
	case repository.Deleted:
		s.deleted = &yes
	case repository.Restored:
		s.deleted = &no
	case repository.Forked:
		s.fork = true
	case repository.PacksRemoved:
		s.removed = &e.Version
	case repository.RefsUpdated:
		for _, u := range event.Updates {
			c.refs[refKey{id, u.Name}] = refRow{id: u.New, peeled: u.Peeled}
		}
	}
	packChanges(e, func(pack git.ObjectID, change packChange) {
		key := packKey{id, pack}
		c.packs[key] = c.packs[key].then(change)
	})
	c.state[id] = s // whatever happened, the repository's version has moved
}

func (c *changes) queue(flight *pgx.Batch) {
	for _, r := range c.created {
		flight.Queue(`
			insert into repository_state (repository, storage, head, version, position) values ($1, $2, $3, $4, $5)`,
			r.repository, r.storage, r.head, r.version, r.position)
	}
	c.queueStates(flight)
	c.queueRefs(flight)
	c.queuePacks(flight)
}

func (c *changes) queueStates(flight *pgx.Batch) {
	var repositories, versions, positions []int64
	var heads []*string
	var deleted []*bool
	var removed []*int64
	var forks []bool
	for id, s := range c.state {
		repositories, versions, positions = append(repositories, int64(id)), append(versions, s.version), append(positions, s.position)
		heads, deleted, removed = append(heads, s.head), append(deleted, s.deleted), append(removed, s.removed)
		forks = append(forks, s.fork)
	}
	if len(repositories) == 0 {
		return
	}
	flight.Queue(`
		update repository_state s
		set version = n.version, position = n.position, head = coalesce(n.head, s.head), deleted = coalesce(n.deleted, s.deleted),
			removed = coalesce(n.removed, s.removed), fork = s.fork or n.fork
		from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::boolean[], $6::bigint[], $7::boolean[])
			as n (repository, version, position, head, deleted, removed, fork)
		where s.repository = n.repository`,
		repositories, versions, positions, heads, deleted, removed, forks)
}

func (c *changes) queueRefs(flight *pgx.Batch) {
	var repositories, goneFrom []int64
	var names, gone []string
	var ids, peeled [][]byte
	for key, row := range c.refs {
		if row.id.IsZero() {
			goneFrom, gone = append(goneFrom, int64(key.repository)), append(gone, key.name)
			continue
		}
		repositories, names = append(repositories, int64(key.repository)), append(names, key.name)
		ids, peeled = append(ids, row.id[:]), append(peeled, optional(row.peeled))
	}
	if len(gone) > 0 {
		flight.Queue(`
			delete from refs r using unnest($1::bigint[], $2::text[]) as g (repository, name)
			where r.repository = g.repository and r.name = g.name collate "C"`, goneFrom, gone)
	}
	if len(names) > 0 {
		flight.Queue(`
			insert into refs (repository, name, id, peeled)
			select repository, name, id, peeled
			from unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[]) as r (repository, name, id, peeled)
			on conflict (repository, name) do update set id = excluded.id, peeled = excluded.peeled`,
			repositories, names, ids, peeled)
	}
}

func (c *changes) queuePacks(flight *pgx.Batch) {
	if len(c.packs) == 0 {
		return
	}
	var repositories, positions, objects, bytes, bitmaps, goneFrom []int64
	var packs, gone [][]byte
	var storages []string
	for key, change := range c.packs {
		if change.gone {
			goneFrom, gone = append(goneFrom, int64(key.repository)), append(gone, key.pack[:])
		}
		if row := change.row; row != nil {
			repositories, positions, packs = append(repositories, int64(key.repository)), append(positions, row.position), append(packs, key.pack[:])
			objects, bytes, bitmaps = append(objects, row.pack.Objects), append(bytes, row.pack.Bytes), append(bitmaps, row.pack.Bitmap)
			storages = append(storages, row.pack.Storage)
		}
	}
	if len(gone) > 0 {
		flight.Queue(`
			delete from packs p using unnest($1::bigint[], $2::bytea[]) as g (repository, pack)
			where p.repository = g.repository and p.pack = g.pack`, goneFrom, gone)
	}
	if len(packs) == 0 {
		return
	}
	// The same objects pushed again make the same pack: it is there already.
	flight.Queue(`
		insert into packs (repository, pack, position, objects, bytes, bitmap, storage)
		select repository, pack, position, objects, bytes, bitmap, storage
		from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
			as p (repository, pack, position, objects, bytes, bitmap, storage)
		on conflict (repository, pack) do nothing`,
		repositories, packs, positions, objects, bytes, bitmaps, storages)
}

// optional is an id for a column that is null when there is none.
func optional(id git.ObjectID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}
