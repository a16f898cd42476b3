package rules

import (
	"context"
	"sync"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/rules"
)

// Log says whether something has been decided since a position. It is an eventstore.Log.
type Log interface {
	KnownHead() int64
	Unchanged(since int64, repository domain.RepositoryID) bool
}

// OfProject is the rules of a project at an epoch. It is not changed once it is made.
type OfProject struct {
	Project domain.ProjectID
	State   *rules.State // nil if it has none
	Epoch   int64        // position up to which events about rules of projects are included

	since int64 // position that the log had reached when it was read, or an earlier one
}

// Projects keeps the rules of projects in memory. It is safe for concurrent use.
type Projects struct {
	db  Querier
	log Log

	mu    sync.Mutex
	bytes int64
	known map[domain.ProjectID]*OfProject
}

// maxBytes bounds what is kept, roughly: when it is reached, everything is forgotten.
const maxBytes = 16 << 20

// NewProjects makes Projects on a pool made by eventstore.Connect.
func NewProjects(db Querier, log Log) *Projects {
	return &Projects{db: db, log: log, known: map[domain.ProjectID]*OfProject{}}
}

// Get returns the rules of a project: those that it has had since the log was last asked
// for what is new (eventstore.Log.Fresh), or newer ones.
func (p *Projects) Get(ctx context.Context, id domain.ProjectID) (*OfProject, error) {
	if kept := p.Kept(id); kept != nil && p.log.Unchanged(kept.since, 0) {
		return kept, nil
	}
	return p.Read(ctx, p.db, id, p.log.KnownHead())
}

// Kept returns the rules of a project that are in memory, however old; nil if there are none.
func (p *Projects) Kept(id domain.ProjectID) *OfProject {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[id]
}

// Read reads the rules of a project and keeps them. since is a position that the log has
// reached.
func (p *Projects) Read(ctx context.Context, db Querier, id domain.ProjectID, since int64) (*OfProject, error) {
	state, epoch, err := ofProject(ctx, db, id)
	if err != nil {
		return nil, err
	}
	fresh := &OfProject{Project: id, State: state, Epoch: epoch, since: since}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.known[id]
	if before != nil {
		if before.Epoch > epoch || before.Epoch == epoch && before.since >= since {
			return before, nil // somebody was faster
		}
		p.bytes -= before.size()
		if before.Epoch == epoch {
			fresh.State = before.State // what was made of it is found again
		}
	}
	if p.bytes+fresh.size() > maxBytes {
		p.known, p.bytes = map[domain.ProjectID]*OfProject{}, 0
	}
	p.known[id] = fresh
	p.bytes += fresh.size()
	return fresh, nil
}

// size is roughly the memory that the rules take.
func (o *OfProject) size() int64 {
	const entry = 128
	if o.State == nil {
		return entry
	}
	return entry + o.State.Bytes()
}
