package rules

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/annal-git/annal/domain"
)

// Command is something one may ask about the rules of a target.
type Command interface{ command() }

// SetRestrictions makes branch permissions, all or none. One for which there is one of
// the same type and matcher replaces it, and gets its id; the others have fresh ids.
type SetRestrictions struct{ Restrictions []Restriction }

// RemoveRestriction ends a branch permission. One that is not there is removed already.
type RemoveRestriction struct{ ID int64 }

// SetModel configures the branch model; nil takes the configuration back.
type SetModel struct{ Model *Model }

// SetPushRules changes push rules: what change makes of them as they are.
type SetPushRules struct{ Change func(*PushRules) }

// SetSecretRule makes a rule that tells secrets, or changes the one of its id.
type SetSecretRule struct {
	Rule   SecretRule
	Exists bool // it must be there; else its id is a fresh one
}

// RemoveSecretRule ends a rule that tells secrets.
type RemoveSecretRule struct{ ID int64 }

// SetAllowance is SetSecretRule of what is no secret.
type SetAllowance struct {
	Rule   SecretRule
	Exists bool
}

// RemoveAllowance is RemoveSecretRule of what is no secret.
type RemoveAllowance struct{ ID int64 }

func (SetRestrictions) command()   {}
func (RemoveRestriction) command() {}
func (SetModel) command()          {}
func (SetPushRules) command()      {}
func (SetSecretRule) command()     {}
func (RemoveSecretRule) command()  {}
func (SetAllowance) command()      {}
func (RemoveAllowance) command()   {}

// Decide judges a command about the rules of t. It returns no event when nothing would
// change. Errors are *domain.InvalidError, *domain.ConflictError and *domain.NotFoundError.
func Decide(s State, t Target, command Command) ([]domain.Event, error) {
	switch c := command.(type) {
	case SetRestrictions:
		return c.decide(s, t)
	case SetModel:
		return c.decide(s, t)
	case SetPushRules:
		return c.decide(s, t)
	case SetSecretRule:
		return c.decide(s, t)
	case SetAllowance:
		return c.decide(s, t)
	case RemoveRestriction:
		if r, ok := s.Restriction(c.ID); ok {
			return one(RestrictionRemoved{Target: t, Restriction: r}), nil
		}
	case RemoveSecretRule:
		if r, ok := s.SecretRule(c.ID); ok {
			return one(SecretRuleRemoved{Target: t, Rule: r}), nil
		}
	case RemoveAllowance:
		if r, ok := s.Allowance(c.ID); ok {
			return one(AllowanceRemoved{Target: t, Rule: r}), nil
		}
	}
	return nil, nil
}

func one(event domain.Event) []domain.Event { return []domain.Event{event} }

func (c SetRestrictions) decide(s State, t Target) ([]domain.Event, error) {
	var events []domain.Event
	for _, r := range c.Restrictions {
		event, err := setRestriction(s, t, r)
		if err != nil {
			return nil, err
		}
		if event != nil {
			events, s = append(events, event), Evolve(s, event)
		}
	}
	return events, nil
}

func setRestriction(s State, t Target, r Restriction) (domain.Event, error) {
	if !slices.Contains(Types, r.Type) {
		return nil, domain.Invalid("type", "%q is no type of restrictions.", clip(string(r.Type)))
	}
	var err error
	if r.Matcher, err = r.Matcher.normal(); err != nil {
		return nil, err
	}
	r.Users, r.Groups, r.AccessKeys = sorted(r.Users), sorted(r.Groups), sorted(r.AccessKeys)
	if max(len(r.Users), len(r.Groups), len(r.AccessKeys)) > MaxExempt {
		return nil, domain.Invalid("users", "At most %d users, groups or access keys can be exempt from a restriction.", MaxExempt)
	}
	event := RestrictionSet{Target: t, Restriction: r}
	for _, is := range s.Restrictions {
		if is.Same(r) {
			event.Restriction.ID, event.Old = is.ID, &is
		}
	}
	switch {
	case event.Old != nil && reflect.DeepEqual(*event.Old, event.Restriction):
		return nil, nil
	case event.Old == nil && len(s.Restrictions) >= MaxRestrictions:
		return nil, domain.Conflict("", "A %s can have at most %d branch permissions.", t.kind(), MaxRestrictions)
	}
	return event, nil
}

func sorted[T cmp.Ordered](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func (c SetModel) decide(s State, t Target) ([]domain.Event, error) {
	event := ModelSet{Target: t, Old: s.Model}
	if c.Model != nil {
		model, err := c.Model.normal()
		if err != nil {
			return nil, err
		}
		event.Model = &model
	}
	if reflect.DeepEqual(event.Old, event.Model) {
		return nil, nil
	}
	return one(event), nil
}

func (c SetPushRules) decide(s State, t Target) ([]domain.Event, error) {
	changed := s.Push
	c.Change(&changed)
	if err := changed.check(); err != nil {
		return nil, err
	}
	if reflect.DeepEqual(changed, s.Push) {
		return nil, nil
	}
	return one(PushRulesSet{Target: t, Old: s.Push, Rules: changed}), nil
}

func (c SetSecretRule) decide(s State, t Target) ([]domain.Event, error) {
	old, err := checkSecretRule(s.SecretRules, t, c.Rule, c.Exists)
	if err != nil || old != nil && *old == c.Rule {
		return nil, err
	}
	return one(SecretRuleSet{Target: t, Rule: c.Rule, Old: old}), nil
}

func (c SetAllowance) decide(s State, t Target) ([]domain.Event, error) {
	old, err := checkSecretRule(s.Allowances, t, c.Rule, c.Exists)
	if err != nil || old != nil && *old == c.Rule {
		return nil, err
	}
	return one(AllowanceSet{Target: t, Rule: c.Rule, Old: old}), nil
}

// checkSecretRule returns the rule of a list that another shall replace, if there is one.
func checkSecretRule(list []SecretRule, t Target, r SecretRule, exists bool) (*SecretRule, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	old, found := find(list, r.ID, secretRuleID)
	switch {
	case found:
		return &old, nil
	case exists:
		return nil, domain.NotFound("rule", "The %s has no rule %d.", t.kind(), r.ID)
	case len(list) >= MaxSecretRules:
		return nil, domain.Conflict("", "A %s can have at most %d of these rules.", t.kind(), MaxSecretRules)
	}
	return nil, nil
}
