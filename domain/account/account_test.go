package account_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
)

var (
	profile = account.Profile{Name: "Jane.Doe@example", Slug: "jane.doe_example", DisplayName: "Jane Doe", Email: "jane@example.com"}
	created = account.Created{ID: 5, Type: account.Normal, Profile: profile}
	token   = account.TokenCreated{
		User: 5, ID: 9, Permissions: []access.Permission{access.ProjectRead, access.RepoWrite},
		Details: account.TokenDetails{Name: "ci", Hash: []byte{1}},
	}
)

var tokenHolder = account.Created{
	ID: 5, Type: account.AccessToken, Profile: account.Profile{Name: "access-token/5", Slug: "access-token/5", DisplayName: "ci"},
}

var sshKey = account.SSHKeyAdded{
	User: 5, ID: 12, Algorithm: "ED25519", Bits: 256, Details: account.SSHKeyDetails{Label: "ada@laptop", Key: []byte{1}},
}

var (
	linked     = account.IdentityLinked{User: 5, Identity: account.Identity{Issuer: "i", Subject: "s"}}
	authorized = account.ApplicationAuthorized{User: 5, Grant: 3, Client: 2, Scopes: []string{"REPO_READ"}}
)

func TestDecide(t *testing.T) {
	input := account.Profile{Name: "Jane.Doe@example", DisplayName: "Jane Doe", Email: "jane@example.com"}
	with := func(change func(*account.Profile)) account.Create {
		p := input
		change(&p)
		return account.Create{ID: 5, Profile: p}
	}
	for _, tt := range []struct {
		name  string
		given []domain.Event
		when  account.Command
		then  []domain.Event
		fails any
	}{
		{name: "create", when: account.Create{ID: 5, Profile: input}, then: []domain.Event{created}},
		{
			name: "create with password", when: account.Create{ID: 5, Profile: input, PasswordHash: "h"},
			then: []domain.Event{created, account.PasswordSet{ID: 5, Secret: account.Secret{Hash: "h"}}},
		},
		{name: "create twice", given: []domain.Event{created}, when: account.Create{ID: 5, Profile: input}, fails: new(*domain.ConflictError)},
		{name: "name with newline", when: with(func(p *account.Profile) { p.Name = "a\nb" }), fails: new(*domain.InvalidError)},
		{name: "name with equals", when: with(func(p *account.Profile) { p.Name = "GIT_EXTERNAL_DIFF=x" }), fails: new(*domain.InvalidError)},
		{name: "name as option", when: with(func(p *account.Profile) { p.Name = "-h" }), fails: new(*domain.InvalidError)},
		{name: "name climbs", when: with(func(p *account.Profile) { p.Name = ".." }), fails: new(*domain.InvalidError)},
		{name: "e-mail with NUL", when: with(func(p *account.Profile) { p.Email = "a@b\x00" }), fails: new(*domain.InvalidError)},
		{name: "e-mail with newline", when: with(func(p *account.Profile) { p.Email = "a@b\nX: y" }), fails: new(*domain.InvalidError)},
		{name: "e-mail without host", when: with(func(p *account.Profile) { p.Email = "a@" }), fails: new(*domain.InvalidError)},
		{
			name: "change profile", given: []domain.Event{created}, when: account.ChangeProfile{DisplayName: new("J. D.")},
			then: []domain.Event{account.ProfileChanged{ID: 5, Profile: account.Profile{Name: profile.Name, Slug: profile.Slug, DisplayName: "J. D.", Email: profile.Email}}},
		},
		{name: "change nothing", given: []domain.Event{created}, when: account.ChangeProfile{Email: new("jane@example.com")}},
		{name: "deactivate", given: []domain.Event{created}, when: account.Deactivate{}, then: []domain.Event{account.Deactivated{ID: 5}}},
		{name: "deactivate twice", given: []domain.Event{created, account.Deactivated{ID: 5}}, when: account.Deactivate{}},
		{name: "erase", given: []domain.Event{created, token}, when: account.Erase{}, then: []domain.Event{account.Erased{ID: 5, Positions: [][2]int64{}}}},
		{name: "erase nobody", when: account.Erase{}, fails: new(*domain.NotFoundError)},
		{name: "erase twice", given: []domain.Event{created, account.Erased{ID: 5}}, when: account.Erase{}},
		{
			name: "erase more", given: []domain.Event{created, account.Erased{ID: 5}}, when: account.Erase{Positions: [][2]int64{{7, 9}}},
			then: []domain.Event{account.Erased{ID: 5, Positions: [][2]int64{{7, 9}}}},
		},
		{name: "activate an erased user", given: []domain.Event{created, account.Erased{ID: 5}}, when: account.Activate{}, fails: new(*domain.ConflictError)},
		{name: "give an erased user a password", given: []domain.Event{created, account.Erased{ID: 5}}, when: account.SetPassword{Hash: "h"}, fails: new(*domain.ConflictError)},
		{name: "revoke a token of an erased user", given: []domain.Event{created, token, account.Erased{ID: 5}}, when: account.RevokeToken{ID: 9}, fails: new(*domain.ConflictError)},
		{name: "activate", given: []domain.Event{created, account.Deactivated{ID: 5}}, when: account.Activate{}, then: []domain.Event{account.Activated{ID: 5}}},
		{
			name: "token keeps the strongest permission of each level", given: []domain.Event{created},
			when: account.CreateToken{ID: 9, Name: "ci", Hash: []byte{1}, Permissions: []access.Permission{access.RepoRead, access.RepoWrite, access.ProjectRead}},
			then: []domain.Event{token},
		},
		{
			name: "token with a global permission", given: []domain.Event{created},
			when: account.CreateToken{ID: 9, Name: "ci", Permissions: []access.Permission{access.RepoRead, access.SysAdmin}}, fails: new(*domain.InvalidError),
		},
		{name: "token without permission", given: []domain.Event{created}, when: account.CreateToken{ID: 9, Name: "ci"}, fails: new(*domain.InvalidError)},
		{name: "token without name", given: []domain.Event{created}, when: account.CreateToken{ID: 9, Permissions: access.OnProject}, fails: new(*domain.InvalidError)},
		{name: "token of nobody", when: account.CreateToken{ID: 9, Name: "ci", Permissions: access.OnProject}, fails: new(*domain.NotFoundError)},
		{
			name: "change token", given: []domain.Event{created, token}, when: account.ChangeToken{ID: 9, Name: new("cd")},
			then: []domain.Event{account.TokenChanged{User: 5, ID: 9, Permissions: token.Permissions, Details: account.TokenDetails{Name: "cd"}}},
		},
		{
			name: "token of a name that there is", given: []domain.Event{created, token},
			when: account.CreateToken{ID: 10, Name: "CI", Permissions: access.OnProject}, fails: new(*domain.InvalidError),
		},
		{
			name: "token gets a name that there is", given: []domain.Event{created, token, account.TokenCreated{User: 5, ID: 10, Permissions: access.OnProject[:1], Details: account.TokenDetails{Name: "cd"}}},
			when: account.ChangeToken{ID: 10, Name: new("ci")}, fails: new(*domain.InvalidError),
		},
		{
			name: "the user of an access token", when: account.AccessTokenHolder(7, "ci"),
			then: []domain.Event{account.Created{ID: 7, Type: account.AccessToken, Profile: account.Profile{Name: "access-token/7", Slug: "access-token/7", DisplayName: "ci"}}},
		},
		{
			name: "the user of a token is called like it", given: []domain.Event{tokenHolder, token}, when: account.ChangeToken{ID: 9, Name: new("cd")},
			then: []domain.Event{
				account.TokenChanged{User: 5, ID: 9, Permissions: token.Permissions, Details: account.TokenDetails{Name: "cd"}},
				account.ProfileChanged{ID: 5, Profile: account.Profile{Name: "access-token/5", Slug: "access-token/5", DisplayName: "cd"}},
			},
		},
		{
			name: "end the user of a token", given: []domain.Event{tokenHolder, token}, when: account.End{},
			then: []domain.Event{account.TokenRevoked{User: 5, ID: 9}, account.Deactivated{ID: 5}},
		},
		{name: "end the user of a token twice", given: []domain.Event{tokenHolder, token, account.TokenRevoked{User: 5, ID: 9}, account.Deactivated{ID: 5}}, when: account.End{}},
		{name: "end a person", given: []domain.Event{created}, when: account.End{}, fails: new(*domain.ConflictError)},
		{name: "revoke token", given: []domain.Event{created, token}, when: account.RevokeToken{ID: 9}, then: []domain.Event{account.TokenRevoked{User: 5, ID: 9}}},
		{
			name: "revoke token twice", given: []domain.Event{created, token, account.TokenRevoked{User: 5, ID: 9}},
			when: account.RevokeToken{ID: 9}, fails: new(*domain.NotFoundError),
		},
		{
			name: "add an SSH key", given: []domain.Event{created}, when: account.AddSSHKey{ID: 12, Algorithm: "ED25519", Bits: 256, Label: "ada@laptop", Key: []byte{1}},
			then: []domain.Event{sshKey},
		},
		{name: "SSH key of nobody", when: account.AddSSHKey{ID: 12, Key: []byte{1}}, fails: new(*domain.NotFoundError)},
		{name: "SSH key without a key", given: []domain.Event{created}, when: account.AddSSHKey{ID: 12}, fails: new(*domain.InvalidError)},
		{name: "SSH key with a label of two lines", given: []domain.Event{created}, when: account.AddSSHKey{ID: 12, Label: "a\nb", Key: []byte{1}}, fails: new(*domain.InvalidError)},
		{name: "remove an SSH key", given: []domain.Event{created, sshKey}, when: account.RemoveSSHKey{ID: 12}, then: []domain.Event{account.SSHKeyRemoved{User: 5, ID: 12}}},
		{
			name: "remove an SSH key twice", given: []domain.Event{created, sshKey, account.SSHKeyRemoved{User: 5, ID: 12}},
			when: account.RemoveSSHKey{ID: 12}, fails: new(*domain.NotFoundError),
		},
		{name: "end sessions", given: []domain.Event{created}, when: account.EndSessions{}, then: []domain.Event{account.SessionsEnded{ID: 5}}},
		{name: "end nobody's sessions", when: account.EndSessions{}, fails: new(*domain.NotFoundError)},
		{name: "link", given: []domain.Event{created}, when: account.LinkIdentity{Issuer: "i", Subject: "s"}, then: []domain.Event{linked}},
		{name: "link twice", given: []domain.Event{created, linked}, when: account.LinkIdentity{Issuer: "i", Subject: "s"}},
		{name: "link to another", given: []domain.Event{created, linked}, when: account.LinkIdentity{Issuer: "i", Subject: "t"}, fails: new(*domain.ConflictError)},
		{name: "link to nobody", given: []domain.Event{created}, when: account.LinkIdentity{Issuer: "i"}, fails: new(*domain.InvalidError)},
		{name: "link who was erased", given: []domain.Event{created, account.Erased{ID: 5}}, when: account.LinkIdentity{Issuer: "i", Subject: "s"}, fails: new(*domain.ConflictError)},
		{name: "authorize", given: []domain.Event{created}, when: account.AuthorizeApplication{Grant: 3, Client: 2, Scopes: []string{"REPO_READ"}}, then: []domain.Event{authorized}},
		{name: "authorize when shut out", given: []domain.Event{created, account.Deactivated{ID: 5}}, when: account.AuthorizeApplication{Grant: 3}, fails: new(*domain.ConflictError)},
		{
			name: "revoke an application", given: []domain.Event{created, authorized}, when: account.RevokeApplication{Grant: 3, Reason: account.RevokedByUser},
			then: []domain.Event{account.ApplicationRevoked{User: 5, Grant: 3, Reason: "user"}},
		},
		{
			name: "revoke an application twice", given: []domain.Event{created, authorized, account.ApplicationRevoked{User: 5, Grant: 3}},
			when: account.RevokeApplication{Grant: 3}, fails: new(*domain.NotFoundError),
		},
		{
			name: "the user of an access key", when: account.AccessKeyHolder(7, "build"),
			then: []domain.Event{account.Created{ID: 7, Type: account.AccessKey, Profile: account.Profile{Name: "access-key/7", Slug: "access-key/7", DisplayName: "build"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var state account.State
			for _, event := range tt.given {
				state = account.Evolve(state, event)
			}
			events, err := account.Decide(state, tt.when)
			if tt.fails != nil {
				if !errors.As(err, tt.fails) {
					t.Fatalf("error %v, want %T", err, tt.fails)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(events, tt.then) {
				t.Fatalf("got %+v, %v, want %+v", events, err, tt.then)
			}
		})
	}
}

func TestTokensAreLimited(t *testing.T) {
	state := account.Evolve(account.State{}, created)
	for id := range account.MaxTokens {
		state = account.Evolve(state, account.TokenCreated{User: 5, ID: account.TokenID(id + 1)})
	}
	_, err := account.Decide(state, account.CreateToken{ID: 999, Name: "one more", Permissions: access.OnProject})
	if _, ok := errors.AsType[*domain.InvalidError](err); !ok {
		t.Fatal(err)
	}
}

// An accepted name is safe in URLs, arguments and environments, and so is its slug.
func TestNamesAreSafe(t *testing.T) {
	name := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@+-]*$`)
	slug := regexp.MustCompile(`^[a-z0-9_][a-z0-9._-]*$`)
	rapid.Check(t, func(t *rapid.T) {
		asked := account.Profile{
			Name:  rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9._@+=-]{0,6}`)).Draw(t, "name"),
			Email: rapid.String().Draw(t, "email"), DisplayName: rapid.String().Draw(t, "display name"),
		}
		events, err := account.Decide(account.State{}, account.Create{ID: 1, Profile: asked})
		if err != nil {
			return
		}
		p := account.Evolve(account.State{}, events[0]).Profile
		if !name.MatchString(p.Name) || !slug.MatchString(p.Slug) || strings.ContainsAny(p.Email+p.DisplayName, "\x00\r\n") {
			t.Fatalf("%+v", p)
		}
	})
}
