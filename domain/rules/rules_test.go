package rules_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
)

var (
	here  = rules.Target{Repository: 42}
	a, b  = git.ObjectID{1}, git.ObjectID{2}
	yes   = true
	no    = false
	size  = int64(10)
	moves = map[string]git.RefUpdate{
		"create": {New: a}, "move": {Old: a, New: b}, "force": {Old: a, New: b, Forced: true}, "delete": {Old: a},
	}
)

func decide(t *testing.T, s rules.State, commands ...rules.Command) rules.State {
	t.Helper()
	for _, command := range commands {
		events, err := rules.Decide(s, here, command)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range events {
			s = rules.Evolve(s, event)
		}
	}
	return s
}

func restriction(id int64, kind rules.Type, matcher rules.MatcherType, name string, users ...domain.UserID) rules.SetRestrictions {
	return rules.SetRestrictions{Restrictions: []rules.Restriction{{ID: id, Type: kind, Matcher: rules.Matcher{Type: matcher, ID: name}, Users: users}}}
}

func TestWhatEachTypeForbids(t *testing.T) {
	t.Parallel()
	for kind, forbidden := range map[rules.Type]string{
		rules.ReadOnly: "create move force delete", rules.PullRequestOnly: "create move force delete",
		rules.NoDeletes: "delete", rules.FastForwardOnly: "force", rules.NoCreates: "create",
	} {
		state := decide(t, rules.State{}, restriction(12, kind, rules.Branch, "main"))
		demanded := rules.Combine(&state, nil)
		for name, u := range moves {
			u.Name = "refs/heads/main"
			refusal := demanded.Judge(rules.Pusher{User: 1, Project: "PRJ"}, u, "refs/heads/main")
			if (refusal != nil) != strings.Contains(forbidden, name) {
				t.Errorf("%s: %s is refused: %+v", kind, name, refusal)
			}
			if refusal != nil && (refusal.Rule != string(kind) || refusal.Ref != u.Name || !strings.Contains(refusal.Text, u.Name) || !strings.Contains(refusal.Text, "branch permission 12 of project PRJ")) {
				t.Errorf("%s: %+v", kind, refusal)
			}
			u.Name = "refs/heads/main2"
			if refusal := demanded.Judge(rules.Pusher{}, u, ""); refusal != nil {
				t.Errorf("%s: another branch: %+v", kind, refusal)
			}
		}
	}
}

func TestMatchers(t *testing.T) {
	t.Parallel()
	production := &rules.ModelRef{Ref: "refs/heads/prod"}
	model := rules.Model{Production: production, Development: rules.ModelRef{UseDefault: true}, Categories: []rules.Category{
		{ID: "FEATURE", Prefix: "feat/", Enabled: true}, {ID: "HOTFIX", Prefix: "hotfix/"},
	}}
	for _, c := range []struct {
		matcher rules.Matcher
		ref     string
		want    bool
	}{
		{rules.Matcher{Type: rules.AnyRef}, "refs/tags/x", true},
		{rules.Matcher{Type: rules.Branch, ID: "refs/heads/x"}, "refs/heads/x", true},
		{rules.Matcher{Type: rules.Branch, ID: "refs/heads/x"}, "refs/tags/x", false},
		{rules.Matcher{Type: rules.Pattern, ID: "x*"}, "refs/heads/a/xy", true},
		{rules.Matcher{Type: rules.ModelBranch, ID: "development"}, "refs/heads/main", true},
		{rules.Matcher{Type: rules.ModelBranch, ID: "production"}, "refs/heads/prod", true},
		{rules.Matcher{Type: rules.ModelBranch, ID: "production"}, "refs/heads/main", false},
		{rules.Matcher{Type: rules.ModelCategory, ID: "FEATURE"}, "refs/heads/feat/1", true},
		{rules.Matcher{Type: rules.ModelCategory, ID: "FEATURE"}, "refs/heads/feature/1", false},
		{rules.Matcher{Type: rules.ModelCategory, ID: "FEATURE"}, "refs/tags/feat/1", false},
		{rules.Matcher{Type: rules.ModelCategory, ID: "HOTFIX"}, "refs/heads/hotfix/1", false}, // disabled
		{rules.Matcher{Type: rules.ModelCategory, ID: "RELEASE"}, "refs/heads/release/1", false},
		{rules.Matcher{}, "refs/heads/x", false},
	} {
		if got := c.matcher.Matches(c.ref, "refs/heads/main", model); got != c.want {
			t.Errorf("%+v matches %s: %t", c.matcher, c.ref, got)
		}
	}
	for ref, want := range map[string]bool{"refs/heads/bugfix/1": true, "refs/heads/bugfixes": false} {
		if got := (rules.Matcher{Type: rules.ModelCategory, ID: "BUGFIX"}).Matches(ref, "", rules.DefaultModel()); got != want {
			t.Errorf("%s is a bug fix: %t", ref, got)
		}
	}
}

