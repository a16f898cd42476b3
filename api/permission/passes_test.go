package permission_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/catalog"
)

// A pass ends with whatever it was judged by, when another node has appended that, too.
func TestGate(t *testing.T) {
	t.Parallel()
	url := eventstoretest.URL(t)
	open := func() (*eventstore.Log, permission.Judge) {
		pool, err := eventstore.Connect(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		log, err := eventstore.Open(t.Context(), pool, eventstore.Options{
			Types: eventstore.Types(), Node: "test", Poll: time.Hour,
			Inline: []eventstore.Inline{catalog.Projection{}, access.Projection{}},
		})
		require.NoError(t, err)
		t.Cleanup(log.Close)
		return log, permission.Judge{Catalog: catalog.NewReader(pool), Users: access.NewReader(pool)}
	}
	here, judge := open()
	there, _ := open()
	there.SetAlone(true) // here hears of nothing that it does not ask for
	must := func(stream domain.Stream, events ...domain.Event) {
		t.Helper()
		_, err := there.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
		require.NoError(t, err)
	}
	now := time.Now()
	clock := func() time.Time { return now }
	who := credentials.New(judge.Users, credentials.Options{Now: clock})
	gate := permission.NewGate(here, judge, clock)
	asker := func(r *http.Request) permission.Asker {
		return permission.Asker{Kind: "http", Proof: r.Header.Get("Authorization"), Find: func(context.Context) (credentials.Caller, error) { return who.Authenticate(r) }}
	}

	password := func(id domain.UserID, text string) domain.Event {
		hash, err := who.HashPassword(t.Context(), text)
		require.NoError(t, err)
		return account.PasswordSet{ID: id, Secret: account.Secret{Hash: hash}}
	}
	for id, name := range map[domain.UserID]string{1: "root", 2: "ada"} {
		must(domain.UserStream(id), account.Created{ID: id, Type: account.Normal, Profile: account.Profile{Name: name, Slug: name}},
			password(id, name+"'s first"), rights.Granted{User: id, Permission: rights.LicensedUser})
	}
	must("user/1", rights.Granted{User: 1, Permission: rights.SysAdmin, Old: rights.LicensedUser})
	must("project/1", project.Created{ID: 1, Settings: project.Settings{Key: "PRJ", Name: "Project"}})
	create := func(id domain.RepositoryID, slug string) {
		must(domain.RepositoryStream(id), repository.Created{
			ID: id, Project: 1, Name: slug, Slug: slug, Storage: fmt.Sprintf("00000000-0000-0000-0000-%012d", id), DefaultBranch: repository.InitialBranch,
		})
	}
	create(1, "r")
	onRepository := rights.Target{Repository: 1}
	must("repository/1", rights.Granted{User: 2, Permission: rights.RepoRead, Target: onRepository})

	request := func(user, secret string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if user != "" {
			r.SetBasicAuth(user, secret)
		}
		return r
	}
	// remembered asks as a node does: is there a pass, and does it hold?
	remembered := func(r *http.Request, slug string, need rights.Permission) bool {
		t.Helper()
		pass := gate.Remembered(asker(r), "PRJ", slug, need)
		require.NoError(t, here.Fresh(t.Context(), nil))
		return pass != nil && gate.Holds(pass)
	}
	grant := func(r *http.Request, slug string, need rights.Permission) {
		t.Helper()
		require.False(t, remembered(r, slug, need))
		_, err := gate.Judge(t.Context(), asker(r), "prj", slug, need)
		require.NoError(t, err)
		require.True(t, remembered(r, slug, need))
	}
	refuse := func(r *http.Request, slug string, need rights.Permission) {
		t.Helper()
		require.False(t, remembered(r, slug, need))
		_, err := gate.Judge(t.Context(), asker(r), "PRJ", slug, need)
		require.Error(t, err)
		require.False(t, remembered(r, slug, need), "refusals are not remembered")
	}
	const read, write = rights.RepoRead, rights.RepoWrite

	first := request("ada", "ada's first")
	grant(first, "r", read)
	require.True(t, remembered(first, "R", read))
	refuse(first, "r", write)
	refuse(request("ada", "wrong"), "r", read)
	refuse(request("", ""), "r", read)
	must("repository/1", repository.RefsUpdated{})
	require.True(t, remembered(first, "r", read), "pushes change nobody's rights")
	create(2, "other")
	require.True(t, remembered(first, "r", read), "nor does another repository")

	for name, decided := range map[string]struct {
		on     domain.Stream
		taken  domain.Event
		back   domain.Event
		before *http.Request
		after  *http.Request
	}{
		"grant":   {"repository/1", rights.Revoked{User: 2, Permission: read, Target: onRepository}, rights.Granted{User: 2, Permission: read, Target: onRepository}, first, first},
		"account": {"user/2", account.Deactivated{ID: 2}, account.Activated{ID: 2}, first, first},
		"licence": {"user/2", rights.Revoked{User: 2, Permission: rights.LicensedUser}, rights.Granted{User: 2, Permission: rights.LicensedUser}, first, first},
		"name":    {"repository/1", repository.Renamed{ID: 1, Name: "s", Slug: "s"}, repository.Renamed{ID: 1, Name: "r", Slug: "r"}, first, first},
		"project": {"project/1", project.Updated{ID: 1, Settings: project.Settings{Key: "GONE", Name: "Project"}}, project.Updated{ID: 1, Settings: project.Settings{Key: "PRJ", Name: "Project"}}, first, first},
		"deleted": {"repository/1", repository.Deleted{ID: 1}, repository.Restored{ID: 1, Project: 1, Name: "r", Slug: "r"}, first, first},
	} {
		if !remembered(decided.before, "r", read) {
			grant(decided.before, "r", read)
		}
		must(decided.on, decided.taken)
		refuse(decided.before, "r", read)
		must(decided.on, decided.back)
		require.False(t, remembered(decided.after, "r", read), "%s: judged anew", name)
		grant(decided.after, "r", read)
	}
	must("user/2", password(2, "ada's second"))
	refuse(first, "r", read)
	grant(request("ada", "ada's second"), "r", read)

	ends := now.Add(time.Hour).UTC().Truncate(time.Microsecond)
	token, hash := credentials.NewToken()
	must("user/2", account.TokenCreated{User: 2, ID: 1, Permissions: []rights.Permission{read}, Expires: &ends, Details: account.TokenDetails{Name: "ci", Hash: hash}})
	ci := request("x-token-auth", token)
	grant(ci, "r", read)
	now = ends.Add(-time.Second)
	require.True(t, remembered(ci, "r", read))
	now = ends
	refuse(ci, "r", read)

	token, hash = credentials.NewToken()
	must("user/2", account.TokenCreated{User: 2, ID: 2, Permissions: []rights.Permission{read}, Details: account.TokenDetails{Name: "ci", Hash: hash}})
	ci = request("ada", token)
	grant(ci, "r", read)
	must("user/2", account.TokenRevoked{User: 2, ID: 2})
	refuse(ci, "r", read)

	must("repository/1", repository.SettingsChanged{ID: 1, Settings: repository.Settings{Public: true}})
	grant(request("", ""), "r", read)
	must("repository/1", repository.SettingsChanged{ID: 1})
	refuse(request("", ""), "r", read)
}
