package repository

import (
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// Forked says that a repository, which has just been created, begins with the objects of
// another one. What it takes of that one's refs follows as RefsUpdated.
type Forked struct {
	ID            domain.RepositoryID `json:"id"`
	Origin        domain.RepositoryID `json:"origin"`
	OriginVersion int64               `json:"originVersion"` // of the origin's stream: what was taken is how it was then
	Packs         []git.Pack          `json:"packs"`         // each with its Storage; they stay where they are
}

// EventType implements domain.Event.
func (Forked) EventType() string { return "repository.forked.v1" }

var _ domain.Event = Forked{}

// Fork makes a repository from another one. That the caller may read the origin, and that
// its refs and packs are those of the version, has been seen to.
type Fork struct {
	Create
	Origin        domain.RepositoryID
	OriginVersion int64
	Packs         []git.Pack // each with its Storage
	Refs          []git.Ref
}

// forkRefs is how many refs are in one event.
const forkRefs = 5000

func (s State) fork(f Fork) ([]domain.Event, error) {
	events, err := s.create(f.Create)
	if err != nil {
		return nil, err
	}
	events = append(events, Forked{ID: f.ID, Origin: f.Origin, OriginVersion: f.OriginVersion, Packs: f.Packs})
	for refs := f.Refs; len(refs) > 0; {
		part := refs[:min(forkRefs, len(refs))]
		refs = refs[len(part):]
		event := RefsUpdated{Updates: make([]git.RefUpdate, len(part))}
		for i, ref := range part {
			event.Updates[i] = git.RefUpdate{Name: ref.Name, New: ref.ID, Peeled: ref.Peeled}
		}
		events = append(events, event)
	}
	return events, nil
}
