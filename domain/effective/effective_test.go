package effective_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/effective"
	"github.com/annal-git/annal/domain/group"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
)

func fold(events ...domain.Event) *effective.State {
	s := effective.New()
	for _, event := range events {
		s.Apply(event)
	}
	return s
}

var (
	onProject    = access.Target{Project: 7}
	onRepository = access.Target{Repository: 42}
	world        = []domain.Event{
		account.Created{ID: 1, Type: account.Normal}, account.Created{ID: 2, Type: account.Normal}, account.Created{ID: 3, Type: account.Normal},
		account.Created{ID: 4, Type: "TOKEN"},
		access.Granted{User: 1, Permission: access.Admin}, access.Granted{User: 2, Permission: access.LicensedUser},
		project.Created{ID: 7}, repository.Created{ID: 42, Project: 7},
		group.Created{ID: 10, Name: "inner"}, group.Created{ID: 11, Name: "outer"},
		group.MembersAdded{ID: 10, Members: group.Members{Users: []domain.UserID{2, 3}}},
		group.MembersAdded{ID: 11, Members: group.Members{Groups: []domain.GroupID{10}}},
	}
)

func with(events ...domain.Event) *effective.State {
	return fold(append(slices.Clone(world), events...)...)
}

func TestExplain(t *testing.T) {
	s := with(
		access.GroupGranted{Group: 11, Permission: access.ProjectWrite, Target: onProject},
		access.Granted{User: 2, Permission: access.RepoRead, Target: onRepository},
		access.Granted{User: 4, Permission: access.RepoRead, Target: onRepository},
		access.DefaultChanged{Project: 7, Permission: access.ProjectRead})
	want := effective.Access{User: 2, Active: true, MayLogIn: true, Permission: access.RepoWrite, Reasons: []effective.Reason{
		{Kind: effective.ByGroup, Permission: access.ProjectWrite, Target: onProject, Path: []domain.GroupID{10, 11}},
		{Kind: effective.Default, Permission: access.ProjectRead, Target: onProject},
		{Kind: effective.Direct, Permission: access.RepoRead, Target: onRepository},
	}}
	if got := s.Explain(2, 42); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// Without a global permission a person may not log in, and has nothing by default.
	if got := s.Explain(3, 42); got.MayLogIn || got.Permission != "" || len(got.Reasons) != 1 {
		t.Errorf("unlicensed: %+v", got)
	}
	if got := s.Explain(4, 42); !got.MayLogIn || got.Permission != access.RepoRead || len(got.Reasons) != 1 {
		t.Errorf("token: %+v", got)
	}
	if got := s.Explain(9, 42); !reflect.DeepEqual(got, effective.Access{User: 9}) {
		t.Errorf("nobody: %+v", got)
	}
	var users []domain.UserID
	for _, a := range s.Holders(42) {
		users = append(users, a.User)
	}
	if !slices.Equal(users, []domain.UserID{1, 2, 4}) {
		t.Errorf("holders %v", users)
	}
}

func TestWhatEndsRights(t *testing.T) {
	granted := access.GroupGranted{Group: 11, Permission: access.ProjectWrite, Target: onProject}
	for name, events := range map[string][]domain.Event{
		"revoked":              {access.GroupRevoked{Group: 11, Permission: access.ProjectWrite, Target: onProject}},
		"group deleted":        {group.Deleted{ID: 11}},
		"inner group deleted":  {group.Deleted{ID: 10}},
		"no member":            {group.MembersRemoved{ID: 10, Members: group.Members{Users: []domain.UserID{2}}}},
		"inner group left":     {group.MembersRemoved{ID: 11, Members: group.Members{Groups: []domain.GroupID{10}}}},
		"deactivated":          {account.Deactivated{ID: 2}},
		"erased":               {account.Erased{ID: 2}},
		"repository deleted":   {repository.Deleted{ID: 42}},
		"repository elsewhere": {repository.Moved{ID: 42, Project: 8}},
		"may not log in":       {access.Revoked{User: 2, Permission: access.LicensedUser}},
	} {
		if s := with(granted); s.Explain(2, 42).Permission != access.RepoWrite {
			t.Fatal("the right is not there to begin with")
		}
		if got := with(append([]domain.Event{granted}, events...)...).Explain(2, 42); got.Permission != "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestPublic(t *testing.T) {
	if with().Public(42) {
		t.Error("a private repository")
	}
	for name, event := range map[string]domain.Event{
		"project":    project.Updated{ID: 7, Settings: project.Settings{Public: true}},
		"repository": repository.SettingsChanged{ID: 42, Settings: repository.Settings{Public: true}},
	} {
		s := with(event)
		if a := s.Explain(2, 42); !s.Public(42) || a.Permission != access.RepoRead || a.Reasons[0].Kind != effective.Public {
			t.Errorf("public %s: %+v", name, a)
		}
		if len(s.Holders(42)) != 1 {
			t.Errorf("public %s: %+v", name, s.Holders(42))
		}
		if with(event, repository.Deleted{ID: 42}).Public(42) {
			t.Errorf("public %s, deleted", name)
		}
	}
}
