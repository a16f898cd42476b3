package oauth_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/oauth"
)

var client = oauth.Client{Name: "CI", RedirectURIs: []string{"https://ci.example.org/authorize"}, Scopes: []string{"REPO_READ"}}

func TestDecide(t *testing.T) {
	created := oauth.ClientCreated{ID: 1, ClientID: "x", SecretHash: []byte{1}, Client: client}
	with := func(change func(*oauth.Client)) oauth.Client {
		c := client
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name  string
		given []domain.Event
		when  oauth.Command
		then  domain.Event
		fails any
	}{
		{name: "create", when: oauth.Create{ID: 1, ClientID: "x", SecretHash: []byte{1}, Client: client}, then: created},
		{name: "create twice", given: []domain.Event{created}, when: oauth.Create{ID: 1, Client: client}, fails: new(*domain.ConflictError)},
		{name: "no name", when: oauth.Create{Client: with(func(c *oauth.Client) { c.Name = " " })}, fails: new(*domain.InvalidError)},
		{name: "name of two lines", when: oauth.Create{Client: with(func(c *oauth.Client) { c.Name = "a\nb" })}, fails: new(*domain.InvalidError)},
		{name: "no address", when: oauth.Create{Client: with(func(c *oauth.Client) { c.RedirectURIs = nil })}, fails: new(*domain.InvalidError)},
		{name: "an address twice", when: oauth.Create{Client: with(func(c *oauth.Client) { c.RedirectURIs = slices.Repeat(c.RedirectURIs, 2) })}, fails: new(*domain.InvalidError)},
		{name: "no scope", when: oauth.Create{Client: with(func(c *oauth.Client) { c.Scopes = nil })}, fails: new(*domain.InvalidError)},
		{name: "unknown scope", when: oauth.Create{Client: with(func(c *oauth.Client) { c.Scopes = []string{"ROOT"} })}, fails: new(*domain.InvalidError)},
		{
			name: "change", given: []domain.Event{created}, when: oauth.Change{Client: with(func(c *oauth.Client) { c.Name = "CD" })},
			then: oauth.ClientChanged{ID: 1, Client: with(func(c *oauth.Client) { c.Name = "CD" })},
		},
		{name: "change nothing", given: []domain.Event{created}, when: oauth.Change{Client: client}},
		{name: "change none", when: oauth.Change{Client: client}, fails: new(*domain.NotFoundError)},
		{name: "secret", given: []domain.Event{created}, when: oauth.ChangeSecret{Hash: []byte{2}}, then: oauth.ClientSecretChanged{ID: 1, SecretHash: []byte{2}}},
		{name: "delete", given: []domain.Event{created}, when: oauth.Delete{}, then: oauth.ClientDeleted{ID: 1}},
		{name: "delete twice", given: []domain.Event{created, oauth.ClientDeleted{ID: 1}}, when: oauth.Delete{}, fails: new(*domain.NotFoundError)},
		{name: "change a deleted one", given: []domain.Event{created, oauth.ClientDeleted{ID: 1}}, when: oauth.Change{Client: client}, fails: new(*domain.NotFoundError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var state oauth.State
			for _, event := range tt.given {
				state = oauth.Evolve(state, event)
			}
			events, err := oauth.Decide(state, tt.when)
			switch {
			case tt.fails != nil:
				if !errors.As(err, tt.fails) {
					t.Fatalf("error %v, want %T", err, tt.fails)
				}
			case err != nil, (tt.then != nil) != (len(events) == 1):
				t.Fatalf("got %+v, %v, want %+v", events, err, tt.then)
			case tt.then != nil && events[0].EventType() != tt.then.EventType():
				t.Fatalf("got %+v, want %+v", events[0], tt.then)
			}
		})
	}
}

// Each scope covers what its name says, and nothing of the next.
func TestScopes(t *testing.T) {
	covers := func(scope string, need access.Permission) bool {
		return slices.ContainsFunc(oauth.Permissions([]string{scope}), func(p access.Permission) bool { return p.Implies(need) })
	}
	for scope, want := range map[string]string{
		"PUBLIC_REPOS": "", "ACCOUNT_WRITE": "", "REPO_READ": "PROJECT_READ REPO_READ", "REPO_WRITE": "PROJECT_READ REPO_READ REPO_WRITE",
		"REPO_ADMIN": "PROJECT_READ REPO_READ REPO_WRITE REPO_ADMIN", "PROJECT_ADMIN": "PROJECT_READ PROJECT_WRITE PROJECT_ADMIN REPO_READ REPO_WRITE REPO_ADMIN",
		"ADMIN_WRITE":  "PROJECT_READ PROJECT_WRITE PROJECT_ADMIN REPO_READ REPO_WRITE REPO_ADMIN LICENSED_USER PROJECT_CREATE ADMIN",
		"SYSTEM_ADMIN": "PROJECT_READ PROJECT_WRITE PROJECT_ADMIN REPO_READ REPO_WRITE REPO_ADMIN LICENSED_USER PROJECT_CREATE ADMIN SYS_ADMIN",
	} {
		var got []string
		for _, p := range []access.Permission{
			access.ProjectRead, access.ProjectWrite, access.ProjectAdmin, access.RepoRead, access.RepoWrite, access.RepoAdmin,
			access.LicensedUser, access.ProjectCreate, access.Admin, access.SysAdmin,
		} {
			if covers(scope, p) {
				got = append(got, string(p))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s covers %v, want %s", scope, got, want)
		}
	}
	if oauth.Permissions(nil) == nil {
		t.Error("no scope must not look like no limit")
	}
}

// An accepted redirect URI can be written into a header and a policy, and leads where it says.
func TestRedirectURIsAreSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uri := rapid.OneOf(rapid.String(), rapid.StringMatching(`(https?|javascript|org\.x|data)://?/?[a-z0-9.:@\[\]\\;, #'"%-]{0,20}(/[a-z;, ]{0,4})?`)).Draw(t, "uri")
		c := client
		c.RedirectURIs = []string{uri}
		if _, err := oauth.Decide(oauth.State{}, oauth.Create{ID: 1, Client: c}); err != nil {
			return
		}
		parsed, err := url.Parse(uri)
		if err != nil || strings.ContainsAny(uri, " ;,'\"\\#\r\n") || parsed.User != nil || parsed.Fragment != "" {
			t.Fatalf("%q", uri)
		}
		local := parsed.Hostname() == "localhost" || parsed.Hostname() == "127.0.0.1" || parsed.Hostname() == "::1"
		if !(parsed.Scheme == "https" && parsed.Host != "" || parsed.Scheme == "http" && local || strings.Contains(parsed.Scheme, ".")) {
			t.Fatalf("%q", uri)
		}
	})
}
