package rules

import (
	"slices"

	"github.com/annal-git/annal/domain"
)

// State is the rules of one project or repository. It is not changed once it is made.
type State struct {
	Restrictions []Restriction `json:"restrictions,omitempty"` // by id, as the other lists
	Model        *Model        `json:"model,omitempty"`
	Push         PushRules     `json:"push"`
	SecretRules  []SecretRule  `json:"secretRules,omitempty"`
	Allowances   []SecretRule  `json:"allowances,omitempty"`
}

// Evolve folds one event into the state. Events of other aggregates in the same stream
// leave it as it is.
func Evolve(s State, event domain.Event) State {
	switch e := event.(type) {
	case RestrictionSet:
		s.Restrictions = with(s.Restrictions, e.Restriction, restrictionID)
	case RestrictionRemoved:
		s.Restrictions = without(s.Restrictions, e.Restriction.ID, restrictionID)
	case ModelSet:
		s.Model = e.Model
	case PushRulesSet:
		s.Push = e.Rules
	case SecretRuleSet:
		s.SecretRules = with(s.SecretRules, e.Rule, secretRuleID)
	case SecretRuleRemoved:
		s.SecretRules = without(s.SecretRules, e.Rule.ID, secretRuleID)
	case AllowanceSet:
		s.Allowances = with(s.Allowances, e.Rule, secretRuleID)
	case AllowanceRemoved:
		s.Allowances = without(s.Allowances, e.Rule.ID, secretRuleID)
	}
	return s
}

// TargetOf returns whose rules an event changes; ok is false if it changes none.
func TargetOf(event domain.Event) (t Target, ok bool) {
	switch e := event.(type) {
	case RestrictionSet:
		return e.Target, true
	case RestrictionRemoved:
		return e.Target, true
	case ModelSet:
		return e.Target, true
	case PushRulesSet:
		return e.Target, true
	case SecretRuleSet:
		return e.Target, true
	case SecretRuleRemoved:
		return e.Target, true
	case AllowanceSet:
		return e.Target, true
	case AllowanceRemoved:
		return e.Target, true
	}
	return Target{}, false
}

// Restriction finds a branch permission by its id.
func (s State) Restriction(id int64) (Restriction, bool) {
	return find(s.Restrictions, id, restrictionID)
}

// SecretRule finds a rule that tells secrets by its id.
func (s State) SecretRule(id int64) (SecretRule, bool) { return find(s.SecretRules, id, secretRuleID) }

// Allowance finds a rule that tells what is no secret by its id.
func (s State) Allowance(id int64) (SecretRule, bool) { return find(s.Allowances, id, secretRuleID) }

// Bytes is roughly the memory that the state takes.
func (s State) Bytes() int64 {
	n := 256
	for _, r := range s.Restrictions {
		n += 160 + len(r.Matcher.ID) + 8*(len(r.Users)+len(r.Groups)+len(r.AccessKeys))
	}
	for _, list := range [][]SecretRule{s.SecretRules, s.Allowances} {
		for _, r := range list {
			n += 80 + len(r.Name) + len(r.LineRegex) + len(r.PathRegex)
		}
	}
	return int64(n)
}

func restrictionID(r Restriction) int64 { return r.ID }
func secretRuleID(r SecretRule) int64   { return r.ID }

func find[T any](list []T, id int64, idOf func(T) int64) (v T, ok bool) {
	i := slices.IndexFunc(list, func(v T) bool { return idOf(v) == id })
	if i < 0 {
		return v, false
	}
	return list[i], true
}

// with is a copy of a list with v in place of the one with its id, or at its place.
func with[T any](list []T, v T, idOf func(T) int64) []T {
	i, found := slices.BinarySearchFunc(list, idOf(v), func(v T, id int64) int { return int(min(1, max(-1, idOf(v)-id))) })
	list = slices.Clone(list)
	if found {
		list[i] = v
		return list
	}
	return slices.Insert(list, i, v)
}

// without is a copy of a list without the one with an id.
func without[T any](list []T, id int64, idOf func(T) int64) []T {
	var rest []T
	for _, v := range list {
		if idOf(v) != id {
			rest = append(rest, v)
		}
	}
	return rest
}
