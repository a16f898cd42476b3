package uploadpack

import (
	"context"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// shallowing is how the end of a client's history moves.
type shallowing struct {
	cut   []git.ObjectID // commits that lose their parents
	uncut []git.ObjectID // commits that get them back
	ends  []git.ObjectID // all commits whose parents are not to be followed
}

// resolveShallow works out where the client's history is to end. Parents that it
// gets back are added to what it wants.
func (c *conversation) resolveShallow(ctx context.Context, r *request) (shallowing, error) {
	var s shallowing
	if !r.deepens() && len(r.shallow) == 0 {
		return s, nil
	}
	var ends []git.ObjectID
	for _, id := range r.shallow {
		if !c.repo.Objects.Has(id) {
			continue
		}
		if t, _, err := c.repo.Objects.Header(ctx, id); err != nil {
			return s, err
		} else if t == object.TypeCommit {
			ends = append(ends, id)
		}
	}
	if r.deepens() {
		wants, err := c.graph.Commits(ctx, r.wants)
		if err != nil {
			return s, err
		}
		if !c.repo.shows() {
			// Else one could learn what is there by claiming to end there.
			visible, err := c.visible(ctx, ends)
			if err != nil {
				return s, err
			}
			kept := ends[:0]
			for _, id := range ends {
				if visible[id] {
					kept = append(kept, id)
				}
			}
			ends = kept
		}
		deepen := r.deepen
		if deepen.Not, err = c.graph.Commits(ctx, deepen.Not); err != nil {
			return s, err
		}
		if s.cut, s.uncut, err = c.graph.Shallow(ctx, wants, ends, deepen); err != nil {
			return s, err
		}
		for _, id := range s.uncut {
			commit, err := c.graph.Commit(ctx, id)
			if err != nil {
				return s, err
			}
			r.wants = append(r.wants, commit.Parents...)
		}
	}
	s.ends = slices.Concat(ends, s.cut)
	return s, nil
}

// writeShallow ends its lines without a line feed, as Git does: libgit2 takes no other.
func (c *conversation) writeShallow(s shallowing) {
	for _, id := range s.cut {
		_ = c.lines.Printf("shallow %s", id)
	}
	for _, id := range s.uncut {
		_ = c.lines.Printf("unshallow %s", id)
	}
}
