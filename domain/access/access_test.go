package access_test

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
)

var all = []access.Permission{
	access.LicensedUser, access.ProjectCreate, access.Admin, access.SysAdmin,
	access.ProjectRead, access.ProjectWrite, access.ProjectAdmin,
	access.RepoRead, access.RepoWrite, access.RepoAdmin,
}

func TestImplies(t *testing.T) {
	for _, tt := range []struct {
		has, needs access.Permission
		want       bool
	}{
		{access.SysAdmin, access.Admin, true},
		{access.SysAdmin, access.RepoAdmin, true},
		{access.Admin, access.SysAdmin, false},
		{access.Admin, access.ProjectAdmin, true},
		{access.ProjectCreate, access.LicensedUser, true},
		{access.ProjectCreate, access.ProjectRead, false},
		{access.LicensedUser, access.RepoRead, false},
		{access.ProjectWrite, access.RepoWrite, true},
		{access.ProjectWrite, access.RepoAdmin, false},
		{access.ProjectAdmin, access.ProjectCreate, false},
		{access.RepoAdmin, access.ProjectRead, false},
		{access.RepoWrite, access.RepoRead, true},
		{access.RepoRead, access.RepoWrite, false},
		{"", access.RepoRead, false},
		{access.SysAdmin, "", false},
		{"OWNER", "OWNER", false},
	} {
		if got := tt.has.Implies(tt.needs); got != tt.want {
			t.Errorf("%s implies %s: %v", tt.has, tt.needs, got)
		}
	}
}

// Implication is a partial order, and holding more never takes anything away.
func TestImpliesIsPartialOrder(t *testing.T) {
	permission := rapid.SampledFrom(all)
	rapid.Check(t, func(t *rapid.T) {
		p, q, r := permission.Draw(t, "p"), permission.Draw(t, "q"), permission.Draw(t, "r")
		if !p.Implies(p) {
			t.Fatalf("%s does not imply itself", p)
		}
		if p.Implies(q) && q.Implies(p) && p != q {
			t.Fatalf("%s and %s imply each other", p, q)
		}
		if p.Implies(q) && q.Implies(r) && !p.Implies(r) {
			t.Fatalf("%s implies %s implies %s, but not the first the last", p, q, r)
		}
	})
}

func TestParsePermission(t *testing.T) {
	for _, p := range all {
		if got, err := access.ParsePermission(string(p)); got != p || err != nil {
			t.Errorf("%s: %s, %v", p, got, err)
		}
	}
	if p, err := access.ParsePermission("repo_read"); p != access.RepoRead || err != nil {
		t.Errorf("lower case: %s, %v", p, err)
	}
	var invalid *domain.InvalidError
	if _, err := access.ParsePermission("7"); !errors.As(err, &invalid) {
		t.Errorf("a role that does not exist: %v", err)
	}
}

func TestDecide(t *testing.T) {
	target := access.Target{Project: 7}
	granted := access.Granted{User: 1, Permission: access.ProjectRead, Target: target}
	for _, tt := range []struct {
		name  string
		given []domain.Event
		when  access.Command
		then  []domain.Event
		fails bool
	}{
		{name: "grant", when: access.Grant{User: 1, Permission: access.ProjectRead, Target: target}, then: []domain.Event{granted}},
		{name: "grant again", given: []domain.Event{granted}, when: access.Grant{User: 1, Permission: access.ProjectRead, Target: target}},
		{
			name: "grant more", given: []domain.Event{granted}, when: access.Grant{User: 1, Permission: access.ProjectAdmin, Target: target},
			then: []domain.Event{access.Granted{User: 1, Permission: access.ProjectAdmin, Old: access.ProjectRead, Target: target}},
		},
		{name: "grant at another level", when: access.Grant{User: 1, Permission: access.SysAdmin, Target: target}, fails: true},
		{name: "grant of nothing", when: access.Grant{User: 1, Target: target}, fails: true},
		{
			name: "revoke", given: []domain.Event{granted}, when: access.Revoke{User: 1, Target: target},
			then: []domain.Event{access.Revoked{User: 1, Permission: access.ProjectRead, Target: target}},
		},
		{name: "revoke what another has", given: []domain.Event{granted}, when: access.Revoke{User: 2, Target: target}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var state access.State
			for _, event := range tt.given {
				state = access.Evolve(state, event)
			}
			events, err := access.Decide(state, tt.when)
			var invalid *domain.InvalidError
			if tt.fails != errors.As(err, &invalid) || (err == nil && !reflect.DeepEqual(events, tt.then)) {
				t.Fatalf("got %+v, %v, want %+v", events, err, tt.then)
			}
		})
	}
}

// What was granted last is what a user has, whoever else was granted what between.
func TestLastGrantHolds(t *testing.T) {
	holders := []access.Holder{{User: 1}, {User: 2}, {Group: 1}, {Group: 2}}
	rapid.Check(t, func(t *rapid.T) {
		var state access.State
		model := map[access.Holder]access.Permission{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			holder := rapid.SampledFrom(holders).Draw(t, "holder")
			target := access.Target{Repository: 1}
			var command access.Command = access.Revoke{User: holder.User, Group: holder.Group, Target: target}
			if rapid.Bool().Draw(t, "grant") {
				p := rapid.SampledFrom(all).Draw(t, "permission")
				command = access.Grant{User: holder.User, Group: holder.Group, Permission: p, Target: target}
				if p.Level() == access.Repository {
					model[holder] = p
				}
			} else {
				delete(model, holder)
			}
			events, _ := access.Decide(state, command)
			for _, event := range events {
				state = access.Evolve(state, event)
			}
		}
		for _, holder := range holders {
			if state[holder] != model[holder] {
				t.Fatalf("%+v has %q, want %q", holder, state[holder], model[holder])
			}
		}
	})
}
