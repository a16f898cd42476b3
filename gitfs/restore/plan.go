package restore

import (
	"context"
	"strconv"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

// MaxUpdates is how many refs a restore may move: they are one event.
const MaxUpdates = 50_000

// Planner makes plans. It is safe for concurrent use.
type Planner struct {
	store   *store.Store
	commits *revwalk.Cache
}

// NewPlanner makes a Planner. The cache may be shared with others, or nil.
func NewPlanner(s *store.Store, commits *revwalk.Cache) *Planner {
	return &Planner{store: s, commits: commits}
}

// Plan is the push that brings the refs and the default branch of now to what they were
// then, or only one ref if its full name is given. It is atomic, and moves each ref from
// where it is in now: what somebody else has moved meanwhile is not written over. The
// errors are *domain.InvalidError, *domain.NotFoundError and *domain.ConflictError, and
// those of the store.
func (p *Planner) Plan(ctx context.Context, now, then *gitfs.Snapshot, ref string) (repository.PushRefs, error) {
	push := repository.PushRefs{Atomic: true, Options: []string{repository.RestoreOption + strconv.FormatInt(then.Position, 10)}}
	if ref == "" {
		push.Updates = changes(now.Refs, then.Refs)
		if then.Head != now.Head {
			push.DefaultBranch = then.Head
		}
	} else if u, err := change(now, then, ref); err != nil {
		return push, err
	} else if u.Old != u.New {
		push.Updates = []git.RefUpdate{u}
	}
	if len(push.Updates) > MaxUpdates {
		return push, domain.Invalid("ref", "%d refs would move, and at most %d can at once. Restore them one by one.", len(push.Updates), MaxUpdates)
	}
	return push, p.markForced(ctx, now, push.Updates)
}

// change is the one move that brings a ref back.
func change(now, then *gitfs.Snapshot, name string) (git.RefUpdate, error) {
	if err := git.CheckRefName(name); err != nil {
		return git.RefUpdate{}, domain.Invalid("ref", "%s.", err)
	}
	is, exists := now.Refs.Get(name)
	was, existed := then.Refs.Get(name)
	switch {
	case !exists && !existed:
		return git.RefUpdate{}, domain.NotFound("branch", "The ref %q exists neither now nor at position %d.", name, then.Position)
	case !existed && name == now.Head:
		return git.RefUpdate{}, domain.Conflict("ref", "%q did not exist at position %d and is the default branch now: make another branch the default before.", name, then.Position)
	}
	return git.RefUpdate{Name: name, Old: is.ID, New: was.ID, Peeled: was.Peeled}, nil
}

// changes are the moves that make then of now, by name.
func changes(now, then gitfs.Refs) []git.RefUpdate {
	var updates []git.RefUpdate
	for was := range then.Prefixed("") {
		if is, _ := now.Get(was.Name); is.ID != was.ID {
			updates = append(updates, git.RefUpdate{Name: was.Name, Old: is.ID, New: was.ID, Peeled: was.Peeled})
		}
	}
	for is := range now.Prefixed("") {
		if _, existed := then.Get(is.Name); !existed {
			updates = append(updates, git.RefUpdate{Name: is.Name, Old: is.ID})
		}
	}
	return updates
}

// markForced marks the moves that leave commits behind, as going back mostly does.
func (p *Planner) markForced(ctx context.Context, now *gitfs.Snapshot, updates []git.RefUpdate) error {
	objects, err := p.store.Objects(ctx, now.Storage, now.Packs)
	if err != nil {
		return err
	}
	defer objects.Release()
	graph := revwalk.NewGraph(objects, p.commits)
	for i := range updates {
		u := &updates[i]
		if u.IsCreate() || u.IsDelete() {
			continue
		}
		target, t, tags, err := graph.Peel(ctx, u.New)
		if err != nil {
			return err
		}
		was, _, err := objects.Header(ctx, u.Old)
		if err != nil {
			return err
		}
		contained := false
		for _, tag := range tags {
			contained = contained || tag == u.Old
		}
		if !contained && t == object.TypeCommit && was == object.TypeCommit {
			if contained, err = graph.IsAncestor(ctx, u.Old, target); err != nil {
				return err
			}
		}
		u.Forced = !contained
	}
	return nil
}

// Refused says why a plan was not carried out, or is nil.
func Refused(results []git.RefResult) error {
	var reasons []string
	for _, r := range results {
		if r.Rule != "" {
			return domain.Conflict("", "Nothing was restored, because a rule forbids it: %s.", r.Reason)
		}
	}
	for _, r := range results {
		if !r.OK() && r.Reason != repository.ReasonAtomic {
			reasons = append(reasons, r.Name+": "+r.Reason)
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	const most = 5
	if more := len(reasons) - most; more > 0 {
		reasons = append(reasons[:most], "and "+strconv.Itoa(more)+" more")
	}
	return domain.Conflict("", "Nothing was restored, because refs have moved meanwhile (%s). Try again.", strings.Join(reasons, "; "))
}
