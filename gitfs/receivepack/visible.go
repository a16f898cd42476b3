package receivepack

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

// visible is what of a repository's objects a push may build on. In a fork that is what its
// refs reach: its packs came from another repository, with objects in them that it never
// had, and whoever names the id of one, or sends a delta of it, would be given it.
func (p *push) visible(ctx context.Context) (*store.Objects, error) {
	if !p.repo.Snapshot.Fork {
		return p.repo.Objects, nil
	}
	var tips []git.ObjectID
	for ref := range p.repo.Snapshot.Refs.Prefixed("") {
		tips = append(tips, ref.ID)
	}
	if p.repo.RecentTips != nil {
		recent, err := p.repo.RecentTips(ctx)
		if err != nil {
			return nil, err
		}
		for _, id := range recent {
			if p.repo.Objects.Has(id) {
				tips = append(tips, id)
			}
		}
	}
	if len(tips) == 0 {
		return p.repo.Objects.Only(func(git.ObjectID) bool { return false }), nil
	}
	graph := revwalk.NewGraph(p.repo.Objects, p.server.config.Commits)
	reached, err := p.server.closures.Reachable(ctx, graph, p.repo.Objects, p.repo.Snapshot.Storage, tips, nil)
	if err != nil {
		return nil, err
	}
	return p.repo.Objects.Only(reached.Objects.Has), nil
}
