package uploadpack

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// negotiation finds out which objects both sides have.
type negotiation struct {
	c      *conversation
	wants  []git.ObjectID
	common []git.ObjectID
	known  map[git.ObjectID]struct{}
	fresh  bool // common has grown since enough was worked out
	enough bool // each want has an ancestor in common
}

// add takes what the client says it has and returns for each whether it is common.
func (n *negotiation) add(ctx context.Context, haves []git.ObjectID) (common []bool, err error) {
	common = make([]bool, len(haves))
	var commits []git.ObjectID // of the haves that are there
	for i, id := range haves {
		if !n.c.repo.Objects.Has(id) {
			continue
		}
		common[i] = true
		if !n.c.repo.shows() {
			commits = append(commits, id)
		}
	}
	if !n.c.repo.shows() {
		visible, err := n.c.visible(ctx, commits)
		if err != nil {
			return nil, err
		}
		for i, id := range haves {
			common[i] = common[i] && visible[id]
		}
	}
	if n.known == nil {
		n.known = map[git.ObjectID]struct{}{}
	}
	for i, id := range haves {
		if _, dup := n.known[id]; dup || !common[i] || len(n.common) >= n.c.config.MaxHaves {
			continue
		}
		n.known[id] = struct{}{}
		n.common = append(n.common, id)
		n.fresh = true
	}
	return common, nil
}

// ready reports whether the client need not be asked for more: everything wanted
// descends from something common.
func (n *negotiation) ready(ctx context.Context) (bool, error) {
	if n.enough || !n.fresh {
		return n.enough, nil
	}
	n.fresh = false
	wants, err := n.c.graph.Commits(ctx, n.wants)
	if err != nil {
		return false, err
	}
	common, err := n.c.graph.Commits(ctx, n.common)
	if err != nil || len(common) == 0 {
		return false, err
	}
	n.enough, err = n.c.graph.AllReach(ctx, wants, common)
	return n.enough, err
}

// visible returns which of the given objects visible refs reach, looking at
// commits, and at tags that are named by a ref.
func (c *conversation) visible(ctx context.Context, ids []git.ObjectID) (map[git.ObjectID]bool, error) {
	visible := c.tips(ids)
	var commits []git.ObjectID
	for _, id := range ids {
		if visible[id] {
			continue
		}
		t, _, err := c.repo.Objects.Header(ctx, id)
		if err != nil {
			return nil, err
		}
		if t == object.TypeCommit {
			commits = append(commits, id)
		}
	}
	if len(commits) == 0 {
		return visible, nil
	}
	tips, err := c.tipCommits(ctx)
	if err != nil {
		return nil, err
	}
	found, err := c.graph.Reachable(ctx, tips, commits)
	if err != nil {
		return nil, err
	}
	for id := range found {
		visible[id] = true
	}
	return visible, nil
}
