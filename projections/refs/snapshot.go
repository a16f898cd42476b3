package refs

import (
	"fmt"
	"slices"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
)

// Snapshot is a repository's refs and packs at one version of its stream.
type Snapshot struct {
	Repository domain.RepositoryID
	Storage    string // name of its folder on the shared home
	Position   int64  // of its newest event
	Version    int64  // of its stream
	Head       string // full name of the default branch
	Refs       *Set
	Fork       bool // its packs hold objects of another repository

	packs   *packList
	removed int64 // version at which packs were last removed from the shared home
	deleted bool

	project domain.ProjectID // that it is in
	rules   *rules.State     // its own; nil if it has none
	demands *demands         // by them and those of the project
}

func emptySnapshot(id domain.RepositoryID) *Snapshot {
	return &Snapshot{Repository: id, Refs: newSet(), packs: &packList{}, demands: &demands{}}
}

// Packs lists the packs that hold the repository's objects, oldest first. The slice is not
// to be changed.
func (s *Snapshot) Packs() []git.Pack { return s.packs.list() }

// lists reports whether a pack is among those that the repository is read from.
func (s *Snapshot) lists(id git.ObjectID) bool {
	return slices.ContainsFunc(s.Packs(), func(p git.Pack) bool { return p.ID == id })
}

// exists reports whether there is a repository that is not deleted.
func (s *Snapshot) exists() bool { return s.Version > 0 && !s.deleted }

// hasBranches reports whether a ref below refs/heads/ exists.
func (s *Snapshot) hasBranches() bool {
	for range s.Refs.Prefixed("refs/heads/") {
		return true
	}
	return false
}

// after returns the snapshot as later events of the repository's stream leave it.
func (s *Snapshot) after(events []domain.Recorded) (*Snapshot, error) {
	if len(events) == 0 {
		return s, nil
	}
	next := *s
	var moved []git.Ref
	for _, e := range events {
		if e.Version != next.Version+1 {
			return nil, fmt.Errorf("event %d has version %d of %s, which is at %d", e.Position, e.Version, e.Stream, next.Version)
		}
		next.Version, next.Position = e.Version, e.Position
		next.evolve(e.Event)
		switch event := e.Event.(type) {
		case repository.RefsUpdated:
			moved = appendMoves(moved, event)
			if event.Pack != nil {
				next.packs = next.packs.with(*event.Pack)
			}
		case repository.Forked:
			for _, pack := range event.Packs {
				next.packs = next.packs.with(pack)
			}
		case repository.PacksCombined:
			next.packs = next.packs.combined(event)
		case repository.PacksRemoved:
			next.removed = e.Version
		case domain.Unknown:
			return nil, fmt.Errorf("event %d of %s has the type %q, which this version does not know", e.Position, e.Stream, event.Type)
		}
	}
	if len(moved) > 0 {
		next.Refs = next.Refs.with(moved)
	}
	return &next, nil
}

// evolve carries out what an event does to everything but refs and packs.
func (s *Snapshot) evolve(event domain.Event) {
	switch e := event.(type) {
	case repository.Created:
		s.Storage, s.Head, s.project = e.Storage, e.DefaultBranch, e.Project
	case repository.Moved:
		s.project = e.Project
	case repository.Forked:
		s.Fork = true
	case repository.DefaultBranchChanged:
		s.Head = e.New
	case repository.Deleted:
		s.deleted = true
	case repository.Restored:
		s.deleted, s.project = false, e.Project
	default:
		if _, rule := rules.TargetOf(event); rule {
			s.setRules(rules.Evolve(s.ownRules(), event))
		}
	}
}

// appendMoves appends where a push has put refs.
func appendMoves(moved []git.Ref, push repository.RefsUpdated) []git.Ref {
	for _, u := range push.Updates {
		moved = append(moved, git.Ref{Name: u.Name, ID: u.New, Peeled: u.Peeled})
	}
	return moved
}
