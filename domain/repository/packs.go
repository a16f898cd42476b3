package repository

import (
	"slices"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// PacksCombined says that new packs hold every object of others, which the repository is
// no longer read from. Its refs stay as they are.
type PacksCombined struct {
	Packs      []CombinedPack `json:"packs"`
	Superseded []git.ObjectID `json:"superseded"`
}

// CombinedPack is a pack that was made of others.
type CombinedPack struct {
	git.Pack
	Bitmap int64 `json:"bitmap,omitempty"` // size of its .bitmap file in bytes; 0 if it has none
}

// EventType implements domain.Event.
func (PacksCombined) EventType() string { return "repository.packs_combined.v1" }

// PacksRemoved says that the files of packs which the repository does not list are gone
// from the shared home: superseded ones, and such as no push ever registered. A push that
// began before it has to look whether its pack is still there.
type PacksRemoved struct {
	Packs []git.ObjectID `json:"packs"`
}

// EventType implements domain.Event.
func (PacksRemoved) EventType() string { return "repository.packs_removed.v1" }

var _ = []domain.Event{PacksCombined{}, PacksRemoved{}}

// CombinePacks asks to read a repository from new packs instead of others. That they hold
// the same objects, and that they are durable, has been checked before.
type CombinePacks struct {
	Packs      []CombinedPack
	Superseded []git.ObjectID
	Base       int64 // version of the stream on which Packs were made ready
}

// Bytes is roughly the size of the event that the command may become.
func (c CombinePacks) Bytes() int { return 160*len(c.Packs) + 50*len(c.Superseded) }

// DecideCombine judges the command against the packs that the repository lists, which has
// tells. Packs that were pushed meanwhile are none of its business. If one that shall be
// superseded is not listed, or a new one is, somebody else was faster: *domain.ConflictError.
// If packs were removed since it was made ready, at the version removed of the stream, which
// is at version now: *PacksRemovedError.
func DecideCombine(has func(git.ObjectID) bool, removed, version int64, c CombinePacks) (*PacksCombined, error) {
	if c.Base < removed {
		return nil, &PacksRemovedError{Version: version}
	}
	if len(c.Packs) == 0 || len(c.Superseded) == 0 {
		return nil, domain.Invalid("packs", "Packs are combined from some into others.")
	}
	for _, id := range c.Superseded {
		if !has(id) {
			return nil, domain.Conflict("packs", "The repository does not list pack %s.", id)
		}
	}
	for _, p := range c.Packs {
		if has(p.ID) {
			return nil, domain.Conflict("packs", "The repository lists pack %s already.", p.ID)
		}
	}
	return &PacksCombined{Packs: c.Packs, Superseded: c.Superseded}, nil
}

// RemovePacks asks to declare packs as gone, which have been put aside. Packs that the
// repository lists are not removed.
type RemovePacks struct{ Packs []git.ObjectID }

// Bytes is roughly the size of the event that the command may become.
func (c RemovePacks) Bytes() int { return 50 * len(c.Packs) }

// DecideRemove leaves out the packs that the repository lists, which has tells: they have
// to be put back. The event is nil if none is left.
func DecideRemove(has func(git.ObjectID) bool, c RemovePacks) *PacksRemoved {
	gone := slices.DeleteFunc(slices.Clone(c.Packs), has)
	if len(gone) == 0 {
		return nil
	}
	return &PacksRemoved{Packs: gone}
}

// PacksRemovedError says that packs were removed since a push, or a combination, was made
// ready: its own may be among them. It may be asked for again, on Version, once its packs
// are known to be there.
type PacksRemovedError struct{ Version int64 } // of the repository's stream

func (*PacksRemovedError) Error() string {
	return "packs were removed from the repository meanwhile"
}
