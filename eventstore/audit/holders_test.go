package audit_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore/audit"
)

// Who administers a repository gives it access keys and tokens, and takes them away; others do not.
func TestAccessKeysAndTokens(t *testing.T) {
	t.Parallel()
	const owner, other, holder = domain.UserID(2), domain.UserID(3), domain.UserID(90)
	on := access.Target{Repository: 1}
	made := func(w *world, actor domain.UserID) {
		w.command(administrator, "session:1", on.Stream(owner), access.Granted{User: owner, Permission: access.RepoAdmin, Target: on})
		w.command(actor, "session:2", domain.UserStream(holder), account.Created{ID: holder, Type: account.AccessToken},
			account.TokenCreated{User: holder, ID: 90, Permissions: []access.Permission{access.RepoWrite}})
	}
	given := func(w *world) {
		made(w, owner)
		w.command(owner, "session:2", on.Stream(holder), access.Granted{User: holder, Permission: access.RepoWrite, Target: on})
	}
	ended := func(w *world, actor domain.UserID) {
		w.command(actor, "session:2", domain.UserStream(holder), account.TokenRevoked{User: holder, ID: 90}, account.Deactivated{ID: holder})
	}
	for name, tt := range map[string]struct {
		do   func(w *world)
		good bool
	}{
		"given": {given, true},
		"granted by another": {func(w *world) {
			made(w, other)
			w.command(other, "session:2", on.Stream(holder), access.Granted{User: holder, Permission: access.RepoWrite, Target: on})
		}, false},
		"ended": {func(w *world) { given(w); ended(w, owner) }, true},
		"ended after its grant": {func(w *world) {
			given(w)
			w.command(owner, "session:2", on.Stream(holder), access.Revoked{User: holder, Permission: access.RepoWrite, Target: on})
			ended(w, owner)
		}, true},
		"ended by another":       {func(w *world) { given(w); ended(w, other) }, false},
		"ended before its grant": {func(w *world) { made(w, owner); ended(w, owner) }, true},
		"ended by no maker":      {func(w *world) { made(w, owner); ended(w, other) }, false},
		"changed by another": {func(w *world) {
			given(w)
			w.command(other, "session:2", domain.UserStream(holder), account.TokenChanged{User: holder, ID: 90, Permissions: []access.Permission{access.RepoAdmin}})
		}, false},
		"used": {func(w *world) {
			given(w)
			w.command(holder, "token:90", domain.RepositoryStream(1), repository.RefsUpdated{})
		}, true},
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
