package main_test

import (
	"strings"
	"testing"
	"time"
)

// What Annal serves beside Bitbucket's REST, through the real program.
func TestOwnREST(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("alphabet")
	n.repository("beta")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("beta"), "main")

	// The projections follow soon.
	eventually(t, func() bool {
		return strings.Contains(n.admin(200, "GET", "/rest/annal/1.0/repositories?name=BET", nil), `"slug":"alphabet"`)
	})
	eventually(t, func() bool {
		return strings.Contains(n.admin(200, "GET", "/rest/annal/1.0/projects/PRJ/repos/beta/activity", nil), `"refs":1`)
	})
	if status, body := n.request("", "", "GET", "/rest/annal/1.0/repositories?name=BET", nil); status != 200 || strings.Contains(body, "slug") {
		t.Errorf("nobody finds private repositories: %d %s", status, body)
	}

	n.admin(200, "PUT", "/rest/annal/1.0/node/maintenance", map[string]any{"enabled": true})
	if _, body := n.request("", "", "GET", "/status", nil); !strings.Contains(body, "MAINTENANCE") {
		t.Errorf("status under maintenance: %s", body)
	}
	commit(t, dir, "second")
	if out, err := gitTry(t, dir, "push", n.remote("beta"), "main"); err == nil || !strings.Contains(out, "maintenance") {
		t.Errorf("push under maintenance: %v %s", err, out)
	}
	n.admin(503, "POST", "/rest/api/1.0/projects", map[string]any{"key": "OTHER", "name": "Other"})
	n.admin(200, "PUT", "/rest/annal/1.0/node/maintenance", map[string]any{"enabled": false})
	git(t, dir, "push", "-q", n.remote("beta"), "main")

	metrics := n.admin(200, "GET", "/metrics", nil)
	for _, name := range []string{"annal_http_request_seconds", "annal_projection_position", "go_goroutines"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no metric %s", name)
		}
	}
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
	}
}
