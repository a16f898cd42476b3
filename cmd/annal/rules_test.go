package main_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

const (
	repositoryRules = "/rest/branch-permissions/2.0/projects/PRJ/repos/demo/restrictions"
	projectRules    = "/rest/branch-permissions/latest/projects/PRJ/restrictions"
)

// restrict makes a branch permission and returns its number.
func (n *node) restrict(path, kind, matcherType, matcherID string, users ...string) int64 {
	n.t.Helper()
	text := n.admin(200, http.MethodPost, path, map[string]any{
		"type": kind, "matcher": map[string]any{"id": matcherID, "type": map[string]any{"id": matcherType}}, "users": users,
	})
	var made struct{ ID int64 }
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		n.t.Fatal(err)
	}
	return made.ID
}

// What a person sees whose push a branch permission refuses, over each kind of rule.
func TestBranchPermissionsOfPushes(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	n.admin(204, "POST", "/rest/api/1.0/admin/users?name=eve&password=eve-has-a-password&displayName=Eve&emailAddress=eve@example.org", nil)
	n.admin(204, "PUT", "/rest/api/1.0/projects/PRJ/permissions/users?name=eve&permission=PROJECT_WRITE", nil)
	eve := strings.Replace(n.url, "http://", "http://eve:eve-has-a-password@", 1) + "/scm/prj/demo.git"
	dir := work(t)
	git(t, dir, "push", "-q", eve, "main", "main:release/1", "main:feature/1", "main:old")
	first := git(t, dir, "rev-parse", "HEAD")
	second := commit(t, dir, "second")

	refused := func(why string, args ...string) {
		t.Helper()
		out, err := gitTry(t, dir, append([]string{"push", eve}, args...)...)
		if err == nil || !strings.Contains(strings.Join(strings.Fields(out), " "), why) {
			t.Errorf("push %v: %v\n%s\nwant %q", args, err, out, why)
		}
	}
	passes := func(args ...string) {
		t.Helper()
		if out, err := gitTry(t, dir, append([]string{"push", eve}, args...)...); err != nil {
			t.Errorf("push %v: %v\n%s", args, err, out)
		}
	}

	ofProject := n.restrict(projectRules, "read-only", "BRANCH", "main", "admin")
	refused("refs/heads/main is read-only: branch permission "+strconv.FormatInt(ofProject, 10)+" of project PRJ", "main")
	git(t, dir, "push", "-q", n.remote("demo"), "main") // exempt
	refused("refs/heads/main is read-only", "+"+first+":main")

	// One bad ref keeps the others from nothing, unless the push is atomic.
	passes("main:other")
	refused("is read-only", "--force", first+":main", "main:third")
	if at := git(t, dir, "ls-remote", eve, "refs/heads/third"); !strings.HasPrefix(at, second) {
		t.Errorf("the good ref of a push did not move: %q", at)
	}
	refused("atomic push failed", "--force", "--atomic", first+":main", "main:fourth")

	n.restrict(repositoryRules, "no-deletes", "PATTERN", "release/*")
	refused("refs/heads/release/1 must not be deleted", ":release/1")
	passes("main:release/1")
	n.restrict(repositoryRules, "fast-forward-only", "MODEL_CATEGORY", "RELEASE")
	refused("history of refs/heads/release/1 must not be rewritten", "+"+first+":release/1")
	n.restrict(repositoryRules, "pull-request-only", "MODEL_CATEGORY", "FEATURE")
	refused("refs/heads/feature/1 changes by pull requests only", "main:feature/1")
	n.restrict(repositoryRules, "no-creates", "PATTERN", "refs/tags/**")
	refused("refs/tags/v1 must not be created", "main:refs/tags/v1")
	n.restrict(repositoryRules, "read-only", "MODEL_BRANCH", "production")
	passes("main:prod")
	n.admin(200, "PUT", "/rest/branch-utils/latest/projects/PRJ/branchmodel/configuration", map[string]any{
		"development": map[string]any{"useDefault": true}, "production": map[string]any{"refId": "refs/heads/prod"},
		"types": []map[string]any{{"id": "RELEASE", "prefix": "release/", "enabled": true}},
	})
	refused("refs/heads/prod is read-only", ":prod")
	passes("main:feature/1") // its category is gone

	// REST moves refs under the same rules.
	status, body := n.request("eve", "eve-has-a-password", "DELETE", "/rest/branch-utils/1.0/projects/PRJ/repos/demo/branches", map[string]any{"name": "prod"})
	if status != 401 || !strings.Contains(body, "Refs/heads/prod is read-only") || !strings.Contains(body, "AuthorisationException") {
		t.Errorf("deletion over REST: %d %s", status, body)
	}
	status, body = n.request("eve", "eve-has-a-password", "DELETE", "/rest/branch-utils/1.0/projects/PRJ/repos/demo/branches", map[string]any{"name": "old"})
	if status != 204 {
		t.Errorf("deletion over REST: %d %s", status, body)
	}
	n.restrict(repositoryRules, "no-creates", "PATTERN", "mine/**", "admin")
	status, body = n.request("eve", "eve-has-a-password", "POST", "/rest/api/1.0/projects/PRJ/repos/demo/branches", map[string]any{"name": "mine/x", "startPoint": "main"})
	if status != 401 || !strings.Contains(body, "must not be created") {
		t.Errorf("creation over REST: %d %s", status, body)
	}
	n.admin(200, "POST", "/rest/api/1.0/projects/PRJ/repos/demo/branches", map[string]any{"name": "mine/x", "startPoint": "main"})
	status, body = n.request("admin", password, "POST", "/rest/annal/1.0/projects/PRJ/repos/demo/restore", map[string]any{"at": strconv.FormatInt(n.pushes()[0].Position, 10), "ref": "refs/heads/release/1"})
	if status != 401 || !strings.Contains(body, "must not be rewritten") {
		t.Errorf("restore: %d %s", status, body)
	}

	// A repository that is not of the project is not under its rules.
	n.admin(204, "DELETE", projectRules+"/"+strconv.FormatInt(ofProject, 10), nil)
	passes("--force", first+":main")
	for _, projection := range []string{"rules", "refs"} {
		n.annal("projections", "verify", projection)
		n.annal("projections", "rebuild", projection)
		n.annal("projections", "verify", projection)
	}
	refused("must not be deleted", ":release/1")
	status, metrics := n.request("admin", password, "GET", "/metrics", nil)
	if status == 200 && !strings.Contains(metrics, `annal_rule_refusals_total{rule="no-deletes"} 2`) {
		t.Errorf("refusals are not counted: %s", metrics)
	}
	if log := n.log.String(); !strings.Contains(log, "refused by a rule") {
		t.Error("refusals are not logged")
	}
}
