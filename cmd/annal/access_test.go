package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Who could write here then? The answer is what it was, whatever has become of the grants,
// groups and people since.
func TestAccessOfThePast(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	const api, own = "/rest/api/1.0", "/rest/annal/1.0"
	for _, name := range []string{"jane", "john"} {
		n.admin(http.StatusNoContent, http.MethodPost, api+"/admin/users?password=secret-123&displayName=x&emailAddress=x@example.com&name="+name, nil)
	}
	n.admin(http.StatusOK, http.MethodPost, api+"/admin/groups?name=inner", nil)
	n.admin(http.StatusOK, http.MethodPost, api+"/admin/groups?name=outer", nil)
	n.admin(http.StatusNoContent, http.MethodPut, own+"/groups/2/groups/1", nil)
	n.admin(http.StatusOK, http.MethodPost, api+"/admin/groups/add-user", map[string]any{"context": "inner", "itemName": "jane"})
	n.admin(http.StatusNoContent, http.MethodPut, api+"/projects/PRJ/permissions/groups?permission=PROJECT_WRITE&name=outer", nil)
	n.admin(http.StatusNoContent, http.MethodPost, api+"/projects/PRJ/permissions/PROJECT_READ/all?allow=true", nil)
	all := n.events()
	then := all[len(all)-1]
	march := fmt.Sprint(then.Position)

	n.admin(http.StatusNoContent, http.MethodDelete, api+"/projects/PRJ/permissions/groups?name=outer", nil)
	n.admin(http.StatusOK, http.MethodDelete, api+"/admin/groups?name=inner", nil)
	n.admin(http.StatusNoContent, http.MethodPost, api+"/projects/PRJ/permissions/PROJECT_READ/all?allow=false", nil)

	const janes = "PROJECT_WRITE on the project by group inner in outer"
	for _, at := range []string{march, then.At} {
		list := n.annal("access", "list", "PRJ/demo", "--at", at)
		for _, want := range []string{"REPO_WRITE  jane", janes, "REPO_READ   john", "PROJECT_READ on the project by default", "REPO_ADMIN  admin", "SYS_ADMIN on the installation"} {
			if !strings.Contains(list, want) {
				t.Errorf("at %s there is no %q in\n%s", at, want, list)
			}
		}
	}
	if out := n.annal("access", "explain", "jane", "PRJ/demo", "--at", march); !strings.Contains(out, "jane on PRJ/demo at position "+march+": REPO_WRITE\n  "+janes) {
		t.Errorf("jane could by\n%s", out)
	}
	if out := n.annal("access", "explain", "jane", "PRJ/demo"); !strings.Contains(out, ": nothing\n") {
		t.Errorf("jane may by\n%s", out)
	}
	path := own + "/projects/PRJ/repos/demo/access"
	if body := n.admin(http.StatusOK, http.MethodGet, path+"?user=jane&at="+march, nil); !strings.Contains(body, `"permission":"REPO_WRITE","reasons":[{"kind":"GROUP","permission":"PROJECT_WRITE","level":"project","groups":["inner","outer"]}`) {
		t.Errorf("REST says %s", body)
	}
	if body := n.admin(http.StatusOK, http.MethodGet, path, nil); strings.Contains(body, "jane") || !strings.Contains(body, `"name":"admin"`) {
		t.Errorf("REST says %s", body)
	}
	n.admin(http.StatusNotFound, http.MethodGet, path+"?at=1000000", nil)
	n.admin(http.StatusNotFound, http.MethodGet, path+"?at=1", nil)
	n.admin(http.StatusBadRequest, http.MethodGet, path+"?at=yesterday", nil)
	if code, _ := n.request("jane", "secret-123", http.MethodGet, path, nil); code != http.StatusUnauthorized {
		t.Errorf("jane is answered with %d", code)
	}
	if out := n.annal("projections", "verify", "access"); !strings.Contains(out, "equals") {
		t.Errorf("the view does not equal the log: %s", out)
	}
}
