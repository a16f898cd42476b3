package access_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/oauth"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

// world is a log with the projection beside it, and short words to fill it.
type world struct {
	t    *testing.T
	log  *eventstore.Log
	pool *pgxpool.Pool
	*access.Reader
}

func newWorld(t *testing.T) world {
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}}})
	return world{t: t, log: log, pool: pool, Reader: access.NewReader(pool)}
}

func (w world) append(stream domain.Stream, events ...domain.Event) error {
	w.t.Helper()
	_, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
	return err
}

func (w world) must(stream domain.Stream, events ...domain.Event) {
	w.t.Helper()
	if err := w.append(stream, events...); err != nil {
		w.t.Fatal(err)
	}
}

func user(id domain.UserID, name string) account.Created {
	return account.Created{ID: id, Type: account.Normal, Profile: account.Profile{
		Name: name, Slug: account.Slug(name), DisplayName: "User " + name, Email: name + "@example.com",
	}}
}

func granted(id domain.UserID, permission rights.Permission, target rights.Target) rights.Granted {
	return rights.Granted{User: id, Permission: permission, Target: target}
}

func conflict(t *testing.T, err error, message string) {
	t.Helper()
	if c, ok := errors.AsType[*domain.ConflictError](err); !ok || c.Message != message {
		t.Errorf("got %v, want conflict %q", err, message)
	}
}

func missing(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*domain.NotFoundError](err); !ok {
		t.Errorf("got %v, want not found", err)
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("user/1", user(1, "Jane@x"), account.PasswordSet{ID: 1, Secret: account.Secret{Hash: "h1"}})
	w.must("user/2", user(2, "bob"))

	want := access.User{ID: 1, Name: "Jane@x", Slug: "jane_x", DisplayName: "User Jane@x", Email: "Jane@x@example.com", Type: account.Normal, Active: true}
	if u, err := w.UserByName(ctx, "JANE@X"); err != nil || u != want {
		t.Errorf("by name %+v, %v", u, err)
	}
	if u, err := w.UserBySlug(ctx, "JANE_x"); err != nil || u != want {
		t.Errorf("by slug %+v, %v", u, err)
	}
	if u, err := w.User(ctx, 1); err != nil || u != want {
		t.Errorf("by id %+v, %v", u, err)
	}
	login, err := w.LoginByName(ctx, "jane@x")
	if err != nil || login.PasswordHash != "h1" || login.PasswordVersion != 2 {
		t.Errorf("login %+v, %v", login, err)
	}
	if login, err := w.LoginByName(ctx, "bob"); err != nil || login.PasswordHash != "" {
		t.Errorf("login without password %+v, %v", login, err)
	}
	_, err = w.UserByName(ctx, "nobody")
	missing(t, err)
	_, err = w.LoginByName(ctx, "")
	missing(t, err)

	conflict(t, w.append("user/3", user(3, "BOB")), "This user name is already in use.")
	conflict(t, w.append("user/3", user(3, "jane+x")), "This user name is already in use.") // same slug
	conflict(t, w.append("user/2", account.ProfileChanged{ID: 2, Profile: user(2, "Jane@x").Profile}), "This user name is already in use.")

	w.must("user/2", account.ProfileChanged{ID: 2, Profile: user(2, "robert").Profile}, account.Deactivated{ID: 2})
	if u, err := w.User(ctx, 2); err != nil || u.Name != "robert" || u.Active {
		t.Errorf("changed %+v, %v", u, err)
	}
	w.must("user/2", account.Activated{ID: 2})
	if u, err := w.User(ctx, 2); err != nil || !u.Active {
		t.Errorf("activated %+v, %v", u, err)
	}
}

func TestErasedUser(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	for id := domain.UserID(1); id <= 2; id++ {
		w.must(domain.UserStream(id), account.Created{ID: id, Type: account.Normal}, account.PasswordSet{ID: id},
			account.TokenCreated{User: id, ID: account.TokenID(id), Permissions: rights.OnProject})
	}
	u, err := w.User(ctx, 2)
	if err != nil || u.Name != "-erased-2" || u.DisplayName != "Erased user" {
		t.Errorf("erased user %+v, %v", u, err)
	}
	if tokens, _, err := w.Tokens(ctx, 2, access.Page{Limit: 10}); err != nil || len(tokens) != 0 {
		t.Errorf("tokens of an erased user %+v, %v", tokens, err)
	}
}

