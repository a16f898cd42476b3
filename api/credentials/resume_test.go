package credentials_test

import (
	"errors"
	"testing"
	"time"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/projections/access"
)

// Whoever was let in is let in again as long as what he came with still lets him in.
func TestResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user(1, "jane", "sesame")
	soon := w.now.Add(time.Hour)
	token := w.token(1, 1, &soon)
	w.must("user/1", account.SSHKeyAdded{User: 1, ID: 5, Algorithm: "Ed25519", Bits: 256, Details: account.SSHKeyDetails{Key: []byte("key")}})

	resumption := func(authorization string) credentials.Resumption {
		t.Helper()
		caller, err := w.try(authorization)
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Resumption(t.Context(), caller)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	byKey := credentials.Resumption{User: 1, Auth: "ssh-key:5"}
	byPassword, byToken, nobody := resumption(basic("jane", "sesame")), resumption("Bearer "+token), resumption("")
	lets := func(r credentials.Resumption, want bool) {
		t.Helper()
		caller, err := w.Resume(t.Context(), r)
		var refused *credentials.RefusedError
		switch {
		case err == nil && want && caller.User.ID == r.User && caller.Auth == r.Auth:
		case errors.As(err, &refused) && !want:
		default:
			t.Errorf("%+v: %+v, %v", r, caller, err)
		}
	}
	for _, r := range []credentials.Resumption{byKey, byPassword, byToken, nobody} {
		lets(r, true)
	}
	if caller, _ := w.Resume(t.Context(), byToken); len(caller.Scopes) != 1 || !caller.Until.Equal(soon) {
		t.Errorf("the token's limits are lost: %+v", caller)
	}
	for _, r := range []credentials.Resumption{
		{User: 1}, {User: 1, Auth: "password"}, {User: 1, Auth: "token"}, {User: 1, Auth: "token:x"}, {User: 1, Auth: "token:2"}, {User: 2, Auth: "token:1"},
		{User: 1, Auth: "ssh-key:6"}, {User: 2, Auth: "ssh-key:5"}, {User: 1, Auth: "session:1"}, {User: 1, Auth: "system"},
	} {
		lets(r, false)
	}
	w.must(domain.OAuthClientStream(3), oauth.ClientCreated{ID: 3, ClientID: "c", SecretHash: []byte{1}, Client: oauth.Client{
		Name: "App", RedirectURIs: []string{"https://app.example.com/"}, Scopes: []string{"REPO_READ"},
	}})
	w.must("user/1", account.ApplicationAuthorized{User: 1, Grant: 9, Client: 3, Scopes: []string{"REPO_READ"}})
	application, err := w.Resumption(t.Context(), credentials.Caller{User: access.User{ID: 1}, Auth: "oauth:9", Application: true, Until: soon})
	if err != nil {
		t.Fatal(err)
	}
	lets(application, true)
	if caller, _ := w.Resume(t.Context(), application); !caller.Application || caller.Covers(rights.RepoWrite) || !caller.Covers(rights.RepoRead) {
		t.Errorf("the application's limits are lost: %+v", caller)
	}
	lets(credentials.Resumption{User: 2, Auth: "oauth:9", Ends: application.Ends}, false)
	w.must("user/1", account.ApplicationRevoked{User: 1, Grant: 9})
	lets(application, false)
	w.must("user/1", account.PasswordSet{ID: 1, Secret: account.Secret{Hash: "other"}})
	lets(byPassword, false)
	w.must("user/1", account.SSHKeyRemoved{User: 1, ID: 5})
	lets(byKey, false)
	w.now = soon
	lets(byToken, false)
	w.now = soon.Add(-time.Second)
	lets(byToken, true)
	w.must("user/1", account.Deactivated{ID: 1})
	lets(byToken, false)
}

// Who holds a token of a repository needs no permission to log in, and ends with the token.
func TestTokensOfRepositoriesLogIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, hash := credentials.NewToken()
	w.must("user/7", account.Created{ID: 7, Type: account.AccessToken, Profile: account.AccessTokenHolder(7, "ci").Profile},
		account.TokenCreated{User: 7, ID: 3, Permissions: []rights.Permission{rights.RepoRead}, Details: account.TokenDetails{Name: "ci", Hash: hash}})
	for authorization, want := range map[string]bool{
		"Bearer " + secret: true, basic("x-token-auth", secret): true, basic("access-token/7", secret): true, basic("jane", secret): false,
	} {
		if caller, err := w.try(authorization); (err == nil && caller.User.ID == 7 && caller.Auth == "token:3" && !caller.Covers(rights.RepoWrite)) != want {
			t.Errorf("%+v, %v", caller, err)
		}
	}
	link := credentials.Resumption{User: 7, Auth: "token:3"}
	if caller, err := w.Resume(t.Context(), link); err != nil || caller.User.ID != 7 {
		t.Errorf("%+v, %v", caller, err)
	}
	w.must("user/7", account.TokenRevoked{User: 7, ID: 3}, account.Deactivated{ID: 7})
	if caller, err := w.Resume(t.Context(), link); err == nil {
		t.Errorf("%+v", caller)
	}
}
