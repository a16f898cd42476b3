package audit_test

import (
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore/audit"
)

// What applications and providers did is judged by what users have let them.
func TestApplicationsAndProviders(t *testing.T) {
	t.Parallel()
	const user, other = domain.UserID(2), domain.UserID(3)
	client := domain.OAuthClientStream(1)
	known := func(w *world) {
		w.command(administrator, "session:1", client, oauth.ClientCreated{ID: 1, Client: oauth.Client{Name: "CI", Scopes: oauth.Scopes()}})
	}
	let := func(w *world, scope string) {
		known(w)
		w.command(user, "session:2", domain.UserStream(user), account.ApplicationAuthorized{User: user, Grant: 7, Client: 1, Scopes: []string{scope}})
	}
	push := func(w *world, actor domain.UserID, auth string) {
		w.command(actor, auth, domain.RepositoryStream(1), repository.RefsUpdated{})
	}
	later := func(w *world) { w.moment = w.moment.Add(2 * time.Hour) }
	for name, tt := range map[string]struct {
		do   func(w *world)
		good bool
	}{
		"push by an application":        {func(w *world) { let(w, "REPO_WRITE"); push(w, user, "oauth:7") }, true},
		"push beyond its scope":         {func(w *world) { let(w, "REPO_READ"); push(w, user, "oauth:7") }, false},
		"push for somebody else":        {func(w *world) { let(w, "REPO_WRITE"); push(w, other, "oauth:7") }, false},
		"push without an authorization": {func(w *world) { known(w); push(w, user, "oauth:7") }, false},
		"push by one that was shut out": {func(w *world) { let(w, "REPO_WRITE"); revoked(w, user); later(w); push(w, user, "oauth:7") }, false},
		"push that began before":        {func(w *world) { let(w, "REPO_WRITE"); revoked(w, user); push(w, user, "oauth:7") }, true},
		"push by one that was deleted": {func(w *world) {
			let(w, "REPO_WRITE")
			w.command(administrator, "session:1", client, oauth.ClientDeleted{ID: 1})
			later(w)
			push(w, user, "oauth:7")
		}, false},
		"revoked by the application": {func(w *world) {
			let(w, "REPO_READ")
			w.command(0, "oauth:7", domain.UserStream(user), account.ApplicationRevoked{User: user, Grant: 7})
		}, true},
		"revoked by nobody": {func(w *world) {
			let(w, "REPO_READ")
			w.command(0, "", domain.UserStream(user), account.ApplicationRevoked{User: user, Grant: 7})
		}, false},
		"authorized by another": {func(w *world) {
			known(w)
			w.command(other, "session:2", domain.UserStream(user), account.ApplicationAuthorized{User: user, Grant: 7, Client: 1})
		}, false},
		"made known by a user":  {func(w *world) { w.command(user, "session:1", client, oauth.ClientCreated{ID: 1}) }, false},
		"logged out everywhere": {func(w *world) { w.command(user, "session:1", domain.UserStream(user), account.SessionsEnded{ID: user}) }, true},
		"logged out by another": {func(w *world) {
			w.command(other, "session:1", domain.UserStream(user), account.SessionsEnded{ID: user})
		}, false},
		"linked by himself":                     {func(w *world) { w.command(user, "oidc", domain.UserStream(user), account.IdentityLinked{User: user}) }, true},
		"linked by nobody":                      {func(w *world) { w.command(0, "oidc", domain.UserStream(user), account.IdentityLinked{User: user}) }, false},
		"created because a provider knows him":  {func(w *world) { created(w, "oidc") }, true},
		"created because nobody knows who says": {func(w *world) { created(w, "") }, false},
	} {
		w := newWorld(1)
		tt.do(w)
		w.sign()
		report, err := w.log().verify(audit.Options{Keys: []ed25519.PublicKey{w.first}})
		if err != nil || report.Whole() != tt.good {
			t.Errorf("%s: %v %v", name, err, report.Findings)
		}
	}
}

func revoked(w *world, user domain.UserID) {
	w.command(user, "session:2", domain.UserStream(user), account.ApplicationRevoked{User: user, Grant: 7})
}

func created(w *world, auth string) {
	w.command(0, auth, domain.UserStream(90), account.Created{ID: 90, Type: account.Normal}, account.IdentityLinked{User: 90}, access.Granted{User: 90, Permission: access.LicensedUser})
}
