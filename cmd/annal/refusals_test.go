package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What was refused over HTTP, SSH and REST is found by an operator and by a system administrator,
// and what people typed by mistake is not.
func TestRefusalsAreFound(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("one")
	c := newSSHClient(t, n)
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("one"), "main")
	n.admin(204, "POST", "/rest/api/1.0/admin/users?name=jane&password=correct-horse&displayName=Jane&emailAddress=jane@example.com", nil)

	const typed = "my-secret-password"
	for _, name := range []string{"jane", typed} {
		if status, body := n.request(name, "wrong-"+typed, "GET", "/rest/api/1.0/projects", nil); status != 401 {
			t.Fatalf("%d %s", status, body)
		}
	}
	n.request("jane", "correct-horse", "GET", "/rest/api/1.0/projects/PRJ/repos/one", nil)            // hidden from her
	n.request("jane", "correct-horse", "GET", "/rest/annal/1.0/audit/refusals", nil)                  // not for her
	_, _ = gitTry(t, dir, "ls-remote", n.withSecret("jane", "correct-horse", "one"))                  // nor that
	_, _ = gitTry(t, dir, "ls-remote", n.withSecret("jane", "annal_"+strings.Repeat("A", 43), "one")) // no token of hers
	c.refused("Permission denied (publickey)", dir, "ls-remote", c.url+"/prj/one.git")                // no key of anybody
	n.admin(200, "POST", "/rest/branch-permissions/2.0/projects/PRJ/repos/one/restrictions", map[string]any{
		"type": "read-only", "matcher": map[string]any{"id": "refs/heads/main", "type": map[string]any{"id": "BRANCH"}},
	})
	commit(t, dir, "more")
	if out, err := gitTry(t, dir, "push", n.remote("one"), "main"); err == nil {
		t.Fatalf("pushed to what is read-only: %s", out)
	}

	type refusal struct{ Kind, User, NameHash, Address, Project, Repository, Need, Ref, Request string }
	list := func(flags ...string) (found []refusal) {
		t.Helper()
		for line := range strings.Lines(n.annal(append([]string{"audit", "refusals", "--json"}, flags...)...)) {
			var r refusal
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err, line)
			}
			found = append(found, r)
		}
		return found
	}
	for end := time.Now().Add(10 * time.Second); len(list("--kind", "rule")) == 0 && time.Now().Before(end); {
	}
	for _, tt := range []struct {
		flags string
		want  int
	}{
		{"--kind login", 4}, {"--kind login --user jane", 2}, {"--kind permission --user jane", 3},
		{"--kind permission --repository PRJ/one", 2}, {"--kind rule --user admin --repository PRJ/one", 1}, {"--kind dropped", 0},
		{"--address 127.0.0.1 --since 1h -n 3", 3}, {"--since 2100-01-01", 0},
	} {
		if found := list(strings.Fields(tt.flags)...); len(found) != tt.want {
			t.Errorf("%s: %d, want %d: %+v", tt.flags, len(found), tt.want, found)
		}
	}
	for _, r := range list() {
		if r.Address == "" || r.Request == "" && r.Need != "ssh" || r.Kind == "rule" && (r.Ref != "refs/heads/main" || r.Project+"/"+r.Repository != "PRJ/one" || r.Need == "") {
			t.Errorf("%+v", r)
		}
	}
	answer := n.admin(200, "GET", "/rest/annal/1.0/audit/refusals?user=jane&kind=permission&limit=1", nil)
	if !strings.Contains(answer, `"nextPageStart":1`) || !strings.Contains(answer, `"need":"REPO_READ"`) {
		t.Error(answer)
	}
	// Whatever administrators have done is in the log, by who did it, of what type and to what.
	for _, tt := range []struct {
		flags string
		want  int
	}{
		{"--type user.created.v1 -n 1", 1}, {"--type rules. --actor admin", 1}, {"--actor jane -n 100", 0}, {"--actor 1 --type project.", 1},
		{"--stream project/1 --after 0", 2}, {"--stream project/1 --type access.", 1}, {"--stream nothing", 0},
	} {
		if got := strings.Count(n.annal(append([]string{"events", "tail"}, strings.Fields(tt.flags)...)...), "\n"); got != tt.want {
			t.Errorf("events tail %s: %d events, want %d", tt.flags, got, tt.want)
		}
	}
	if everything := n.annal("audit", "refusals") + n.annal("audit", "refusals", "--json") + n.admin(200, "GET", "/rest/annal/1.0/audit/refusals?limit=1000", nil); strings.Contains(everything, typed) || !strings.Contains(everything, "read-only") {
		t.Error(everything)
	}
}
