package browse

import (
	"context"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
)

// MergeBase returns a best common ancestor of two commits; ok is false if they have none.
func (b *Browser) MergeBase(ctx context.Context, s *gitfs.Snapshot, one, other git.ObjectID) (base git.ObjectID, ok bool, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return git.ZeroID, false, err
	}
	defer v.Release()
	bases, err := v.graph.MergeBases(ctx, one, other)
	if err != nil || len(bases) == 0 {
		return git.ZeroID, false, err
	}
	return bases[0], true, nil
}

// AheadBehind counts the commits that a commit has and another one has not, and the other
// way round.
func (b *Browser) AheadBehind(ctx context.Context, s *gitfs.Snapshot, commit, other git.ObjectID) (ahead, behind int, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	defer v.Release()
	more, _, err := v.graph.Between(ctx, []git.ObjectID{commit}, []git.ObjectID{other})
	if err != nil {
		return 0, 0, err
	}
	less, _, err := v.graph.Between(ctx, []git.ObjectID{other}, []git.ObjectID{commit})
	return len(more), len(less), err
}
