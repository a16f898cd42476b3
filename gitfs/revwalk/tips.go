package revwalk

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
)

// Tips returns the commits that refs name, directly or behind tags, each once.
func (g *Graph) Tips(ctx context.Context, refs gitfs.Refs) ([]git.ObjectID, error) {
	tips := make([]git.ObjectID, 0, refs.Len())
	seen := make(map[git.ObjectID]struct{}, refs.Len())
	for ref := range refs.Prefixed("") {
		id := ref.ID
		if !ref.Peeled.IsZero() {
			id = ref.Peeled
		}
		if _, dup := seen[id]; dup {
			continue
		}
		seen[id] = struct{}{}
		t, err := g.typeOf(ctx, id)
		if err != nil {
			return nil, err
		}
		if t == object.TypeCommit { // some refs name trees and blobs
			tips = append(tips, id)
		}
	}
	return tips, nil
}
