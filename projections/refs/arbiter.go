package refs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/eventstore"
	ruled "github.com/annal-git/annal/projections/rules"
)

// Arbiter decides pushes and what maintenance does to packs: claims whose command is a
// repository.PushRefs, CombinePacks or RemovePacks on a repository's stream. The outcome
// of a push is a []git.RefResult. It decides on the snapshots of a
// Reader's cache and moves them when the pushes are in the log. It implements
// eventstore.Arbiter.
type Arbiter struct{ reader *Reader }

// NewArbiter makes an arbiter on the cache of a reader.
func NewArbiter(reader *Reader) Arbiter { return Arbiter{reader} }

// pending is what the arbiter keeps with a claim.
type pending struct {
	entry *entry           // stays in memory with the claim, whatever the cache drops
	on    *Snapshot        // the state that the claim was decided on
	under *ruled.OfProject // the rules that it was decided under
	read  *ruled.OfProject // the rules that were read for it last
	next  *Snapshot        // once the claim's events are in the log; nil if there are none
}

// Warm implements eventstore.Arbiter. A repository that is not there is a
// *domain.NotFoundError.
func (a Arbiter) Warm(ctx context.Context, claim *eventstore.Claim) error {
	id, ok := repositoryOf(claim.Stream)
	switch claim.Command.(type) {
	case repository.PushRefs, repository.CombinePacks, repository.RemovePacks:
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("no arbiter for a %T on %s", claim.Command, claim.Stream)
	}
	p := &pending{entry: a.reader.cache.entry(id)}
	claim.State = p
	cached, _ := p.entry.state()
	if cached == nil {
		if _, err := a.reader.current(ctx, p.entry); err != nil {
			return err
		}
		cached, _ = p.entry.state()
	}
	of, err := a.reader.projects.Get(ctx, cached.project)
	if err != nil {
		return err
	}
	p.read = of
	return p.decide(claim, cached, of)
}

// Refresh implements eventstore.Arbiter.
func (a Arbiter) Refresh(ctx context.Context, tx pgx.Tx, claims []*eventstore.Claim) error {
	head, err := a.reader.log.HeadIn(ctx, tx)
	if err != nil {
		return err
	}
	entries := map[*entry]*eventstore.Tail{}
	var tails []*eventstore.Tail
	for _, claim := range claims {
		e := claim.State.(*pending).entry
		if entries[e] == nil {
			cached, seen := e.state()
			entries[e] = tailOf(cached, seen)
			tails = append(tails, entries[e])
		}
	}
	if err := a.reader.log.ReadTails(ctx, tx, tails...); err != nil {
		return err
	}
	rules := map[*entry]*ruled.OfProject{}
	for e, tail := range entries {
		cached, _ := e.state()
		if cached.Version != tail.Version { // a reader was faster
			tail.Events = behind(tail.Events, cached.Version)
		}
		fresh, err := cached.after(tail.Events)
		if err != nil {
			return err
		}
		fresh = a.reader.cache.put(e, fresh, head)
		if rules[e], err = a.reader.projects.Read(ctx, tx, fresh.project, head); err != nil {
			return err
		}
	}
	for _, claim := range claims {
		p := claim.State.(*pending)
		p.read = rules[p.entry]
	}
	return nil
}

// errUnruled refuses a claim on a repository that has moved to a project whose rules are
// not in memory. It is not the answer: the log has the claim decided again after Refresh,
// which reads them.
var errUnruled = errors.New("the rules of the project are not in memory")

// behind drops the events up to a version.
func behind(events []domain.Recorded, version int64) []domain.Recorded {
	for len(events) > 0 && events[0].Version <= version {
		events = events[1:]
	}
	return events
}