func TestExemptions(t *testing.T) {
	t.Parallel()
	state := decide(t, rules.State{}, rules.SetRestrictions{Restrictions: []rules.Restriction{{
		ID: 1, Type: rules.ReadOnly, Matcher: rules.Matcher{Type: rules.AnyRef}, Users: []domain.UserID{5}, Groups: []domain.GroupID{7}, AccessKeys: []int64{9},
	}}})
	for _, c := range []struct {
		by   rules.Pusher
		want bool
	}{
		{rules.Pusher{User: 5}, true}, {rules.Pusher{User: 6}, false}, {rules.Pusher{}, false},
		{rules.Pusher{User: 6, Groups: []domain.GroupID{1, 7}}, true}, {rules.Pusher{User: 6, Groups: []domain.GroupID{5}}, false},
		{rules.Pusher{User: 6, AccessKey: 9}, true}, {rules.Pusher{User: 6, AccessKey: 5}, false},
	} {
		for _, demanded := range []*rules.Effective{rules.Combine(&state, nil), rules.Combine(nil, &state)} {
			if !demanded.ExemptsGroups() {
				t.Error("groups matter")
			}
			if got := demanded.Judge(c.by, git.RefUpdate{Name: "refs/heads/x", New: a}, "") == nil; got != c.want {
				t.Errorf("%+v may: %t", c.by, got)
			}
		}
	}
	// Whoever is exempt from one restriction must pass the others, too.
	state = decide(t, state, restriction(2, rules.ReadOnly, rules.Branch, "x", 6))
	for user, want := range map[domain.UserID]bool{5: false, 6: false} {
		if got := rules.Combine(&state, nil).Judge(rules.Pusher{User: user}, git.RefUpdate{Name: "refs/heads/x", New: a}, "") == nil; got != want {
			t.Errorf("user %d may: %t", user, got)
		}
	}
}

