package revwalk

import (
	"context"
	"math"

	"github.com/annal-git/annal/domain/git"
)

// Reachable says which of the target commits can be reached from the tips, which
// are commits as well. The walk ends when all are found, or when what is left is
// well older than the oldest target that is not.
func (g *Graph) Reachable(ctx context.Context, tips, targets []git.ObjectID) (map[git.ObjectID]bool, error) {
	missing := make(map[git.ObjectID]int64, len(targets)) // with the commit's time
	found := make(map[git.ObjectID]bool, len(targets))
	for _, id := range targets {
		c, err := g.Commit(ctx, id)
		if err != nil {
			return nil, err
		}
		missing[id] = c.Time
	}
	oldest := func() int64 {
		t := int64(math.MaxInt64)
		for _, when := range missing {
			t = min(t, when)
		}
		return t
	}
	cutoff := oldest()
	var q queue
	seen := make(map[git.ObjectID]struct{})
	visit := func(ids []git.ObjectID) error {
		for _, id := range ids {
			if _, dup := seen[id]; dup {
				continue
			}
			seen[id] = struct{}{}
			c, err := g.Commit(ctx, id)
			if err != nil {
				return err
			}
			if when, wanted := missing[id]; wanted {
				found[id] = true
				delete(missing, id)
				if when == cutoff {
					cutoff = oldest()
				}
			}
			q.push(id, c)
		}
		return nil
	}
	if err := visit(tips); err != nil {
		return nil, err
	}
	for late := slop; q.len() > 0 && len(missing) > 0; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		next := q.pop()
		// A child may be older than its parent where clocks were wrong.
		if next.Time < cutoff {
			if late--; late < 0 {
				break
			}
		} else {
			late = slop
		}
		if err := visit(next.Parents); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// slop is how many commits in a row may be too old before a walk in order of
// time believes that nothing younger follows.
const slop = 64

// IsAncestor reports whether commit old can be reached from commit new.
func (g *Graph) IsAncestor(ctx context.Context, old, new git.ObjectID) (bool, error) {
	if old == new {
		return true, nil
	}
	found, err := g.Reachable(ctx, []git.ObjectID{new}, []git.ObjectID{old})
	return found[old], err
}

// AllReach reports whether from each of the commits at least one of the targets
// can be reached, looking at no commit older than the oldest target.
func (g *Graph) AllReach(ctx context.Context, commits, targets []git.ObjectID) (bool, error) {
	if len(targets) == 0 {
		return len(commits) == 0, nil
	}
	reaches := make(map[git.ObjectID]bool, len(targets)) // false: seen, and on the way
	oldest := int64(math.MaxInt64)
	for _, id := range targets {
		c, err := g.Commit(ctx, id)
		if err != nil {
			return false, err
		}
		oldest = min(oldest, c.Time)
		reaches[id] = true
	}
	type frame struct {
		id      git.ObjectID
		parents []git.ObjectID // not yet looked at
	}
	for _, start := range commits {
		var stack []frame
		enter := func(id git.ObjectID) error {
			c, err := g.Commit(ctx, id)
			if err != nil {
				return err
			}
			reaches[id] = false
			if c.Time >= oldest {
				stack = append(stack, frame{id, c.Parents})
			}
			return nil
		}
		if ok, seen := reaches[start]; seen {
			if !ok {
				return false, nil
			}
			continue
		}
		if err := enter(start); err != nil {
			return false, err
		}
		for len(stack) > 0 {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			top := &stack[len(stack)-1]
			if len(top.parents) == 0 {
				stack = stack[:len(stack)-1]
				continue
			}
			parent := top.parents[0]
			top.parents = top.parents[1:]
			ok, seen := reaches[parent]
			if ok {
				for _, f := range stack {
					reaches[f.id] = true
				}
				stack = nil
			} else if !seen {
				if err := enter(parent); err != nil {
					return false, err
				}
			}
		}
		if !reaches[start] {
			return false, nil
		}
	}
	return true, nil
}
