package permission_test

import (
	"errors"
	"testing"

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

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// Verdicts, as short as the table below needs them.
const (
	yes    = "yes"
	denied = "denied"   // may see it, or is asked to log in
	hidden = "no such"  // is told that there is nothing
	login  = "who's he" // denied, because nobody is logged in
)

func verdict(t *testing.T, err error) string {
	t.Helper()
	var missing *domain.NotFoundError
	var refused *permission.DeniedError
	switch {
	case err == nil:
		return yes
	case errors.As(err, &missing):
		return hidden
	case errors.As(err, &refused) && refused.Anonymous:
		return login
	case errors.As(err, &refused):
		return denied
	}
	t.Fatal(err)
	return ""
}

func TestJudge(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{catalog.Projection{}, access.Projection{}}})
	must := func(stream domain.Stream, events ...domain.Event) {
		t.Helper()
		if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	const admin, owner, writer, outsider = 1, 2, 3, 4
	for id, p := range map[domain.UserID]rights.Permission{
		admin: rights.SysAdmin, owner: rights.LicensedUser, writer: rights.LicensedUser, outsider: rights.LicensedUser,
	} {
		name := string('a' + rune(id))
		must(domain.UserStream(id), account.Created{ID: id, Type: account.Normal, Profile: account.Profile{Name: name, Slug: name}}, rights.Granted{User: id, Permission: p})
	}
	must("project/1", project.Created{ID: 1, Settings: project.Settings{Key: "SHUT", Name: "Shut"}},
		rights.Granted{User: owner, Permission: rights.ProjectAdmin, Target: rights.Target{Project: 1}})
	must("project/2", project.Created{ID: 2, Settings: project.Settings{Key: "OPEN", Name: "Open", Public: true}})
	must("project/3", project.Created{ID: 3, Settings: project.Settings{Key: "WINDOW", Name: "Window"}})
	create := func(id domain.RepositoryID, in domain.ProjectID, public bool) {
		t.Helper()
		must(domain.RepositoryStream(id), repository.Created{
			ID: id, Project: in, Name: "r", Slug: "r", Storage: "00000000-0000-0000-0000-000000000000",
			DefaultBranch: repository.InitialBranch, Settings: repository.Settings{Public: public},
		})
	}
	create(1, 1, false)
	create(2, 2, false)
	create(3, 3, true)
	must("repository/1", rights.Granted{User: writer, Permission: rights.RepoWrite, Target: rights.Target{Repository: 1}})

	users := access.NewReader(pool)
	judge := permission.Judge{Catalog: catalog.NewReader(pool), Users: users}
	as := func(id domain.UserID, scopes ...rights.Permission) credentials.Caller {
		if id == 0 {
			return credentials.Caller{}
		}
		return credentials.Caller{User: access.User{ID: id}, Scopes: scopes}
	}
	const read, write, administer = rights.RepoRead, rights.RepoWrite, rights.RepoAdmin
	for _, tt := range []struct {
		caller credentials.Caller
		key    string
		need   rights.Permission
		want   string
	}{
		{as(0), "SHUT", read, login},
		{as(0), "NONE", read, login},
		{as(0), "OPEN", read, yes},
		{as(0), "OPEN", write, login},
		{as(0), "WINDOW", read, yes},
		{as(outsider), "SHUT", read, hidden},
		{as(outsider), "NONE", read, hidden},
		{as(outsider), "SHUT", administer, hidden},
		{as(outsider), "OPEN", read, yes},
		{as(outsider), "OPEN", write, denied},
		{as(writer), "shut", write, yes},
		{as(writer), "SHUT", administer, denied},
		{as(writer, read), "SHUT", write, denied},
		{as(writer, read), "SHUT", read, yes},
		{as(writer, administer), "SHUT", administer, denied},
		{as(owner), "SHUT", administer, yes},
		{as(owner, rights.ProjectWrite), "SHUT", write, yes},
		{as(owner, rights.ProjectWrite), "SHUT", administer, denied},
		{as(owner), "OPEN", write, denied},
		{as(admin), "OPEN", administer, yes},
		{as(admin, read), "SHUT", read, yes},
		{as(99), "SHUT", read, hidden},
	} {
		_, err := judge.Repository(t.Context(), tt.caller, tt.key, "R", tt.need)
		if got := verdict(t, err); got != tt.want {
			t.Errorf("user %d with %q, %s on %s/r: %s, want %s", tt.caller.User.ID, tt.caller.Scopes, tt.need, tt.key, got, tt.want)
		}
	}
	for _, tt := range []struct {
		caller credentials.Caller
		key    string
		need   rights.Permission
		want   string
	}{
		{as(0), "SHUT", "", login},
		{as(0), "NONE", "", login},
		{as(0), "OPEN", "", yes},
		{as(0), "OPEN", rights.ProjectRead, yes},
		{as(0), "WINDOW", "", yes},
		{as(0), "WINDOW", rights.ProjectRead, login},
		{as(outsider), "SHUT", "", hidden},
		{as(outsider), "SHUT", rights.ProjectAdmin, hidden},
		{as(outsider), "WINDOW", "", yes},
		{as(outsider), "WINDOW", rights.ProjectRead, denied},
		{as(outsider), "OPEN", rights.ProjectAdmin, denied},
		{as(writer), "SHUT", "", yes},
		{as(writer), "SHUT", rights.ProjectWrite, denied},
		{as(owner), "SHUT", rights.ProjectAdmin, yes},
		{as(owner, read), "SHUT", "", yes},
		{as(owner, read), "SHUT", rights.ProjectAdmin, denied},
		{as(admin), "WINDOW", rights.ProjectAdmin, yes},
	} {
		_, err := judge.Project(t.Context(), tt.caller, tt.key, tt.need)
		if got := verdict(t, err); got != tt.want {
			t.Errorf("user %d with %q, %q on %s: %s, want %s", tt.caller.User.ID, tt.caller.Scopes, tt.need, tt.key, got, tt.want)
		}
	}
	for _, tt := range []struct {
		caller credentials.Caller
		need   rights.Permission
		want   string
	}{
		{as(0), rights.LicensedUser, login},
		{as(outsider), rights.LicensedUser, yes},
		{as(outsider), rights.ProjectCreate, denied},
		{as(admin), rights.SysAdmin, yes},
		{as(admin, rights.ProjectAdmin), rights.ProjectCreate, yes},
		{as(admin, rights.ProjectAdmin), rights.Admin, denied},
	} {
		if got := verdict(t, judge.Global(t.Context(), tt.caller, tt.need)); got != tt.want {
			t.Errorf("user %d with %q, %s: %s, want %s", tt.caller.User.ID, tt.caller.Scopes, tt.need, got, tt.want)
		}
	}

	// While more users can log in than there are seats, nobody writes, and all read.
	for seats, want := range map[int]bool{0: true, 3: false, 4: true} {
		judge.Seats = seats
		_, err := judge.Repository(t.Context(), as(owner), "SHUT", "r", rights.RepoWrite)
		if _, full := errors.AsType[*domain.ConflictError](err); full == want || (err == nil) != want {
			t.Errorf("with %d seats: %v", seats, err)
		}
		if _, err := judge.Repository(t.Context(), as(owner), "SHUT", "r", rights.RepoRead); err != nil {
			t.Errorf("with %d seats reading is refused: %v", seats, err)
		}
	}
}