// Decide implements eventstore.Arbiter.
func (a Arbiter) Decide(claims []*eventstore.Claim) error {
	working := map[domain.Stream]*Snapshot{}
	for _, claim := range claims {
		p := claim.State.(*pending)
		cached, seen := p.entry.state()
		before := working[claim.Stream]
		if before == nil {
			before = cached
		}
		of := a.reader.projects.Kept(before.project)
		if of == nil {
			of = p.read // there was no more room
		}
		if of.Project != before.project {
			claim.Undecided()
			claim.Err, p.on, p.next = errUnruled, nil, nil
			continue
		}
		if err := p.decide(claim, before, of); err != nil {
			return err
		}
		claim.Known, claim.Ruled = seen, of.Epoch
		if p.next != nil {
			working[claim.Stream] = p.next
		}
	}
	return nil
}

// decide decides a claim on a state and under rules, unless that was done before.
func (p *pending) decide(claim *eventstore.Claim, on *Snapshot, of *ruled.OfProject) (err error) {
	if p.on == on && p.under.State == of.State {
		return nil
	}
	claim.Undecided()
	claim.Version = on.Version
	p.on, p.under, p.next = on, of, nil
	if err := decide(claim, on, on.demanded(of)); err != nil || len(claim.Events) == 0 {
		return err
	}
	p.next, err = on.after(recorded(claim))
	return err
}

// decide fills in the events and the outcome of a claim on a repository as it is.
func decide(claim *eventstore.Claim, s *Snapshot, demanded *rules.Effective) error {
	if !s.exists() {
		claim.Err = domain.NotFound("repository", "The repository no longer exists.")
		return nil
	}
	switch command := claim.Command.(type) {
	case repository.CombinePacks:
		event, err := repository.DecideCombine(s.lists, s.removed, s.Version, command)
		if claim.Err = err; err == nil {
			claim.Events = []domain.Event{*event}
		}
	case repository.RemovePacks:
		if event := repository.DecideRemove(s.lists, command); event != nil {
			claim.Events = []domain.Event{*event}
		}
	case repository.PushRefs:
		decidePush(claim, s, demanded, command)
	}
	return nil
}

func decidePush(claim *eventstore.Claim, s *Snapshot, demanded *rules.Effective, push repository.PushRefs) {
	if claim.Err = repository.CheckBase(push, s.removed, s.Version); claim.Err != nil {
		return
	}
	event, results := repository.DecidePush(
		func(name string) git.ObjectID { ref, _ := s.Refs.Get(name); return ref.ID },
		func(name string) iter.Seq[string] { return s.Refs.inTheWay(name) },
		demanded, s.Head, push)
	claim.Outcome = results
	claim.Refused = slices.ContainsFunc(results, func(r git.RefResult) bool { return !r.OK() })
	if event != nil {
		claim.Events = []domain.Event{*event}
	}
	switch {
	case push.DefaultBranch != "":
		if push.DefaultBranch != s.Head && !claim.Refused {
			claim.Events = append(claim.Events, repository.DefaultBranchChanged{ID: s.Repository, Old: s.Head, New: push.DefaultBranch})
		}
	case event != nil && !s.hasBranches():
		if first := repository.FirstBranch(s.Head, event.Updates); first != "" {
			claim.Events = append(claim.Events, repository.DefaultBranchChanged{ID: s.Repository, Old: s.Head, New: first})
		}
	}
}

// recorded are the events of a claim as the log will have them, but for their positions.
func recorded(claim *eventstore.Claim) []domain.Recorded {
	events := make([]domain.Recorded, len(claim.Events))
	for i, e := range claim.Events {
		events[i] = domain.Recorded{Stream: claim.Stream, Version: claim.Version + int64(i) + 1, Event: e}
	}
	return events
}

// Committed implements eventstore.Arbiter.
func (a Arbiter) Committed(claims []*eventstore.Claim) {
	for _, claim := range claims {
		p, last := claim.State.(*pending), claim.Recorded[len(claim.Recorded)-1]
		p.next.Position = last.Position
		a.reader.cache.put(p.entry, p.next, last.Position)
	}
}
