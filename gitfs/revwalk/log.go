package revwalk

import (
	"context"
	"iter"

	"github.com/annal-git/annal/domain/git"
)

// Logged is a commit that Log has come by.
type Logged struct {
	ID git.ObjectID
	Commit
	Shown bool // what follow said of it
}

// Follow decides which parents of a commit a walk goes on to, and whether the
// commit itself is of interest.
type Follow func(ctx context.Context, id git.ObjectID, c Commit) (parents []git.ObjectID, shown bool, err error)

// Log walks from a commit back in time, newest first, passing over what can be
// reached from another one unless that is zero. It reads no further than it is
// asked to. An error is the last thing it yields.
func (g *Graph) Log(ctx context.Context, until, since git.ObjectID, follow Follow) iter.Seq2[Logged, error] {
	return func(yield func(Logged, error) bool) {
		if err := g.log(ctx, until, since, follow, func(l Logged) bool { return yield(l, nil) }); err != nil {
			yield(Logged{}, err)
		}
	}
}

func (g *Graph) log(ctx context.Context, until, since git.ObjectID, follow Follow, yield func(Logged) bool) error {
	inside := func(git.ObjectID) bool { return true }
	if !since.IsZero() {
		commits, _, err := g.Between(ctx, []git.ObjectID{until}, []git.ObjectID{since})
		if err != nil {
			return err
		}
		between := make(map[git.ObjectID]struct{}, len(commits))
		for _, id := range commits {
			between[id] = struct{}{}
		}
		inside = func(id git.ObjectID) bool { _, ok := between[id]; return ok }
	}
	var q queue
	seen := map[git.ObjectID]struct{}{}
	visit := func(ids []git.ObjectID) error {
		for _, id := range ids {
			if _, dup := seen[id]; dup || !inside(id) {
				continue
			}
			seen[id] = struct{}{}
			c, err := g.Commit(ctx, id)
			if err != nil {
				return err
			}
			q.push(id, c)
		}
		return nil
	}
	if err := visit([]git.ObjectID{until}); err != nil {
		return err
	}
	for q.len() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		next := q.pop()
		parents, shown, err := follow(ctx, next.id, next.Commit)
		if err != nil {
			return err
		}
		if err := visit(parents); err != nil {
			return err
		}
		if !yield(Logged{ID: next.id, Commit: next.Commit, Shown: shown}) {
			return nil
		}
	}
	return nil
}
