package repository

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
)

// PushRefs asks to move refs, each from the object its Old names. Objects, names
// and permissions have been checked before.
type PushRefs struct {
	Updates []git.RefUpdate
	Atomic  bool // move all or none
	Pack    *git.Pack
	Base    int64 // version of the stream on which Pack was made ready
	Options []string

	DefaultBranch string // if set, becomes the default branch together with the moves

	By        rules.Pusher // who is to be judged by the rules of the repository
	Inspected string       // Mark of the rules.Content by which the objects of Pack were inspected
}

// Bytes is roughly the size of the event that the push may become.
func (p PushRefs) Bytes() int {
	size := 0
	for _, u := range p.Updates {
		size += len(u.Name) + 160 // three ids and the names of the fields
	}
	for _, option := range p.Options {
		size += len(option)
	}
	return size
}

// Reasons for which a ref is not moved though nothing is wrong with it alone, as the
// pusher is shown them.
const (
	ReasonTwice  = "the push names this ref twice"
	ReasonAtomic = "atomic push failed: another ref was refused"
)

// CheckBase refuses a push whose pack was made ready before removed, the version of the
// stream at which packs were last removed: *PacksRemovedError, which names version, that
// of the stream now.
func CheckBase(p PushRefs, removed, version int64) error {
	if p.Pack != nil && p.Base < removed {
		return &PacksRemovedError{Version: version}
	}
	return nil
}

// DecidePush judges every update against the refs as they are. current gives the
// object a ref names, or zero; conflicts yields the existing refs that lie below
// name or that name lies below. Both are asked within the transaction that will
// move the refs.
//
// The results have the order of the updates, one each. A push that names a ref
// twice is refused whole. Deleting a ref that is not there succeeds and is no
// part of the event. The event is nil if no ref moves. demanded are the rules of the
// repository, nil for none; defaultBranch is the full name that they may speak of.
func DecidePush(current func(name string) git.ObjectID, conflicts func(name string) iter.Seq[string], demanded *rules.Effective, defaultBranch string, p PushRefs) (*RefsUpdated, []git.RefResult) {
	d := pushDecision{
		current: current, conflicts: conflicts, refusals: make([]*rules.Refusal, len(p.Updates)),
		rule: func(u git.RefUpdate) *rules.Refusal {
			if p.Pack != nil && !u.IsDelete() {
				if stale := demanded.RefuseStale(u.Name, p.Inspected); stale != nil {
					return stale
				}
			}
			return demanded.Judge(p.By, u, defaultBranch)
		},
		reasons: make([]string, len(p.Updates)),
		moved:   make(map[string]git.ObjectID, len(p.Updates)),
		parents: make(map[string]bool),
	}
	if !d.refuseTwice(p.Updates) {
		// Deletes first, so that "a" may give way to "a/b" whatever their order.
		d.judge(p.Updates, git.RefUpdate.IsDelete)
		d.judge(p.Updates, func(u git.RefUpdate) bool { return !u.IsDelete() })
	}
	results := make([]git.RefResult, len(p.Updates))
	failed := false
	for i, u := range p.Updates {
		results[i] = git.RefResult{Name: u.Name, Reason: d.reasons[i]}
		if refusal := d.refusals[i]; refusal != nil {
			results[i].Rule = refusal.Rule
		}
		failed = failed || d.reasons[i] != ""
	}
	if failed && p.Atomic {
		for i := range results {
			if results[i].OK() {
				results[i].Reason = ReasonAtomic
			}
		}
		return nil, results
	}
	event := RefsUpdated{Pack: p.Pack, Options: p.Options}
	for _, u := range p.Updates {
		if _, moved := d.moved[u.Name]; moved && u.Old != u.New {
			event.Updates = append(event.Updates, u)
		}
	}
	if len(event.Updates) == 0 {
		return nil, results
	}
	return &event, results
}

// pushDecision is the refs as they would be after the updates judged so far.
type pushDecision struct {
	current   func(string) git.ObjectID
	conflicts func(string) iter.Seq[string]
	rule      func(git.RefUpdate) *rules.Refusal
	reasons   []string
	refusals  []*rules.Refusal
	moved     map[string]git.ObjectID // zero: deleted by this push
	parents   map[string]bool         // folders of the refs this push makes
}

func (d *pushDecision) refuseTwice(updates []git.RefUpdate) bool {
	seen := make(map[string]bool, len(updates))
	twice := false
	for _, u := range updates {
		twice = twice || seen[u.Name]
		seen[u.Name] = true
	}
	if twice {
		for i := range updates {
			d.reasons[i] = ReasonTwice
		}
	}
	return twice
}

func (d *pushDecision) judge(updates []git.RefUpdate, which func(git.RefUpdate) bool) {
	for i, u := range updates {
		if !which(u) {
			continue
		}
		at := d.current(u.Name)
		switch {
		case u.IsDelete() && at.IsZero():
			continue
		case at != u.Old:
			d.reasons[i] = fmt.Sprintf("expected %s is at %s", u.Old, at)
			continue
		}
		if d.refusals[i] = d.rule(u); d.refusals[i] != nil {
			d.reasons[i] = d.refusals[i].Text
			continue
		}
		if u.IsCreate() {
			if other := d.inTheWay(u.Name); other != "" {
				d.reasons[i] = fmt.Sprintf("%q exists; cannot create %q", other, u.Name)
				continue
			}
			for parent := range git.Folders(u.Name) {
				d.parents[parent] = true
			}
		}
		d.moved[u.Name] = u.New
	}
}

// inTheWay finds a ref that cannot stand beside name: one that is a folder of
// name's or that name is a folder of.
func (d *pushDecision) inTheWay(name string) string {
	for other := range d.conflicts(name) {
		if id, moved := d.moved[other]; !moved || !id.IsZero() {
			return other
		}
	}
	for parent := range git.Folders(name) {
		if id, moved := d.moved[parent]; moved && !id.IsZero() {
			return parent
		}
	}
	if d.parents[name] {
		return name + "/"
	}
	return ""
}

// Branches that a repository's first push may make the default, in this order.
var usualBranches = []string{"refs/heads/main", "refs/heads/master"}

// FirstBranch picks the default branch of a repository that had no branch before a
// push: the one it is set to if the push makes it, else a usual one, else the first
// that the push makes. It returns "" if the default stays.
func FirstBranch(head string, moved []git.RefUpdate) string {
	var made []string
	for _, u := range moved {
		if u.IsDelete() || !strings.HasPrefix(u.Name, "refs/heads/") {
			continue
		}
		if u.Name == head {
			return ""
		}
		made = append(made, u.Name)
	}
	for _, usual := range usualBranches {
		if slices.Contains(made, usual) {
			return usual
		}
	}
	if len(made) == 0 {
		return ""
	}
	return made[0]
}
