package uploadpack

import (
	"context"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/objectset"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// notOurRef refuses an object, whether it is hidden, unreachable or not there.
func notOurRef(id git.ObjectID) error {
	return protocol.Refuse("upload-pack: not our ref %s", id)
}

// checkWants refuses everything that visible refs do not reach.
func (c *conversation) checkWants(ctx context.Context, r *request) error {
	return c.checkVisible(ctx, r.wants)
}

func (c *conversation) checkVisible(ctx context.Context, ids []git.ObjectID) error {
	tips := c.tips(ids)
	rest := slices.DeleteFunc(slices.Clone(ids), func(id git.ObjectID) bool { return tips[id] })
	if len(rest) == 0 {
		return nil
	}
	starts, err := c.tipCommits(ctx)
	if err != nil {
		return err
	}
	rest, err = c.unreached(ctx, starts, c.tipIDs(), rest)
	if err != nil || len(rest) == 0 {
		return err
	}
	if c.repo.RecentTips != nil {
		recent, err := c.repo.RecentTips(ctx)
		if err != nil {
			return err
		}
		recent = slices.DeleteFunc(recent, func(id git.ObjectID) bool { return !c.repo.Objects.Has(id) })
		if starts, err = c.graph.Commits(ctx, recent); err != nil {
			return err
		}
		if rest, err = c.unreached(ctx, starts, recent, rest); err != nil || len(rest) == 0 {
			return err
		}
	}
	return notOurRef(rest[0])
}

// unreached returns which of the ids the tips do not reach. starts are the commits
// among the tips. What is not found where most is asked for is looked for among all
// that the tips reach; so a refusal takes the same time whatever its reason.
func (c *conversation) unreached(ctx context.Context, starts, tips, ids []git.ObjectID) ([]git.ObjectID, error) {
	var commits, files, rest []git.ObjectID
	for _, id := range ids {
		if !c.repo.Objects.Has(id) {
			rest = append(rest, id)
			continue
		}
		switch t, _, err := c.repo.Objects.Header(ctx, id); {
		case err != nil:
			return nil, err
		case t == object.TypeCommit:
			commits = append(commits, id)
		case t == object.TypeTag:
			rest = append(rest, id)
		default:
			files = append(files, id)
		}
	}
	if len(commits) > 0 {
		found, err := c.graph.Reachable(ctx, starts, commits)
		if err != nil {
			return nil, err
		}
		rest = append(rest, slices.DeleteFunc(commits, func(id git.ObjectID) bool { return found[id] })...)
	}
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if len(files) > 0 {
		known, ok := c.closures.Known(c.repo.Objects, c.repo.Snapshot.Storage, tips)
		reached := known.Objects
		if !ok {
			// Most often these are the files of a tip that somebody checks out.
			if reached, err = c.tipTrees(ctx, starts); err != nil {
				return nil, err
			}
		}
		rest = append(rest, slices.DeleteFunc(files, reached.Has)...)
	}
	if len(rest) == 0 {
		return nil, nil
	}
	all, err := c.closures.Reachable(ctx, c.graph, c.repo.Objects, c.repo.Snapshot.Storage, tips, nil)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rest, all.Objects.Has), nil
}

// maxTipTrees is how many tips are looked through before everything is.
const maxTipTrees = 8

// tipTrees returns the objects in the trees of a few tips, that of HEAD first.
func (c *conversation) tipTrees(ctx context.Context, starts []git.ObjectID) (*objectset.Set, error) {
	var trees []git.ObjectID
	add := func(id git.ObjectID) error {
		commit, err := c.graph.Commit(ctx, id)
		if err != nil {
			return err
		}
		trees = append(trees, commit.Tree)
		return nil
	}
	if head, born := c.head(); born {
		if err := add(head.ID); err != nil {
			return nil, err
		}
	}
	for _, id := range starts[:min(len(starts), maxTipTrees)] {
		if err := add(id); err != nil {
			return nil, err
		}
	}
	found, err := c.graph.Enumerate(ctx, c.repo.Objects, revwalk.Selection{Wants: trees})
	if err != nil {
		return nil, err
	}
	return found.Send, nil
}

// tipIndex is implemented by refs that know without a search whether one of them names an
// object, directly or behind a tag.
type tipIndex interface{ IsTip(id git.ObjectID) bool }

// tips returns which of the ids visible refs name, directly or behind a tag.
func (c *conversation) tips(ids []git.ObjectID) map[git.ObjectID]bool {
	tips := make(map[git.ObjectID]bool, len(ids))
	if index, ok := c.repo.Snapshot.Refs.(tipIndex); ok {
		for _, id := range ids {
			if index.IsTip(id) {
				tips[id] = true
			}
		}
		return tips
	}
	asked := make(map[git.ObjectID]struct{}, len(ids))
	for _, id := range ids {
		asked[id] = struct{}{}
	}
	for ref := range c.repo.Snapshot.Refs.Prefixed("") {
		for _, id := range [...]git.ObjectID{ref.ID, ref.Peeled} {
			if _, ok := asked[id]; ok && !id.IsZero() {
				tips[id] = true
			}
		}
	}
	return tips
}

func (c *conversation) tipIDs() []git.ObjectID {
	ids := make([]git.ObjectID, 0, c.repo.Snapshot.Refs.Len())
	for ref := range c.repo.Snapshot.Refs.Prefixed("") {
		ids = append(ids, ref.ID)
	}
	return ids
}

// tipCommits returns the commits that visible refs name.
func (c *conversation) tipCommits(ctx context.Context) ([]git.ObjectID, error) {
	return c.graph.Tips(ctx, c.repo.Snapshot.Refs)
}
