package main_test

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

func TestEraseUser(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.admin(http.StatusNoContent, http.MethodPost, "/rest/api/1.0/admin/users?name=jane&password=secret123&displayName=Jane&emailAddress=jane@example.com", nil)
	if code, body := n.request("jane", "secret123", http.MethodGet, "/rest/api/1.0/users/jane", nil); code != http.StatusOK {
		t.Fatalf("jane cannot log in: %d %s", code, body)
	}
	erase := func(input string, args ...string) (string, error) {
		command := exec.CommandContext(t.Context(), binary, append([]string{"users", "erase", "--home", n.home}, args...)...)
		command.Env = environment()
		command.Stdin = strings.NewReader(input)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	if out, err := erase("john\n", "jane"); err == nil || !strings.Contains(out, "nothing was erased") {
		t.Errorf("the wrong name is taken: %v\n%s", err, out)
	}
	if out, err := erase("", "jane"); err == nil || !strings.Contains(out, "--yes") {
		t.Errorf("no name is taken: %v\n%s", err, out)
	}
	if out, err := erase("", "--yes", "admin"); err == nil || !strings.Contains(out, "The last system administrator cannot be removed.") {
		t.Errorf("the last administrator is erased: %v\n%s", err, out)
	}
	if out, err := erase("jane\n", "jane"); err != nil || !strings.Contains(out, "Git commits") || !strings.Contains(out, "is erased") {
		t.Fatalf("%v\n%s", err, out)
	}
	if code, body := n.request("jane", "secret123", http.MethodGet, "/rest/api/1.0/projects", nil); code != http.StatusUnauthorized {
		t.Errorf("an erased user is answered with %d %s", code, body)
	}
	if body := n.admin(http.StatusOK, http.MethodGet, "/rest/api/1.0/admin/users", nil); strings.Contains(strings.ToLower(body), "jane") {
		t.Errorf("the users still are %s", body)
	}
	if out := n.annal("projections", "verify", "access"); !strings.Contains(out, "equals") {
		t.Errorf("the view does not equal the log: %s", out)
	}
	if tail := n.annal("events", "tail", "-n", "2"); !strings.Contains(tail, `account.erased.v1  {"id":`) || !strings.Contains(tail, `"positions":[[`) {
		t.Errorf("the newest events are\n%s", tail)
	}
}
