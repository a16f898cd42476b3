package refs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
)

// Projection moves the tables of refs, their history and the packs. It implements
// eventstore.Inline.
type Projection struct{}

// Name implements eventstore.Inline.
func (Projection) Name() string { return "refs" }

// Tables implements eventstore.Inline.
func (Projection) Tables() []string {
	return []string{"repository_state", "refs", "ref_history", "packs"}
}

// Apply implements eventstore.Inline. The rows of a whole batch go in one flight.
func (Projection) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	changes := newChanges()
	for _, e := range events {
		id, ok := repositoryOf(e.Stream)
		if !ok {
			continue
		}
		changes.add(id, e)
	}
	flight := &pgx.Batch{}
	changes.queue(flight)
	if flight.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("move refs: %w", err)
	}
	return nil
}

// repositoryOf reads the repository's id from its stream's name.
func repositoryOf(stream domain.Stream) (domain.RepositoryID, bool) {
	var id domain.RepositoryID
	if _, err := fmt.Sscanf(string(stream), "repository/%d", &id); err != nil || domain.RepositoryStream(id) != stream {
		return 0, false
	}
	return id, true
}

// changes collects what a batch of events does to the tables, last writer wins.
type changes struct {
	created []created
	state   map[domain.RepositoryID]state
	refs    map[refKey]refRow
	history []historyRow
	packs   []packRow
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
	version, position int64
}

type refKey struct {
	repository domain.RepositoryID
	name       string
}

type refRow struct {
	id, peeled git.ObjectID
	version    int64
}

type historyRow struct {
	refKey
	position   int64
	id, peeled git.ObjectID
	forced     bool
}

type packRow struct {
	repository        domain.RepositoryID
	pack              git.Pack
	position, version int64
}

func newChanges() *changes {
	return &changes{state: map[domain.RepositoryID]state{}, refs: map[refKey]refRow{}}
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
	case repository.RefsUpdated:
		c.push(id, e, event)
	}
	c.state[id] = s // whatever happened, the repository's version has moved
}

func (c *changes) push(id domain.RepositoryID, e domain.Recorded, event repository.RefsUpdated) {
	for _, u := range event.Updates {
		key := refKey{id, u.Name}
		c.refs[key] = refRow{id: u.New, peeled: u.Peeled, version: e.Version}
		c.history = append(c.history, historyRow{refKey: key, position: e.Position, id: u.New, peeled: u.Peeled, forced: u.Forced})
	}
	if event.Pack != nil {
		c.packs = append(c.packs, packRow{id, *event.Pack, e.Position, e.Version})
	}
}

func (c *changes) queue(flight *pgx.Batch) {
	for _, r := range c.created {
		flight.Queue(`
			insert into repository_state (repository, storage, head, version, position) values ($1, $2, $3, $4, $5)`,
			r.repository, r.storage, r.head, r.version, r.position)
	}
	for id, s := range c.state {
		flight.Queue(`
			update repository_state
			set version = $2, position = $3, head = coalesce($4, head), deleted = coalesce($5, deleted)
			where repository = $1`,
			id, s.version, s.position, s.head, s.deleted)
	}
	c.queueRefs(flight)
	c.queueHistory(flight)
	c.queuePacks(flight)
}

func (c *changes) queueRefs(flight *pgx.Batch) {
	if len(c.refs) == 0 {
		return
	}
	var repositories, versions []int64
	var names []string
	var ids, peeled [][]byte
	for key, row := range c.refs {
		repositories, names = append(repositories, int64(key.repository)), append(names, key.name)
		ids, peeled, versions = append(ids, row.id[:]), append(peeled, optional(row.peeled)), append(versions, row.version)
	}
	flight.Queue(`
		insert into refs (repository, name, id, peeled, version)
		select repository, name, id, peeled, version
		from unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[]) as r (repository, name, id, peeled, version)
		on conflict (repository, name) do update set id = excluded.id, peeled = excluded.peeled, version = excluded.version`,
		repositories, names, ids, peeled, versions)
}

func (c *changes) queueHistory(flight *pgx.Batch) {
	if len(c.history) == 0 {
		return
	}
	var repositories, positions []int64
	var names []string
	var ids, peeled [][]byte
	var forced []bool
	for _, row := range c.history {
		repositories, names, positions = append(repositories, int64(row.repository)), append(names, row.name), append(positions, row.position)
		ids, peeled, forced = append(ids, row.id[:]), append(peeled, optional(row.peeled)), append(forced, row.forced)
	}
	flight.Queue(`
		insert into ref_history (repository, name, position, id, peeled, forced)
		select repository, name, position, id, peeled, forced
		from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[], $6::boolean[])
			as h (repository, name, position, id, peeled, forced)`,
		repositories, names, positions, ids, peeled, forced)
}

func (c *changes) queuePacks(flight *pgx.Batch) {
	for _, row := range c.packs {
		// The same objects pushed again make the same pack: it is there already.
		flight.Queue(`
			insert into packs (repository, pack, position, version, objects, bytes) values ($1, $2, $3, $4, $5, $6)
			on conflict (repository, pack) do nothing`,
			row.repository, row.pack.ID[:], row.position, row.version, row.pack.Objects, row.pack.Bytes)
	}
}

// optional is an id for a column that is null when there is none.
func optional(id git.ObjectID) []byte {
	if id.IsZero() {
		return nil
	}
	return id[:]
}