// Erasing a user leaves what a rebuild from the log would.
func TestErase(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	w.must("user/1", user(1, "admin"), granted(1, rights.SysAdmin, rights.Target{}))
	w.must("user/2", user(2, "ada"), account.PasswordSet{ID: 2, Secret: account.Secret{Hash: "h"}},
		account.TokenCreated{User: 2, ID: 7, Permissions: rights.OnProject, Details: account.TokenDetails{Name: "ci", Hash: []byte{1}}},
		account.SSHKeyAdded{User: 2, ID: 8, Algorithm: "RSA", Bits: 2048, Details: account.SSHKeyDetails{Label: "ada@laptop", Key: []byte("k")}},
		granted(2, rights.ProjectRead, rights.Target{Project: 1}),
		account.IdentityLinked{User: 2, Identity: account.Identity{Issuer: "i", Subject: "s"}})
	known := oauth.Client{Name: "CI", RedirectURIs: []string{"https://ci"}, Scopes: []string{"REPO_READ", "REPO_WRITE"}}
	for id := range domain.OAuthClientID(2) {
		w.must(domain.OAuthClientStream(id), oauth.ClientCreated{ID: id, ClientID: fmt.Sprint("c", id), SecretHash: []byte{1}, Client: known})
		for _, who := range []domain.UserID{1, 2} {
			w.must(domain.UserStream(who), account.ApplicationAuthorized{User: who, Grant: account.GrantID(10*int64(id) + int64(who)), Client: id, Scopes: known.Scopes})
		}
	}
	w.must("user/1", account.ApplicationAuthorized{User: 1, Grant: 5, Client: 0, Scopes: known.Scopes}, account.ApplicationRevoked{User: 1, Grant: 5},
		account.SessionsEnded{ID: 1}, account.IdentityLinked{User: 1, Identity: account.Identity{Issuer: "i", Subject: "admin"}})
	conflict(t, w.append("user/1", account.IdentityLinked{User: 1, Identity: account.Identity{Issuer: "i", Subject: "s"}}), "This account of the provider is linked to another user.")
	conflict(t, w.append("user/1", account.ApplicationAuthorized{User: 1, Grant: 6, Client: 9, Scopes: known.Scopes}), "The application does not exist.")
	known.Scopes = known.Scopes[:1]
	w.must(domain.OAuthClientStream(0), oauth.ClientChanged{ID: 0, Client: known}, oauth.ClientSecretChanged{ID: 0, SecretHash: []byte{2}})
	w.must(domain.OAuthClientStream(1), oauth.ClientDeleted{ID: 1})
	grants, _, err := w.OAuthGrants(ctx, 1, access.Page{Limit: 10})
	if err != nil || len(grants) != 1 || grants[0].ID != 1 || !slices.Equal(grants[0].Scopes, known.Scopes) {
		t.Errorf("%+v, %v", grants, err)
	}
	erase := func(id domain.UserID) error { return eventstore.Erase(ctx, w.log, id, domain.Metadata{}, nil) }
	conflict(t, erase(1), "The last system administrator cannot be removed.")
	if u, err := w.UserByName(ctx, "admin"); err != nil || !u.Active {
		t.Errorf("who could not be erased is %+v, %v", u, err)
	}
	if err := erase(2); err != nil {
		t.Fatal(err)
	}
	want := access.User{ID: 2, Name: "-erased-2", Slug: "-erased-2", DisplayName: "Erased user", Type: account.Normal}
	if u, err := w.User(ctx, 2); err != nil || u != want {
		t.Errorf("erased %+v, %v", u, err)
	}
	login, err := w.LoginByName(ctx, "-erased-2")
	if err != nil || login.PasswordHash != "" || login.PasswordVersion <= 4 {
		t.Errorf("login of an erased user %+v, %v", login, err)
	}
	_, _, err = w.TokenByHash(ctx, []byte{1})
	missing(t, err)
	_, _, err = w.SSHKeyByKey(ctx, []byte("k"))
	missing(t, err)
	_, err = w.LoginByIdentity(ctx, account.Identity{Issuer: "i", Subject: "s"})
	missing(t, err)
	w.must("user/3", user(3, "ada"), account.SSHKeyAdded{User: 3, ID: 9, Details: account.SSHKeyDetails{Key: []byte("k")}}) // name and key are free again

	events, err := w.log.ReadAll(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	rebuilt := eventstoretest.Database(t)
	if err := pgx.BeginFunc(ctx, rebuilt, func(tx pgx.Tx) error { return access.Projection{}.Apply(ctx, tx, events) }); err != nil {
		t.Fatal(err)
	}
	for _, table := range (access.Projection{}).Tables() {
		if live, anew := rowsOf(t, w.pool, table), rowsOf(t, rebuilt, table); !slices.Equal(live, anew) {
			t.Errorf("%s has\n%q\nand rebuilt\n%q", table, live, anew)
		}
	}
}

func rowsOf(t *testing.T, pool *pgxpool.Pool, table string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select t::text from `+table+` t order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func TestAdministrators(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	if has, err := w.HasAdministrator(ctx); has || err != nil {
		t.Errorf("new installation has an administrator: %v, %v", has, err)
	}
	first := user(1, "admin")
	first.SetUp = true
	w.must("user/1", first, granted(1, rights.SysAdmin, rights.Target{}))
	if has, err := w.HasAdministrator(ctx); !has || err != nil {
		t.Errorf("administrator: %v, %v", has, err)
	}
	second := user(2, "eve")
	second.SetUp = true
	conflict(t, w.append("user/2", second), "Annal has been set up already.")

	const last = "The last system administrator cannot be removed."
	conflict(t, w.append("user/1", account.Deactivated{ID: 1}), last)
	conflict(t, w.append("user/1", rights.Revoked{User: 1, Permission: rights.SysAdmin}), last)
	conflict(t, w.append("user/1", rights.Granted{User: 1, Permission: rights.Admin, Old: rights.SysAdmin}), last)

	w.must("user/2", user(2, "bob"), granted(2, rights.SysAdmin, rights.Target{}), account.Deactivated{ID: 2})
	conflict(t, w.append("user/1", account.Deactivated{ID: 1}), last) // an inactive one does not count
	w.must("user/2", account.Activated{ID: 2})
	w.must("user/1", account.Deactivated{ID: 1})
	conflict(t, w.append("user/9", granted(9, rights.Admin, rights.Target{})), "The user does not exist.")
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	w.must("user/1", user(1, "jane"))
	w.must("user/2", user(2, "bob"))
	w.must("user/1",
		account.TokenCreated{
			User: 1, ID: 7, Permissions: []rights.Permission{rights.ProjectRead, rights.RepoWrite}, Expires: &expires,
			Details: account.TokenDetails{Name: "ci", Hash: []byte{1}},
		},
		account.TokenCreated{User: 1, ID: 8, Permissions: []rights.Permission{rights.RepoRead}, Details: account.TokenDetails{Name: "x", Hash: []byte{2}}})
	owner, token, err := w.TokenByHash(ctx, []byte{1})
	if err != nil || owner.Name != "jane" || token.ID != 7 || token.Name != "ci" || token.Expires == nil || !token.Expires.Equal(expires) ||
		!slices.Equal(token.Permissions, []rights.Permission{rights.ProjectRead, rights.RepoWrite}) {
		t.Errorf("token %+v of %+v, %v", token, owner, err)
	}
	if token.Expired(expires.Add(-time.Second)) || !token.Expired(expires) {
		t.Error("a token expires at its time and not before")
	}
	w.must("user/1", account.TokenChanged{User: 1, ID: 7, Permissions: []rights.Permission{rights.RepoRead}, Details: account.TokenDetails{Name: "cd"}})
	if token, err := w.Token(ctx, 1, 7); err != nil || token.Name != "cd" || len(token.Permissions) != 1 {
		t.Errorf("changed %+v, %v", token, err)
	}
	_, err = w.Token(ctx, 2, 7)
	missing(t, err)
	tokens, more, err := w.Tokens(ctx, 1, access.Page{Limit: 1})
	if err != nil || !more || len(tokens) != 1 || tokens[0].ID != 7 {
		t.Errorf("tokens %+v, %v, %v", tokens, more, err)
	}
	w.must("user/1", account.TokenRevoked{User: 1, ID: 7})
	_, _, err = w.TokenByHash(ctx, []byte{1})
	missing(t, err)
}

func TestHeldAndLists(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	for id, name := range map[domain.UserID]string{1: "admin", 2: "owner", 3: "reader", 4: "nobody"} {
		w.must(domain.UserStream(id), user(id, name), granted(id, rights.LicensedUser, rights.Target{}))
	}
	w.must("user/1", granted(1, rights.Admin, rights.Target{}))
	w.must("project/7", granted(2, rights.ProjectWrite, rights.Target{Project: 7}), granted(2, rights.ProjectAdmin, rights.Target{Project: 7}))
	w.must("repository/7", granted(3, rights.RepoRead, rights.Target{Repository: 7}))

	for _, tt := range []struct {
		user       domain.UserID
		project    domain.ProjectID
		repository domain.RepositoryID
		need       rights.Permission
		want       bool
	}{
		{1, 7, 7, rights.RepoAdmin, true},
		{1, 7, 7, rights.SysAdmin, false},
		{2, 7, 7, rights.RepoAdmin, true},
		{2, 8, 7, rights.RepoRead, false},
		{3, 7, 7, rights.RepoRead, true},
		{3, 7, 7, rights.RepoWrite, false},
		{3, 7, 8, rights.RepoRead, false},
		{3, 7, 0, rights.ProjectRead, false},
		{4, 7, 7, rights.RepoRead, false},
		{4, 0, 0, rights.LicensedUser, true},
		{0, 7, 7, rights.RepoRead, false},
	} {
		held, err := w.Held(ctx, tt.user, tt.project, tt.repository)
		if got := held.Allow(tt.need); err != nil || got != tt.want {
			t.Errorf("user %d, %s on %d/%d: %v, %v", tt.user, tt.need, tt.project, tt.repository, got, err)
		}
	}

	names := func(f access.UserFilter) []string {
		t.Helper()
		list, _, err := w.Users(ctx, f, access.Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, u := range list {
			names = append(names, u.Name)
		}
		return names
	}
	require := func(q ...access.Requirement) access.UserFilter { return access.UserFilter{Requirements: q} }
	for name, tt := range map[string]struct {
		filter access.UserFilter
		want   []string
	}{
		"all":                {access.UserFilter{}, []string{"admin", "nobody", "owner", "reader"}},
		"by name":            {access.UserFilter{Text: "READ"}, []string{"reader"}},
		"by display name":    {access.UserFilter{Text: "user o"}, []string{"owner"}},
		"by e-mail":          {access.UserFilter{Text: "y@example"}, []string{"nobody"}},
		"wildcards":          {access.UserFilter{Text: "%"}, nil},
		"global":             {require(access.Requirement{Permission: rights.Admin}), []string{"admin"}},
		"on a project":       {require(access.Requirement{Permission: rights.ProjectRead, Project: 7}), []string{"admin", "owner"}},
		"on a repository":    {require(access.Requirement{Permission: rights.RepoRead, Project: 7, Repository: 7}), []string{"admin", "owner", "reader"}},
		"two at once":        {require(access.Requirement{Permission: rights.RepoRead, Project: 7, Repository: 7}, access.Requirement{Permission: rights.ProjectAdmin, Project: 7}), []string{"admin", "owner"}},
		"readable by anyone": {require(access.Requirement{Permission: rights.RepoRead, Project: 9, Repository: 9, Readable: true}), []string{"admin", "nobody", "owner", "reader"}},
		"not writable":       {require(access.Requirement{Permission: rights.RepoWrite, Project: 9, Repository: 9, Readable: true}), []string{"admin"}},
	} {
		if got := names(tt.filter); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}

	grants, more, err := w.Grants(ctx, rights.Target{}, "", access.Page{Limit: 2})
	if err != nil || !more || len(grants) != 2 || grants[0].User.Name != "admin" || grants[0].Permission != rights.Admin {
		t.Errorf("grants %+v, %v, %v", grants, more, err)
	}
	grants, _, err = w.Grants(ctx, rights.Target{Project: 7}, "own", access.Page{Limit: 2})
	if err != nil || len(grants) != 1 || grants[0].Permission != rights.ProjectAdmin {
		t.Errorf("grants %+v, %v", grants, err)
	}
	w.must("repository/7", rights.Revoked{User: 3, Permission: rights.RepoRead, Target: rights.Target{Repository: 7}})
	w.must("project/7", rights.Revoked{User: 2, Permission: rights.ProjectAdmin, Target: rights.Target{Project: 7}})
	w.must("user/1", account.Deactivated{ID: 1})
	for id := domain.UserID(1); id <= 3; id++ {
		held, err := w.Held(ctx, id, 7, 7)
		if err != nil || held.Allow(rights.RepoRead) {
			t.Errorf("user %d still holds %q, %v", id, held, err)
		}
	}
}

// A key is one user's; what an access key gives is found, and it stays as long as it gives something.
func TestSSHKeys(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), t.Context()
	key := func(user domain.UserID, id account.SSHKeyID, text string) account.SSHKeyAdded {
		return account.SSHKeyAdded{User: user, ID: id, Algorithm: "RSA", Bits: 4096, Details: account.SSHKeyDetails{Label: "The " + text, Key: []byte(text)}}
	}
	w.must("user/1", user(1, "ada"), key(1, 1, "hers"), granted(1, rights.LicensedUser, rights.Target{}))
	conflict(t, w.append("user/1", key(1, 2, "hers")), "This SSH key has already been added to Annal.")
	holder := account.Created{ID: 2, Type: account.AccessKey, Profile: account.Profile{Name: "access-key/2", Slug: "access-key/2", DisplayName: "build"}}
	w.must("user/2", holder, key(2, 3, "build"))
	onProject, onRepository := rights.Target{Project: 5}, rights.Target{Repository: 6}
	w.must("project/5", granted(2, rights.ProjectRead, onProject))
	w.must("repository/6", granted(2, rights.RepoWrite, onRepository), granted(1, rights.RepoRead, onRepository))

	login, found, err := w.SSHKeyByKey(ctx, []byte("build"))
	if err != nil || login.ID != 2 || login.Type != account.AccessKey || found.ID != 3 || found.Label != "The build" || found.Used != nil {
		t.Errorf("%+v %+v %v", login, found, err)
	}
	list, more, err := w.AccessKeys(ctx, onRepository, access.AccessKeyFilter{Within: 5, Label: "the"}, access.Page{Limit: 10})
	if err != nil || more || len(list) != 2 || list[0].Target != onProject || list[1].Target != onRepository || list[1].Permission != rights.RepoWrite {
		t.Errorf("%+v %t %v", list, more, err)
	}
	_, err = w.SSHKey(ctx, 3)
	missing(t, err) // as a key of a person
	for _, find := range []func() error{
		func() error { _, err := w.UserByName(ctx, "access-key/2"); return err },
		func() error { _, err := w.UserBySlug(ctx, "access-key/2"); return err },
	} {
		missing(t, find())
	}
	if grants, _, err := w.Grants(ctx, onRepository, "", access.Page{Limit: 10}); err != nil || len(grants) != 1 || grants[0].User.ID != 1 {
		t.Errorf("%+v %v", grants, err)
	}

	at := time.Now().Truncate(time.Microsecond)
	uses := access.NewUses(w.pool)
	for _, after := range []time.Duration{0, 30 * time.Second, 2 * time.Minute, time.Minute} {
		if err := uses.SSHKey(ctx, 3, at.Add(after)); err != nil {
			t.Fatal(err)
		}
		want := at
		if after >= time.Minute {
			want = at.Add(2 * time.Minute)
		}
		if _, found, err := w.SSHKeyByKey(ctx, []byte("build")); err != nil || found.Used == nil || !found.Used.Equal(want) {
			t.Errorf("after %s: %+v %v", after, found, err)
		}
	}

	w.must("repository/6", rights.Revoked{User: 2, Permission: rights.RepoWrite, Target: onRepository})
	removed := account.SSHKeyRemoved{User: 2, ID: 3}
	conflict(t, w.append("user/2", removed), "The access key is in use.")
	w.must("project/5", rights.Revoked{User: 2, Permission: rights.ProjectRead, Target: onProject})
	w.must("user/2", removed)
	_, _, err = w.SSHKeyByKey(ctx, []byte("build"))
	missing(t, err)
	if left := rowsOf(t, w.pool, "ssh_key_uses"); len(left) > 0 {
		t.Errorf("left of uses: %q", left)
	}
}
