package receivepack

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
)

const (
	reasonHidden   = "deny updating a hidden ref"
	reasonCurrent  = "deletion of the current branch prohibited"
	reasonFull     = "the server has no room left, tell its operator"
	reasonUnpacker = "unpacker error"
)

// judgeNames refuses what can be refused without the objects: names, hidden refs,
// missing permissions, and old values and neighbours that do not fit.
func (p *push) judgeNames(ctx context.Context) {
	if p.namesTwice() {
		p.refuseAll(repository.ReasonTwice)
		return
	}
	snapshot := p.repo.Snapshot
	for i := range p.commands {
		c := &p.commands[i]
		var invalid *git.RefNameError
		if err := git.CheckRefName(c.Name); errors.As(err, &invalid) {
			// The report names the ref already.
			c.reason = "invalid ref name: " + invalid.Reason
			continue
		}
		switch {
		case p.isHidden(c.Name):
			c.reason = reasonHidden
		case c.IsDelete() && c.Name == snapshot.Head:
			c.reason = reasonCurrent
		case p.repo.Allow != nil:
			c.reason = oneLine(p.repo.Allow(ctx, c.RefUpdate))
		}
	}
	pending := p.pending()
	_, results := repository.DecidePush(current(snapshot.Refs), conflicts(snapshot.Refs), p.demanded, snapshot.Head,
		repository.PushRefs{Updates: updates(pending), By: p.pusher})
	for i, c := range pending {
		p.settle(c, results[i])
		if c.reason == "" && c.IsDelete() {
			_, exists := snapshot.Refs.Get(c.Name)
			c.missing = !exists
		}
	}
	p.settleAtomic()
}

func (p *push) namesTwice() bool {
	seen := make(map[string]struct{}, len(p.commands))
	for _, c := range p.commands {
		seen[c.Name] = struct{}{}
	}
	return len(seen) < len(p.commands)
}

func (p *push) isHidden(name string) bool {
	return slices.ContainsFunc(p.server.config.Hidden, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// pending returns the commands that nothing speaks against so far.
func (p *push) pending() []*command {
	var pending []*command
	for i := range p.commands {
		if p.commands[i].reason == "" {
			pending = append(pending, &p.commands[i])
		}
	}
	return pending
}

func (p *push) refuseAll(reason string) {
	for i := range p.commands {
		if p.commands[i].reason == "" {
			p.commands[i].reason = reason
		}
	}
}

// settleAtomic refuses all of an atomic push if one ref was refused.
func (p *push) settleAtomic() {
	if p.atomic && len(p.pending()) < len(p.commands) {
		p.refuseAll(repository.ReasonAtomic)
	}
}

func updates(commands []*command) []git.RefUpdate {
	list := make([]git.RefUpdate, len(commands))
	for i, c := range commands {
		list[i] = c.RefUpdate
	}
	return list
}

func current(refs gitfs.Refs) func(string) git.ObjectID {
	return func(name string) git.ObjectID {
		ref, _ := refs.Get(name)
		return ref.ID
	}
}

// conflicts yields the refs that cannot stand beside one of that name.
func conflicts(refs gitfs.Refs) func(string) iter.Seq[string] {
	return func(name string) iter.Seq[string] {
		return func(yield func(string) bool) {
			for folder := range git.Folders(name) {
				if ref, ok := refs.Get(folder); ok && !yield(ref.Name) {
					return
				}
			}
			for ref := range refs.Prefixed(name + "/") {
				if !yield(ref.Name) {
					return
				}
			}
		}
	}
}

// judgeObjects refuses updates to objects that are not there or of the wrong type,
// and fills in what the log wants to know of the others.
func (p *push) judgeObjects(ctx context.Context) error {
	for _, c := range p.pending() {
		if c.IsDelete() {
			continue
		}
		if !p.reader.Has(c.New) {
			c.reason = "missing necessary objects"
			continue
		}
		target, t, tags, err := p.graph.Peel(ctx, c.New)
		if err != nil {
			return err
		}
		if strings.HasPrefix(c.Name, "refs/heads/") && (t != object.TypeCommit || len(tags) > 0) {
			what := t
			if len(tags) > 0 {
				what = object.TypeTag
			}
			c.reason = fmt.Sprintf("not a commit: %s is a %s", c.New, what)
			continue
		}
		if len(tags) > 0 {
			c.Peeled = target
		}
		if !c.Old.IsZero() {
			contains, err := p.contains(ctx, target, t, tags, c.Old)
			if err != nil {
				return err
			}
			if c.Forced = !contains; c.Forced {
				p.judgeForced(c)
			}
		}
	}
	p.settleAtomic()
	return nil
}

// contains reports whether an object, given as what Peel found of it, contains the
// old one: is the same, a tag of it, or a descendant.
func (p *push) contains(ctx context.Context, target git.ObjectID, t object.Type, tags []git.ObjectID, old git.ObjectID) (bool, error) {
	if target == old || slices.Contains(tags, old) {
		return true, nil
	}
	was, _, err := p.reader.Header(ctx, old)
	if err != nil {
		return false, err
	}
	if t != object.TypeCommit || was != object.TypeCommit {
		return false, nil
	}
	return p.graph.IsAncestor(ctx, old, target)
}
