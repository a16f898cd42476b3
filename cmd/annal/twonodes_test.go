package main_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Two nodes on one database and one shared home: what one acknowledged, the other shows
// at once.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	one := start(t, home)
	database := "postgres://annal@/annal?" + url.Values{"host": {filepath.Join(home, "postgres", "run")}}.Encode()
	two := start(t, newHome(t), "ANNAL_DATABASE_URL="+database, "ANNAL_SHARED_HOME="+filepath.Join(home, "shared"))
	one.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", two.remote("demo"), "main")
	for i := range 10 {
		from, to := one, two
		if i%2 == 1 {
			from, to = two, one
		}
		id := commit(t, dir, "next")
		git(t, dir, "push", "-q", from.remote("demo"), "main")
		if at := git(t, dir, "ls-remote", to.remote("demo"), "refs/heads/main"); !strings.HasPrefix(at, id) {
			t.Fatalf("round %d: the other node shows %q, %s was acknowledged", i, at, id)
		}
		git(t, t.TempDir(), "clone", "-q", to.remote("demo"), "copy")
	}

	// Both at once, to branches of their own and to one they share.
	var wg sync.WaitGroup
	for i, n := range []*node{one, two} {
		clone := filepath.Join(t.TempDir(), "clone")
		git(t, dir, "clone", "-q", n.remote("demo"), clone)
		wg.Go(func() {
			for range 5 {
				commit(t, clone, "mine")
				git(t, clone, "push", "-q", n.remote("demo"), "main:node"+string(rune('1'+i)))
				_, _ = gitTry(t, clone, "push", "-q", n.remote("demo"), "main:shared")
			}
		})
	}
	wg.Wait()
	if a, b := git(t, dir, "ls-remote", one.remote("demo")), git(t, dir, "ls-remote", two.remote("demo")); a != b {
		t.Errorf("the nodes show\n%s\nand\n%s", a, b)
	}
	one.annal("projections", "verify", "refs")

	// A token that one node takes back, the other refuses.
	text := one.admin(200, http.MethodPut, "/rest/access-tokens/latest/users/admin", map[string]any{"name": "ci", "permissions": []string{"REPO_READ"}})
	id, token := between(text, `"id":"`, `"`), between(text, `"token":"`, `"`)
	if status, body := two.request("admin", token, http.MethodGet, "/rest/api/1.0/projects/PRJ/repos/demo", nil); status != 200 {
		t.Fatalf("token on the other node: %d %s", status, body)
	}
	const fetch = "/scm/PRJ/demo.git/info/refs?service=git-upload-pack"
	for range 2 { // the second is let in by what the node remembers
		if status, body := two.request("admin", token, http.MethodGet, fetch, nil); status != 200 {
			t.Fatalf("fetch with a token on the other node: %d %s", status, body)
		}
	}
	one.admin(204, http.MethodDelete, "/rest/access-tokens/latest/users/admin/"+id, nil)
	if status, _ := two.request("admin", token, http.MethodGet, fetch, nil); status != 401 {
		t.Errorf("fetch with a revoked token on the other node: %d", status)
	}
	if status, _ := two.request("admin", token, http.MethodGet, "/rest/api/1.0/projects/PRJ/repos/demo", nil); status != 401 {
		t.Errorf("a revoked token on the other node: %d", status)
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}
