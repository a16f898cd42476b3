package browse

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// Follow lists the commits that changed a file, newest first, and goes on with the name
// that it had before where it was renamed, as git log --follow does: merges are passed
// over, and all parents are looked at. Merges of the query has no meaning.
func (b *Browser) Follow(ctx context.Context, s *gitfs.Snapshot, q LogQuery) (list []LoggedCommit, more bool, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, false, err
	}
	defer v.Release()
	for _, id := range []git.ObjectID{q.Until, q.Since} {
		if !id.IsZero() && !v.Has(id) {
			return nil, false, noCommit(id.String())
		}
	}
	f := follower{view: v, filter: pathFilter{view: v, path: q.Path, known: map[git.ObjectID]pathState{}}}
	all := func(_ context.Context, c revwalk.Commit) ([]git.ObjectID, bool, error) { return c.Parents, true, nil }
	skip := q.Start
	for c, err := range v.graph.Log(ctx, q.Until, q.Since, all) {
		if err != nil {
			return nil, false, err
		}
		changed, err := f.changes(ctx, c)
		if err != nil {
			return nil, false, err
		}
		if !changed {
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

// follower knows the name that a file has at the commits it has come to.
type follower struct {
	view
	filter pathFilter
}

// changes reports whether a commit changed the file, and takes up its older name if it
// came from there.
func (f *follower) changes(ctx context.Context, c revwalk.Logged) (bool, error) {
	if len(c.Parents) > 1 {
		return false, nil
	}
	now, err := f.filter.at(ctx, c.Tree)
	if err != nil {
		return false, err
	}
	var before pathState
	var parent git.ObjectID
	if len(c.Parents) == 1 {
		parent = c.Parents[0]
		p, err := f.graph.Commit(ctx, parent)
		if err != nil {
			return false, err
		}
		if before, err = f.filter.at(ctx, p.Tree); err != nil {
			return false, err
		}
	}
	if now == before {
		return false, nil
	}
	if before == (pathState{}) && !parent.IsZero() {
		old, err := f.source(ctx, parent, c.ID)
		if err != nil {
			return false, err
		}
		if old != "" {
			f.filter.path = old
			clear(f.filter.known)
		}
	}
	return true, nil
}

// source is the name of before of a file that a commit made, "" if it is new.
func (f *follower) source(ctx context.Context, parent, commit git.ObjectID) (string, error) {
	list, truncated, err := f.view.changes(ctx, ChangeQuery{From: parent, To: commit})
	if err != nil || truncated {
		return "", err
	}
	// Only this file is of interest: what else was made is no rival for its source.
	kept := list[:0]
	for _, c := range list {
		if c.Kind == Deleted || c.Path == f.filter.path {
			kept = append(kept, c)
		}
	}
	if kept, err = f.renames(ctx, kept); err != nil {
		return "", err
	}
	for _, c := range kept {
		if c.Kind == Renamed && c.Path == f.filter.path {
			return c.OldPath, nil
		}
	}
	return "", nil
}
