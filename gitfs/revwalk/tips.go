package revwalk

import (
	"context"
	"errors"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
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
		var other *TypeError
		if _, err := g.Commit(ctx, id); errors.As(err, &other) {
			continue // some refs name trees and blobs
		} else if err != nil {
			return nil, err
		}
		tips = append(tips, id)
	}
	return tips, nil
}
