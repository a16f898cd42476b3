package rules

import (
	"encoding/json"
	"slices"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// Pusher is who moves refs.
type Pusher struct {
	User      domain.UserID
	Groups    []domain.GroupID // all of the user's, if any restriction exempts groups
	AccessKey int64            // 0 if the push is not by one

	Names []string // what the user is called
	Email string

	// What the project and the repository are called, for messages.
	Project, Repository string
}

// owner is how a message names whose rules refuse a push.
func (p Pusher) owner(t string) string {
	name := p.Repository
	if t == project {
		name = p.Project
	}
	if name == "" {
		return "the " + t
	}
	return t + " " + name
}

const (
	project    = "project"
	repository = "repository"
)

// Effective is what is demanded of pushes to a repository.
type Effective struct {
	project, own []Restriction
	model        Model
	noForce      bool
	content      Content
}

// Combine is what the rules of a repository and of its project demand together; nil if
// that is nothing. Either may be nil.
func Combine(ofProject, ofRepository *State) *Effective {
	p, r := value(ofProject), value(ofRepository)
	push := r.Push.over(p.Push)
	e := &Effective{
		project: p.Restrictions, own: r.Restrictions, model: EffectiveModel(ofProject, ofRepository),
		noForce: value(push.RejectForcePush), content: contentOf(push, p, r),
	}
	if len(e.project) == 0 && len(e.own) == 0 && !e.noForce && e.content.None() {
		return nil
	}
	return e
}

// EffectiveModel is the branch model of a repository, or of a project if ofRepository is
// nil.
func EffectiveModel(ofProject, ofRepository *State) Model {
	for _, s := range []*State{ofRepository, ofProject} {
		if s != nil && s.Model != nil {
			return *s.Model
		}
	}
	return DefaultModel()
}

// EffectivePushRules are those of a repository with those of its project where it has none.
func EffectivePushRules(ofProject, ofRepository *State) PushRules {
	return value(ofRepository).Push.over(value(ofProject).Push)
}

// ExemptsGroups reports whether the groups of a pusher matter.
func (e *Effective) ExemptsGroups() bool {
	groups := func(r Restriction) bool { return len(r.Groups) > 0 }
	return e != nil && (slices.ContainsFunc(e.project, groups) || slices.ContainsFunc(e.own, groups))
}

// Content is what is demanded of the objects that a push brings.
func (e *Effective) Content() Content {
	if e == nil {
		return Content{}
	}
	return e.content
}

// Judge says why a ref must not be moved, nil if nothing speaks against it. defaultBranch
// is the full name of the repository's.
func (e *Effective) Judge(p Pusher, u git.RefUpdate, defaultBranch string) *Refusal {
	if e == nil || u.Old == u.New {
		return nil
	}
	for _, level := range []struct {
		of   string
		list []Restriction
	}{{project, e.project}, {repository, e.own}} {
		for _, r := range level.list {
			if r.Type.forbids(u) && r.Matcher.Matches(u.Name, defaultBranch, e.model) && !r.exempts(p) {
				return &Refusal{Rule: string(r.Type), Ref: u.Name, Text: r.refusal(u.Name, p.owner(level.of))}
			}
		}
	}
	if e.noForce && u.Forced {
		return &Refusal{Rule: RuleForcePush, Ref: u.Name, Text: u.Name + " must not be force-pushed: the push rule \"reject force push\" forbids to leave commits behind. Rebase or merge, and push without --force"}
	}
	return nil
}

// Content is what is demanded of the objects that a push brings. It is not changed once
// it is made.
type Content struct {
	MaxFileSize  int64 // of a file, in bytes; 0 is no limit
	Committer    bool  // is the pusher
	Author       bool  // is the pusher
	Message      string
	ExemptMerges bool
	Signed       bool
	Secrets      bool
	SecretRules  []SecretRule
	Allowances   []SecretRule

	// Mark is the same for the same demands: by it the one who appends a push knows that
	// it was inspected by what holds.
	Mark string `json:"-"`
}

// None reports whether nothing is demanded.
func (c Content) None() bool { return c.Mark == "" }

func contentOf(push PushRules, p, r State) Content {
	c := Content{
		MaxFileSize: value(push.MaxFileSize),
		Committer:   value(push.Committer).Enabled,
		Author:      value(push.Committer).Enabled && value(push.Committer).Author,
		Message:     value(push.Message).Pattern, ExemptMerges: value(push.Message).ExemptMerges,
		Signed: value(push.Signed), Secrets: value(push.ScanSecrets),
	}
	if c.Secrets {
		c.SecretRules = slices.Concat(p.SecretRules, r.SecretRules)
		c.Allowances = slices.Concat(p.Allowances, r.Allowances)
	}
	if c.MaxFileSize == 0 && !c.Committer && c.Message == "" && !c.Signed && !c.Secrets {
		return Content{}
	}
	mark, _ := json.Marshal(c) // numbers, truths and texts
	c.Mark = string(mark)
	return c
}

// Refusal is a ref that a rule keeps where it is.
type Refusal struct {
	Rule   string // the type of a restriction, or one of the Rule constants
	Ref    string // full name
	Text   string // what the pusher is told: what is wrong, and what to do
	Commit git.ObjectID
	Path   string // of the file, "" if it is not about one
	Line   int    // in the file, from 1; 0 if it is not about one
}

// The push rules, as refusals name them.
const (
	RuleForcePush = "reject-force-push"
	RuleFileSize  = "max-file-size"
	RuleCommitter = "verify-committer"
	RuleMessage   = "commit-message"
	RuleSigned    = "signed-commits"
	RuleSecrets   = "secret-scanning"
	RuleChanged   = "push-rules-changed"
)

// RefuseStale refuses a push whose objects were not inspected by what is demanded now. mark
// is that of what they were inspected by.
func (e *Effective) RefuseStale(ref, mark string) *Refusal {
	if content := e.Content(); content.None() || content.Mark == mark {
		return nil
	}
	return &Refusal{Rule: RuleChanged, Ref: ref, Text: "the push rules were changed while this push was under way. Push again"}
}
