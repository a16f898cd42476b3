package browse

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/commitgraph"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// Merges says what a list of commits does with merges.
type Merges int

// The choices.
const (
	IncludeMerges Merges = iota
	ExcludeMerges
	OnlyMerges
)

// LogQuery asks for the commits reachable from Until and not from Since.
type LogQuery struct {
	Until git.ObjectID // a commit
	Since git.ObjectID // a commit; zero: back to the beginning
	// Path keeps only commits that change it, a file or a folder; "" is all. As
	// in git log, where a merge has taken a path from one side as it was, only
	// that side is followed.
	Path   string
	Merges Merges
	Start  int // commits to skip
	Size   int // commits to list
}

// LoggedCommit is a commit and its name.
type LoggedCommit struct {
	ID git.ObjectID
	*object.Commit
}

// Log lists commits, newest first, and none before the children through which it is
// reached. more says that the history goes on behind the page.
func (b *Browser) Log(ctx context.Context, s *gitfs.Snapshot, q LogQuery) (list []LoggedCommit, more bool, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, false, err
	}
	defer v.Release()
	p := newPathFilter(v, q.Path)
	return v.log(ctx, q, p.follow, func(_ context.Context, c revwalk.Logged) (bool, error) {
		merge := len(c.Parents) > 1
		return c.Shown && (!merge || q.Merges != ExcludeMerges) && (merge || q.Merges != OnlyMerges), nil
	})
}

// log lists the page of the commits that belong to the list, of those that follow leads to.
func (v view) log(ctx context.Context, q LogQuery, follow revwalk.Follow, belongs func(context.Context, revwalk.Logged) (bool, error)) (list []LoggedCommit, more bool, err error) {
	for _, id := range []git.ObjectID{q.Until, q.Since} {
		if !id.IsZero() && !v.Has(id) {
			return nil, false, noCommit(id.String())
		}
	}
	skip := q.Start
	for c, err := range v.graph.Log(ctx, q.Until, q.Since, follow) {
		if err != nil {
			return nil, false, err
		}
		listed, err := belongs(ctx, c)
		if err != nil {
			return nil, false, err
		}
		if !listed {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(list) == q.Size {
			return list, true, nil
		}
		commit, err := v.commit(ctx, c.ID)
		if err != nil {
			return nil, false, err
		}
		list = append(list, LoggedCommit{ID: c.ID, Commit: commit})
	}
	return list, false, nil
}

// pathFilter decides which commits change a path.
type pathFilter struct {
	view
	path  string
	asked askedPath
	known map[git.ObjectID]pathState // by root tree
}

func newPathFilter(v view, path string) pathFilter {
	return pathFilter{view: v, path: path, asked: newAskedPath(path), known: map[git.ObjectID]pathState{}}
}

// askedPath is a path that commit-graphs are asked about, if they can be.
type askedPath struct {
	commitgraph.Path
	can bool
}

func newAskedPath(path string) (p askedPath) {
	p.Path, p.can = commitgraph.NewPath(path)
	return p
}

// unchanged reports that a commit is known to have at a path what its first parent has, or
// nothing if it is the first; false says nothing.
func (v view) unchanged(ctx context.Context, id git.ObjectID, p askedPath) bool {
	return p.can && v.Unchanged(ctx, id, p.Path)
}

// pathState is what stands at the path; zero if nothing does.
type pathState struct {
	mode object.FileMode
	id   git.ObjectID
}

// maxKnown bounds what is remembered.
const maxKnown = 10_000

func (p *pathFilter) at(ctx context.Context, tree git.ObjectID) (pathState, error) {
	if state, ok := p.known[tree]; ok {
		return state, nil
	}
	entry, _, err := p.entry(ctx, tree, p.path)
	if err != nil {
		return pathState{}, err
	}
	if len(p.known) >= maxKnown {
		clear(p.known)
	}
	state := pathState{entry.Mode, entry.ID}
	p.known[tree] = state
	return state, nil
}

// follow tells which parents of a commit are of interest, and whether it is itself.
func (p *pathFilter) follow(ctx context.Context, id git.ObjectID, c revwalk.Commit) (parents []git.ObjectID, shown bool, err error) {
	if p.path == "" {
		return c.Parents, true, nil
	}
	if p.unchanged(ctx, id, p.asked) {
		return c.Parents[:min(1, len(c.Parents))], false, nil
	}
	state, err := p.at(ctx, c.Tree)
	if err != nil {
		return nil, false, err
	}
	if len(c.Parents) == 0 {
		return nil, state != pathState{}, nil
	}
	for i, id := range c.Parents {
		parent, err := p.graph.Commit(ctx, id)
		if err != nil {
			return nil, false, err
		}
		before, err := p.at(ctx, parent.Tree)
		if err != nil {
			return nil, false, err
		}
		if before == state {
			return c.Parents[i : i+1], false, nil
		}
	}
	return c.Parents, true, nil
}
