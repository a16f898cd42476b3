package rules

import "github.com/annal-git/annal/domain"

// RestrictionSet makes a branch permission, or changes who is exempt from one.
type RestrictionSet struct {
	Target
	Restriction Restriction  `json:"restriction"`
	Old         *Restriction `json:"old,omitempty"`
}

// EventType implements domain.Event.
func (RestrictionSet) EventType() string { return "rules.restriction_set.v1" }

// RestrictionRemoved ends a branch permission.
type RestrictionRemoved struct {
	Target
	Restriction Restriction `json:"restriction"` // as it was
}

// EventType implements domain.Event.
func (RestrictionRemoved) EventType() string { return "rules.restriction_removed.v1" }

// ModelSet configures a branch model.
type ModelSet struct {
	Target
	Old   *Model `json:"old,omitempty"`
	Model *Model `json:"model,omitempty"` // nil: that of the project, or Bitbucket's
}

// EventType implements domain.Event.
func (ModelSet) EventType() string { return "rules.branch_model_set.v1" }

// PushRulesSet changes push rules.
type PushRulesSet struct {
	Target
	Old   PushRules `json:"old"`
	Rules PushRules `json:"rules"`
}

// EventType implements domain.Event.
func (PushRulesSet) EventType() string { return "rules.push_rules_set.v1" }

// SecretRuleSet makes or changes a rule that tells secrets.
type SecretRuleSet struct {
	Target
	Rule SecretRule  `json:"rule"`
	Old  *SecretRule `json:"old,omitempty"`
}

// EventType implements domain.Event.
func (SecretRuleSet) EventType() string { return "rules.secret_rule_set.v1" }

// SecretRuleRemoved ends a rule that tells secrets.
type SecretRuleRemoved struct {
	Target
	Rule SecretRule `json:"rule"`
}

// EventType implements domain.Event.
func (SecretRuleRemoved) EventType() string { return "rules.secret_rule_removed.v1" }

// AllowanceSet makes or changes a rule that tells what is no secret.
type AllowanceSet struct {
	Target
	Rule SecretRule  `json:"rule"`
	Old  *SecretRule `json:"old,omitempty"`
}

// EventType implements domain.Event.
func (AllowanceSet) EventType() string { return "rules.secret_allowance_set.v1" }

// AllowanceRemoved ends a rule that tells what is no secret.
type AllowanceRemoved struct {
	Target
	Rule SecretRule `json:"rule"`
}

// EventType implements domain.Event.
func (AllowanceRemoved) EventType() string { return "rules.secret_allowance_removed.v1" }

// EventTypes is what the names of all types above begin with, and of no others.
const EventTypes = "rules."

var _ = []domain.Event{
	RestrictionSet{}, RestrictionRemoved{}, ModelSet{}, PushRulesSet{},
	SecretRuleSet{}, SecretRuleRemoved{}, AllowanceSet{}, AllowanceRemoved{},
}
