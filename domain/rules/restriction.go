package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
)

// Type is what a restriction forbids, by Bitbucket's name.
type Type string

// The types of restrictions.
const (
	ReadOnly        Type = "read-only"         // any change
	NoDeletes       Type = "no-deletes"        // deletion
	FastForwardOnly Type = "fast-forward-only" // moves that leave commits behind
	PullRequestOnly Type = "pull-request-only" // any change but by a pull request
	NoCreates       Type = "no-creates"        // creation
)

// Types are all of them.
var Types = []Type{ReadOnly, NoDeletes, FastForwardOnly, PullRequestOnly, NoCreates}

// forbids reports whether a restriction of the type speaks against a move of a ref.
func (t Type) forbids(u git.RefUpdate) bool {
	switch t {
	case NoDeletes:
		return u.IsDelete()
	case FastForwardOnly:
		return u.Forced
	case NoCreates:
		return u.IsCreate()
	}
	return true
}

// MatcherType is how a restriction names refs, by Bitbucket's name.
type MatcherType string

// The types of matchers.
const (
	AnyRef        MatcherType = "ANY_REF"        // all refs; the id is AnyRefID
	Branch        MatcherType = "BRANCH"         // the ref whose full name is the id
	Pattern       MatcherType = "PATTERN"        // see MatchPattern
	ModelCategory MatcherType = "MODEL_CATEGORY" // branches of a type of the branch model, such as FEATURE
	ModelBranch   MatcherType = "MODEL_BRANCH"   // Development or Production
)

// MatcherTypes are all of them.
var MatcherTypes = []MatcherType{AnyRef, Branch, Pattern, ModelCategory, ModelBranch}

// AnyRefID is the id of the matcher of all refs.
const AnyRefID = "ANY_REF_MATCHER_ID"

// Matcher names refs.
type Matcher struct {
	Type MatcherType `json:"type"`
	ID   string      `json:"id"`
}

// Matches reports whether the ref of that full name is meant. defaultBranch is the full
// name of the repository's.
func (m Matcher) Matches(ref, defaultBranch string, model Model) bool {
	switch m.Type {
	case AnyRef:
		return true
	case Branch:
		return ref == m.ID
	case Pattern:
		return MatchPattern(m.ID, ref)
	case ModelCategory:
		return model.category(m.ID, ref)
	case ModelBranch:
		return ref == model.Branch(m.ID, defaultBranch)
	}
	return false
}

// normal is the matcher as it is stored: a branch by its full name, the rest as the rules
// of its type demand. The error is a *domain.InvalidError.
func (m Matcher) normal() (Matcher, error) {
	const field = "matcher"
	switch m.Type {
	case AnyRef:
		m.ID = AnyRefID
	case Branch:
		if !strings.HasPrefix(m.ID, "refs/") {
			m.ID = branches + m.ID
		}
		if err := git.CheckRefName(m.ID); err != nil {
			return m, domain.Invalid(field, "%s.", err)
		}
	case Pattern:
		if err := CheckPattern(m.ID); err != nil {
			return m, err
		}
	case ModelCategory:
		m.ID = strings.ToUpper(m.ID)
		if !slices.Contains(Categories, m.ID) {
			return m, domain.Invalid(field, "%q is no category of the branch model: it must be one of %s.", clip(m.ID), strings.Join(Categories, ", "))
		}
	case ModelBranch:
		m.ID = strings.ToLower(m.ID)
		if m.ID != Development && m.ID != Production {
			return m, domain.Invalid(field, "%q is no branch of the branch model: it must be %s or %s.", clip(m.ID), Development, Production)
		}
	default:
		return m, domain.Invalid(field, "%q is no type of matchers.", clip(string(m.Type)))
	}
	return m, nil
}

// Restriction is a branch permission: it forbids something about some refs to all but
// some.
type Restriction struct {
	ID         int64            `json:"id"`
	Type       Type             `json:"type"`
	Matcher    Matcher          `json:"matcher"`
	Users      []domain.UserID  `json:"users,omitempty"` // exempt, as are the others
	Groups     []domain.GroupID `json:"groups,omitempty"`
	AccessKeys []int64          `json:"accessKeys,omitempty"`
}

// Same reports whether two restrictions forbid the same, so that there can be one of them.
func (r Restriction) Same(other Restriction) bool {
	m, err := other.Matcher.normal()
	return err == nil && r.Type == other.Type && r.Matcher == m
}

// Bounds of what one project or repository may have.
const (
	MaxRestrictions = 1000
	MaxExempt       = 1000 // users, groups or access keys of one restriction
)

// exempts reports whether a restriction does not hold for a pusher.
func (r Restriction) exempts(p Pusher) bool {
	return p.User != 0 && slices.Contains(r.Users, p.User) ||
		p.AccessKey != 0 && slices.Contains(r.AccessKeys, p.AccessKey) ||
		slices.ContainsFunc(p.Groups, func(g domain.GroupID) bool { return slices.Contains(r.Groups, g) })
}

// refusal says what is wrong and what to do.
func (r Restriction) refusal(ref, owner string) string {
	by := fmt.Sprintf("branch permission %d of %s", r.ID, owner)
	const ask = "Ask an administrator of it for an exemption"
	switch r.Type {
	case NoDeletes:
		return fmt.Sprintf("%s must not be deleted: %s. %s", ref, by, ask)
	case FastForwardOnly:
		return fmt.Sprintf("the history of %s must not be rewritten: %s. Rebase or merge, and push without --force", ref, by)
	case PullRequestOnly:
		return fmt.Sprintf("%s changes by pull requests only: %s. Push to another branch and open a pull request", ref, by)
	case NoCreates:
		return fmt.Sprintf("%s must not be created: %s. Choose another name, or ask an administrator of it for an exemption", ref, by)
	}
	return fmt.Sprintf("%s is read-only: %s. %s, or open a pull request from another branch", ref, by, ask)
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
