package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestFirstRun(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t), "ANNAL_ADMIN_PASSWORD=")
	if status, body := n.request("", "", "GET", "/status", nil); status != 200 || !strings.Contains(body, "FIRST_RUN") {
		t.Errorf("status before the set-up: %d %s", status, body)
	}
	link := regexp.MustCompile(`/setup\?token=\S+`).FindString(n.log.String())
	if link == "" {
		t.Fatalf("no set-up link in the log:\n%s", n.log)
	}
	if status, _ := n.request("", "", "GET", "/setup?token=wrong", nil); status != 404 {
		t.Errorf("set-up with a wrong token: %d", status)
	}
	if status, page := n.request("", "", "GET", link, nil); status != 200 || !strings.Contains(page, "<form") {
		t.Errorf("set-up page: %d %s", status, page)
	}
	admin := map[string]string{"name": "admin", "password": password, "emailAddress": "admin@example.org"}
	if status, body := n.request("", "", "POST", link, admin); status != 201 {
		t.Fatalf("set-up: %d %s", status, body)
	}
	if status, _ := n.request("", "", "POST", link, admin); status != 404 {
		t.Errorf("the link can be used twice: %d", status)
	}
	if _, body := n.request("", "", "GET", "/status", nil); !strings.Contains(body, "RUNNING") {
		t.Errorf("status after the set-up: %s", body)
	}
	n.repository("first")
}

func TestSharedHomeOfAnotherCluster(t *testing.T) {
	t.Parallel()
	home, other := newHome(t), newHome(t)
	start(t, home).stop()
	start(t, other).stop()
	refused := func(says string, args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), binary, append([]string{"serve", "--http-addr", "127.0.0.1:0", "--home", home}, args...)...)
		command.Env = environment()
		out, err := command.CombinedOutput()
		if err == nil || !strings.Contains(string(out), says) {
			t.Errorf("%v: %v, does not say %q:\n%s", args, err, says, out)
		}
	}
	refused("belongs to cluster", "--shared-home", filepath.Join(other, "shared"))
	refused("is it mounted?", "--shared-home", filepath.Join(other, "empty"))

	n := start(t, home)
	refused("another node runs in")
	n.stop()
}

// Everything that tells who calls, through real git clients.
func TestCredentialsOfGitClients(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	token := func(permissions ...string) string {
		text := n.admin(200, "PUT", "/rest/access-tokens/latest/users/admin", map[string]any{"name": strings.Join(permissions, "+"), "permissions": permissions})
		var made struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal([]byte(text), &made); err != nil || made.Token == "" {
			t.Fatalf("no token in %s", text)
		}
		return made.Token
	}
	reader, writer := token("REPO_READ"), token("REPO_WRITE")
	with := func(user, secret string) string {
		return strings.Replace(n.url, "http://", "http://"+user+":"+secret+"@", 1) + "/scm/PRJ/demo"
	}
	bearer := func(token string) []string { return []string{"-c", "http.extraHeader=Authorization: Bearer " + token} }
	plain := n.url + "/scm/prj/demo.git"
	for _, c := range []struct {
		name        string
		args        []string
		remote      string
		read, write bool
	}{
		{"nobody", nil, plain, false, false},
		{"password", nil, n.remote("demo"), true, true},
		{"wrong password", nil, with("admin", "wrong"), false, false},
		{"token as password", nil, with("admin", writer), true, true},
		{"token as password, to read", nil, with("admin", reader), true, false},
		{"token of another user", nil, with("eve", writer), false, false},
		{"x-token-auth", nil, with("x-token-auth", writer), true, true},
		{"bearer", bearer(writer), plain, true, true},
		{"bearer, to read", bearer(reader), plain, true, false},
		{"bearer that is none", bearer("none"), plain, false, false},
	} {
		if out, err := gitTry(t, dir, append(c.args, "ls-remote", c.remote)...); (err == nil) != c.read {
			t.Errorf("%s: reads: %v %s", c.name, err, out)
		}
		commit(t, dir, c.name)
		if out, err := gitTry(t, dir, append(c.args, "push", c.remote, "main")...); (err == nil) != c.write {
			t.Errorf("%s: writes: %v %s", c.name, err, out)
		}
	}
	n.admin(201, "PUT", "/rest/api/1.0/projects/PRJ/repos/demo", map[string]any{"public": true})
	git(t, dir, "ls-remote", plain)
	if out, err := gitTry(t, dir, "push", plain, "main:anonymous"); err == nil {
		t.Errorf("nobody may push to a public repository: %s", out)
	}
	if text, err := os.ReadFile(filepath.Join(n.home, "postgres", "postgres.log")); err != nil || strings.Contains(string(text)+n.log.String(), writer) {
		t.Errorf("a token is in a log (%v)", err)
	}
}
