package main_test

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// withSecret is the address of a repository with a name and a secret in it.
func (n *node) withSecret(name, secret, slug string) string {
	n.t.Helper()
	u, err := url.Parse(n.remote(slug))
	if err != nil {
		n.t.Fatal(err)
	}
	u.User = url.UserPassword(name, secret)
	return u.String()
}

type accessToken struct {
	ID, Token         string
	LastAuthenticated int64
}

func (n *node) accessToken(path, name string, permissions ...string) (made accessToken) {
	n.t.Helper()
	answer := n.admin(200, "PUT", path, map[string]any{"name": name, "permissions": permissions})
	if err := json.Unmarshal([]byte(answer), &made); err != nil {
		n.t.Fatal(err)
	}
	return made
}

// Tokens of projects and repositories open what they were given for to git, and are refused by
// every node on the next request after they were revoked or what they were for was deleted.
func TestAccessTokens(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home)
	n.repository("one")
	n.repository("two")
	database := "postgres://annal@/annal?" + url.Values{"host": {filepath.Join(home, "postgres", "run")}}.Encode()
	other := start(t, newHome(t), "ANNAL_DATABASE_URL="+database, "ANNAL_SHARED_HOME="+filepath.Join(home, "shared"))
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("one"), "main")
	git(t, dir, "push", "-q", n.remote("two"), "main")
	const ofProject = "/rest/access-tokens/1.0/projects/PRJ"
	const ofOne, ofTwo = ofProject + "/repos/one", ofProject + "/repos/two"
	refused := func(want, address string, args ...string) {
		t.Helper()
		out, err := gitTry(t, dir, append(args, address)...)
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v: %s", err, out)
		}
	}
	const needsProof = "Authentication failed"

	reads := n.accessToken(ofOne, "ci", "REPO_READ")
	for _, name := range []string{"x-token-auth", "X-Token-Auth"} {
		git(t, dir, "ls-remote", n.withSecret(name, reads.Token, "one"))
	}
	refused(needsProof, n.withSecret("admin", reads.Token, "one"), "ls-remote") // it is not his
	refused("not found", n.withSecret("x-token-auth", reads.Token, "two"), "ls-remote")
	commit(t, dir, "more")
	if out, err := gitTry(t, dir, "push", n.withSecret("x-token-auth", reads.Token, "one"), "main"); err == nil {
		t.Errorf("pushed with a token to read: %s", out)
	}

	writes := n.accessToken(ofProject, "ci", "REPO_WRITE")
	git(t, dir, "push", "-q", n.withSecret("x-token-auth", writes.Token, "one"), "main")
	git(t, dir, "push", "-q", other.withSecret("x-token-auth", writes.Token, "two"), "main")
	personal := n.accessToken("/rest/access-tokens/1.0/users/admin", "mine", "REPO_READ")
	for _, name := range []string{"admin", "x-token-auth"} {
		git(t, dir, "ls-remote", n.withSecret(name, personal.Token, "one"))
	}

	for _, path := range []string{ofOne + "/" + reads.ID, ofProject + "/" + writes.ID, "/rest/access-tokens/1.0/users/admin/" + personal.ID} {
		var seen accessToken
		if err := json.Unmarshal([]byte(n.admin(200, "GET", path, nil)), &seen); err != nil || seen.LastAuthenticated == 0 {
			t.Errorf("%s: its use was not noted: %+v, %v", path, seen, err)
		}
	}

	// The other node remembers that the token is good, until the very next request.
	git(t, dir, "ls-remote", other.withSecret("x-token-auth", reads.Token, "one"))
	n.admin(204, "DELETE", ofOne+"/"+reads.ID, nil)
	refused(needsProof, other.withSecret("x-token-auth", reads.Token, "one"), "ls-remote")
	ofSecond := n.accessToken(ofTwo, "ci", "REPO_ADMIN")
	git(t, dir, "ls-remote", other.withSecret("x-token-auth", ofSecond.Token, "two"))
	n.admin(202, "DELETE", "/rest/api/1.0/projects/PRJ/repos/two", nil)
	refused(needsProof, other.withSecret("x-token-auth", ofSecond.Token, "two"), "ls-remote")

	if out := n.annal("audit", "verify"); !strings.Contains(out, "nothing is wrong") {
		t.Errorf("the log does not bear it out: %s", out)
	}
	n.annal("projections", "verify", "access")
	for _, secret := range []string{reads.Token, writes.Token, personal.Token} {
		if strings.Contains(n.annal("events", "tail", "-n", "100", "--json"), secret) {
			t.Error("a token is in the log")
		}
	}
}
