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
	f := follower{view: v, filter: newPathFilter(v, q.Path)}
	all := func(_ context.Context, _ git.ObjectID, c revwalk.Commit) ([]git.ObjectID, bool, error) {
		return c.Parents, true, nil
	}
	return v.log(ctx, q, all, f.changes)
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
	if f.unchanged(ctx, c.ID, f.filter.asked) {
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
		old, err := f.source(ctx, parent, c.ID, f.filter.path)
		if err != nil {
			return false, err
		}
		if old != "" {
			f.filter = newPathFilter(f.view, old)
		}
	}
	return true, nil
}

// source is the name of before of a file that a commit made, "" if it is new.
func (v view) source(ctx context.Context, parent, commit git.ObjectID, path string) (string, error) {
	list, truncated, err := v.changes(ctx, ChangeQuery{From: parent, To: commit})
	if err != nil || truncated {
		return "", err
	}
	// Only this file is of interest: what else was made is no rival for its source.
	kept := list[:0]
	for _, c := range list {
		if c.Kind == Deleted || c.Path == path {
			kept = append(kept, c)
		}
	}
	if kept, err = v.renames(ctx, kept); err != nil {
		return "", err
	}
	for _, c := range kept {
		if c.Kind == Renamed && c.Path == path {
			return c.OldPath, nil
		}
	}
	return "", nil
}
