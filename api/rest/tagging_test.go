package rest_test

import (
	"strings"
	"testing"
)

func TestTagging(t *testing.T) {
	w := newWorld(t)
	_, ids := w.push()
	const gitTags = "/rest/git/latest/projects/PRJ/repos/repo/tags"
	light := w.ok(writer, "POST", repoPath+"/tags", `{"name":"v2","startPoint":"side"}`, 200)
	light.is(strings.ReplaceAll(`{'id':'refs/tags/v2','displayId':'v2','type':'TAG','latestCommit':'COMMIT','latestChangeset':'COMMIT','hash':null}`, "COMMIT", ids["side"]))
	annotated := w.ok(writer, "POST", repoPath+"/tags", `{"name":"v3","startPoint":"main","message":"Third"}`, 200).Body.String()
	if !strings.Contains(annotated, `"latestCommit":"`+ids["main"]+`"`) || strings.Contains(annotated, `"hash":null`) {
		t.Error(annotated)
	}
	if again := w.ok(reader, "GET", repoPath+"/tags/v3", "", 200).Body.String(); again != annotated {
		t.Errorf("%s became %s", annotated, again)
	}
	w.ok(writer, "POST", gitTags, `{"name":"v4","startPoint":"main","message":"Fourth","type":"LIGHTWEIGHT"}`, 201)
	if a := w.ok(reader, "GET", repoPath+"/tags/v4", "", 200).Body.String(); !strings.Contains(a, `"hash":null`) {
		t.Error(a)
	}
	before := w.head()
	for body, status := range map[string]int{
		`{"name":"v3","startPoint":"main"}`:                                    409,
		`{"name":"v3/x","startPoint":"main"}`:                                  409,
		`{"name":"v5"}`:                                                        400,
		`{"name":"v 5","startPoint":"main"}`:                                   400,
		`{"name":"v5","startPoint":"main","type":"ANNOTATED"}`:                 400,
		`{"name":"v5","startPoint":"main","type":"SIGNED"}`:                    400,
		`{"name":"v5","startPoint":"none"}`:                                    404,
		`{"name":"v5","startPoint":"main","message":"a\u0000b"}`:               400,
		`{"name":"v5","startPoint":"` + strings.Repeat("1", 40) + `"}`:         404,
		`{"name":"refs/heads/../v5","startPoint":"main","type":"LIGHTWEIGHT"}`: 400,
	} {
		if a := w.send(writer, "POST", gitTags, body); a.Code != status {
			t.Errorf("%s: %d %s", body, a.Code, a.Body)
		}
	}
	w.ok(reader, "POST", gitTags, `{"name":"v5","startPoint":"main"}`, 401)
	w.ok(outsider, "POST", gitTags, `{"name":"v5","startPoint":"main"}`, 404)
	w.ok(reader, "DELETE", gitTags+"/v3", "", 401)
	w.ok(outsider, "DELETE", gitTags+"/v3", "", 404)
	if w.head() != before {
		t.Error("a refused request was logged as an event")
	}
	w.ok(writer, "POST", gitTags, `{"name":"v4","startPoint":"side","force":true}`, 201)
	if a := w.ok(reader, "GET", repoPath+"/tags/v4", "", 200).Body.String(); !strings.Contains(a, ids["side"]) {
		t.Error(a)
	}
	// A rule holds here as for pushes.
	w.ok(owner, "POST", "/rest/branch-permissions/2.0/projects/PRJ/repos/repo/restrictions", `{"type":"read-only","matcher":{"id":"refs/tags/v*","type":{"id":"PATTERN"}}}`, 200)
	w.ok(writer, "POST", gitTags, `{"name":"v6","startPoint":"main","message":"x"}`, 401)
	w.ok(writer, "DELETE", gitTags+"/v3", "", 401)
	w.ok(owner, "DELETE", "/rest/branch-permissions/2.0/projects/PRJ/repos/repo/restrictions/1", "", 204)
	w.ok(writer, "DELETE", gitTags+"/v3", "", 204)
	w.ok(writer, "DELETE", gitTags+"/v3", "", 404)
}

func TestRevokeAll(t *testing.T) {
	w := newWorld(t)
	w.makeGroup("devs", "outsider")
	w.ok(owner, "PUT", prjRepo+"/permissions/groups?name=devs&permission=REPO_READ", "", 204)
	w.ok(outsider, "GET", prjRepo, "", 200)
	w.ok(owner, "DELETE", prjRepo+"/permissions", "", 400)
	w.ok(owner, "DELETE", prjRepo+"/permissions?user=reader&user=none&group=devs", "", 404)
	w.ok(owner, "DELETE", prjRepo+"/permissions?user=reader&group=none", "", 404)
	w.ok(reader, "GET", prjRepo, "", 200) // nobody has lost anything
	w.ok(reader, "DELETE", prjRepo+"/permissions?user=writer", "", 401)
	w.ok(owner, "DELETE", prjRepo+"/permissions?user=reader&user=writer&group=devs", "", 204)
	for _, user := range []string{reader, writer, outsider} {
		w.ok(user, "GET", prjRepo, "", 404)
	}
	w.ok(owner, "DELETE", prj+"/permissions?user=owner", "", 409)
	w.ok(owner, "GET", prjRepo, "", 200)
}

func TestErasure(t *testing.T) {
	w := newWorld(t)
	path := adminPath + "/users/erasure?name=reader"
	w.ok(admin, "GET", path, "", 409)
	w.ok(admin, "POST", path, "", 409)
	w.ok(admin, "DELETE", adminPath+"/users?name=reader", "", 200)
	w.ok(outsider, "GET", path, "", 401)
	w.ok(outsider, "POST", path, "", 401)
	w.ok(admin, "GET", adminPath+"/users/erasure", "", 400)
	w.ok(admin, "GET", adminPath+"/users/erasure?name=none", "", 404)
	w.ok(admin, "GET", path, "", 204)
	if a := w.ok(admin, "POST", path, "", 200).Body.String(); !strings.Contains(a, `"newIdentifier":"-erased-104"`) {
		t.Error(a)
	}
	w.ok(admin, "GET", path, "", 404)
	if a := w.ok(admin, "GET", adminPath+"/users", "", 200).Body.String(); strings.Contains(a, "reader") {
		t.Error(a)
	}
}
