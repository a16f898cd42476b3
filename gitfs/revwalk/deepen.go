package revwalk

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/annal-git/annal/domain/git"
)

// Unlimited is the depth with which clients ask for the whole history.
const Unlimited = math.MaxInt32

// Deepen says where a history is to be cut off.
type Deepen struct {
	Depth    int            // so many commits from each want; 0 does not ask for it
	Relative bool           // count Depth from where the client's history ends now
	Since    int64          // commits before this second are left out; 0 does not ask for it
	Not      []git.ObjectID // commits reachable from these are left out
}

// IsZero reports whether the history stays as deep as it is.
func (d Deepen) IsZero() bool { return d.Depth == 0 && d.Since == 0 && len(d.Not) == 0 }

// ErrNothingSelected says that no commit is left when the history is cut.
var ErrNothingSelected = errors.New("no commits selected for shallow requests")

// Shallow works out the answer to a request to deepen. The wants are commits and
// shallow is where the client's history ends now. It returns the commits that
// become shallow and those of the client that are so no longer.
func (g *Graph) Shallow(ctx context.Context, wants, shallow []git.ObjectID, d Deepen) (cut, uncut []git.ObjectID, err error) {
	var ends, kept map[git.ObjectID]struct{}
	switch {
	case d.Depth >= Unlimited && d.Since == 0 && len(d.Not) == 0:
		return nil, shallow, nil
	case d.Depth > 0 && d.Relative:
		inside, err := g.Reachable(ctx, wants, shallow)
		if err != nil {
			return nil, nil, err
		}
		var from []git.ObjectID
		for _, id := range shallow {
			if inside[id] {
				from = append(from, id)
			}
		}
		ends, kept, err = g.within(ctx, from, min(d.Depth, Unlimited-1)+1)
		if err != nil {
			return nil, nil, err
		}
	case d.Depth > 0:
		ends, kept, err = g.within(ctx, wants, d.Depth)
	default:
		ends, kept, err = g.after(ctx, wants, d)
	}
	if err != nil {
		return nil, nil, err
	}
	before := make(map[git.ObjectID]struct{}, len(shallow))
	for _, id := range shallow {
		before[id] = struct{}{}
		if _, ok := kept[id]; ok {
			uncut = append(uncut, id)
		}
	}
	for id := range ends {
		if _, already := before[id]; !already {
			cut = append(cut, id)
		}
	}
	return cut, uncut, nil
}

// within returns the commits exactly at the depth, and those above it. The starts
// are at depth 1.
func (g *Graph) within(ctx context.Context, starts []git.ObjectID, depth int) (ends, kept map[git.ObjectID]struct{}, err error) {
	ends, kept = map[git.ObjectID]struct{}{}, map[git.ObjectID]struct{}{}
	level := starts
	for n := 1; len(level) > 0; n++ {
		var next []git.ObjectID
		for _, id := range level {
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			if _, above := kept[id]; above {
				continue
			}
			if n >= depth {
				ends[id] = struct{}{}
				continue
			}
			c, err := g.Commit(ctx, id)
			if err != nil {
				return nil, nil, err
			}
			kept[id] = struct{}{}
			next = append(next, c.Parents...)
		}
		level = next
	}
	return ends, kept, nil
}

// after returns the commits that are young enough and not excluded: those with a
// parent that is not, where the history is cut, and those before the cut.
func (g *Graph) after(ctx context.Context, wants []git.ObjectID, d Deepen) (ends, kept map[git.ObjectID]struct{}, err error) {
	commits, err := g.since(ctx, wants, d)
	if err != nil {
		return nil, nil, err
	}
	if len(commits) == 0 {
		return nil, nil, ErrNothingSelected
	}
	selected := make(map[git.ObjectID]struct{}, len(commits))
	for _, id := range commits {
		selected[id] = struct{}{}
	}
	// What only cut commits lead to is not sent, and must not be named: the client
	// could never deepen its history from there.
	ends, kept = map[git.ObjectID]struct{}{}, map[git.ObjectID]struct{}{}
	for stack := slices.Clone(wants); len(stack) > 0; {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		_, seen := kept[id]
		if _, in := selected[id]; !in || seen {
			continue
		}
		c, err := g.Commit(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(c.Parents, func(parent git.ObjectID) bool { _, in := selected[parent]; return !in }) {
			ends[id] = struct{}{}
			continue
		}
		kept[id] = struct{}{}
		stack = append(stack, c.Parents...)
	}
	return ends, kept, nil
}

// since returns the commits that are reached from the wants through commits that
// are all young enough, and not from what is excluded.
func (g *Graph) since(ctx context.Context, wants []git.ObjectID, d Deepen) ([]git.ObjectID, error) {
	allowed := func(git.ObjectID) bool { return true }
	if len(d.Not) > 0 {
		commits, _, err := g.Between(ctx, wants, d.Not)
		if err != nil {
			return nil, err
		}
		between := make(map[git.ObjectID]struct{}, len(commits))
		for _, id := range commits {
			between[id] = struct{}{}
		}
		allowed = func(id git.ObjectID) bool { _, ok := between[id]; return ok }
	}
	var young []git.ObjectID
	seen := map[git.ObjectID]struct{}{}
	for stack := append([]git.ObjectID(nil), wants...); len(stack) > 0; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if _, dup := seen[id]; dup || !allowed(id) {
			continue
		}
		seen[id] = struct{}{}
		c, err := g.Commit(ctx, id)
		if err != nil {
			return nil, err
		}
		if c.Time >= d.Since {
			young = append(young, id)
			stack = append(stack, c.Parents...)
		}
	}
	return young, nil
}