func TestRepositoryOverProject(t *testing.T) {
	t.Parallel()
	message := &rules.Message{Pattern: "^X"}
	project := rules.State{Push: rules.PushRules{RejectForcePush: &yes, MaxFileSize: &size, Message: message}}
	own := rules.State{Push: rules.PushRules{RejectForcePush: &no, Message: &rules.Message{}}}
	forced := git.RefUpdate{Name: "refs/heads/x", Old: a, New: b, Forced: true}
	if rules.Combine(&project, nil).Judge(rules.Pusher{}, forced, "") == nil {
		t.Error("the project's rule does not hold")
	}
	demanded := rules.Combine(&project, &own)
	if refusal := demanded.Judge(rules.Pusher{}, forced, ""); refusal != nil {
		t.Errorf("the repository does not go without: %+v", refusal)
	}
	if c := demanded.Content(); c.MaxFileSize != 10 || c.Message != "" || c.None() {
		t.Errorf("%+v", c)
	}
	if rules.Combine(&own, &own) != nil || rules.Combine(nil, nil) != nil || rules.Combine(&rules.State{}, nil) != nil {
		t.Error("something is demanded by nothing")
	}
	if rules.Combine(&project, nil).Content().Mark == demanded.Content().Mark {
		t.Error("different demands have the same mark")
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	first := decide(t, rules.State{}, restriction(1, rules.ReadOnly, rules.Branch, "main", 3, 2, 3))
	if r := first.Restrictions[0]; r.Matcher.ID != "refs/heads/main" || !reflect.DeepEqual(r.Users, []domain.UserID{2, 3}) {
		t.Errorf("%+v", r)
	}
	again := decide(t, first, restriction(2, rules.ReadOnly, rules.Branch, "refs/heads/main", 4))
	if len(again.Restrictions) != 1 || again.Restrictions[0].ID != 1 || again.Restrictions[0].Users[0] != 4 {
		t.Errorf("the same matcher again: %+v", again.Restrictions)
	}
	if first.Restrictions[0].Users[0] != 2 {
		t.Error("the older state changed")
	}
	if events, err := rules.Decide(first, here, restriction(2, rules.ReadOnly, rules.Branch, "main", 2, 3)); len(events) != 0 || err != nil {
		t.Errorf("no change: %v, %v", events, err)
	}
	if s := decide(t, again, rules.RemoveRestriction{ID: 9}, rules.RemoveRestriction{ID: 1}); len(s.Restrictions) != 0 {
		t.Errorf("%+v", s)
	}
	s := decide(t, rules.State{}, rules.SetSecretRule{Rule: rules.SecretRule{ID: 1, Name: "n", LineRegex: "x"}}, rules.SetSecretRule{Rule: rules.SecretRule{ID: 1, Name: "m", PathRegex: "x"}, Exists: true},
		rules.SetAllowance{Rule: rules.SecretRule{ID: 5, Name: "n", LineRegex: "x"}}, rules.SetPushRules{Change: func(p *rules.PushRules) { p.Signed = &yes }})
	if s.SecretRules[0].Name != "m" || s.Allowances[0].ID != 5 || !*s.Push.Signed {
		t.Errorf("%+v", s)
	}
	encoded, err := json.Marshal(s)
	var back rules.State
	if err != nil || json.Unmarshal(encoded, &back) != nil || !reflect.DeepEqual(s, back) {
		t.Errorf("%s: %v", encoded, err)
	}
	long := strings.Repeat("x", 2000)
	negative := int64(-1)
	for name, command := range map[string]rules.Command{
		"type":     restriction(1, "rw", rules.Branch, "main"),
		"matcher":  restriction(1, rules.ReadOnly, "REGEX", "main"),
		"branch":   restriction(1, rules.ReadOnly, rules.Branch, "a..b"),
		"pattern":  restriction(1, rules.ReadOnly, rules.Pattern, ""),
		"long":     restriction(1, rules.ReadOnly, rules.Pattern, long),
		"category": restriction(1, rules.ReadOnly, rules.ModelCategory, "CHORE"),
		"model":    restriction(1, rules.ReadOnly, rules.ModelBranch, "staging"),
		"prefixes": rules.SetModel{Model: &rules.Model{Development: rules.ModelRef{UseDefault: true}, Categories: []rules.Category{
			{ID: "FEATURE", Prefix: "f/", Enabled: true}, {ID: "BUGFIX", Prefix: "f/b/", Enabled: true}}}},
		"prefix": rules.SetModel{Model: &rules.Model{Development: rules.ModelRef{UseDefault: true}, Categories: []rules.Category{{ID: "FEATURE", Prefix: "f..", Enabled: true}}}},
		"kind":   rules.SetModel{Model: &rules.Model{Development: rules.ModelRef{UseDefault: true}, Categories: []rules.Category{{ID: "CHORE", Prefix: "c/", Enabled: true}}}},
		"no dev": rules.SetModel{Model: &rules.Model{}},
		"regexp": rules.SetPushRules{Change: func(p *rules.PushRules) { p.Message = &rules.Message{Pattern: "(?=x)"} }},
		"size":   rules.SetPushRules{Change: func(p *rules.PushRules) { p.MaxFileSize = &negative }},
		"large":  rules.SetSecretRule{Rule: rules.SecretRule{ID: 1, Name: "n", LineRegex: long}},
		"empty":  rules.SetAllowance{Rule: rules.SecretRule{ID: 1, Name: "n"}},
		"noname": rules.SetAllowance{Rule: rules.SecretRule{ID: 1, LineRegex: "x"}},
	} {
		var invalid *domain.InvalidError
		if events, err := rules.Decide(rules.State{}, here, command); !errors.As(err, &invalid) || events != nil {
			t.Errorf("%s: %v, %v", name, events, err)
		}
	}
	var missing *domain.NotFoundError
	if _, err := rules.Decide(rules.State{}, here, rules.SetSecretRule{Rule: rules.SecretRule{ID: 1, Name: "n", LineRegex: "x"}, Exists: true}); !errors.As(err, &missing) {
		t.Error(err)
	}
}
