package rest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// publicKey makes a key as authorized_keys has it.
func publicKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

type sshKey struct {
	ID                         int
	Text, Label, AlgorithmType string
	ExpiryDays                 int
	Permission                 string
	Key                        *sshKey
	Project, Repository        map[string]any
}

func (a answer) sshKey() sshKey {
	a.t.Helper()
	var key sshKey
	if err := json.Unmarshal(a.Body.Bytes(), &key); err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a answer) count() int {
	a.t.Helper()
	var list struct{ Size int }
	if err := json.Unmarshal(a.Body.Bytes(), &list); err != nil {
		a.t.Fatal(err)
	}
	return list.Size
}

func TestSSHKeys(t *testing.T) {
	w := newWorld(t)
	const keys = "/rest/ssh/1.0/keys"
	text := publicKey(t)
	body := fmt.Sprintf(`{"text":"%s ada@laptop","expiryDays":30}`, text)
	w.ok(nobody, "POST", keys, body, 401)
	key := w.ok(reader, "POST", "/rest/ssh/latest/keys", body, 201).sshKey()
	if key.Text != text+" ada@laptop" || key.Label != "ada@laptop" || key.AlgorithmType != "ED25519" || key.ExpiryDays != 30 {
		t.Errorf("%+v", key)
	}
	w.ok(reader, "POST", keys, body, 409)
	w.ok(writer, "POST", keys, body, 409)
	w.ok(writer, "POST", keys, `{"text":"ssh-rsa AAAA"}`, 400)
	w.ok(writer, "POST", keys, `{"text":"`+publicKey(t)+`","expiryDays":-1}`, 400)

	one := fmt.Sprintf("%s/%d", keys, key.ID)
	for user, status := range map[string]int{nobody: 401, reader: 200, writer: 401, manager: 200, admin: 200} {
		w.ok(user, "GET", one, "", status)
	}
	w.ok(manager, "GET", keys+"/4711", "", 404)
	for user, status := range map[string]int{nobody: 401, writer: 401, reader: 200, manager: 200} {
		w.ok(user, "GET", keys+"?user=reader", "", status)
	}
	if n := w.ok(reader, "GET", keys, "", 200).count(); n != 1 {
		t.Errorf("%d keys", n)
	}
	// Nobody makes a key for somebody above himself, nor with a token.
	another := `{"text":"` + publicKey(t) + `","label":"mine"}`
	w.ok(writer, "POST", keys+"?user=reader", another, 401)
	w.ok(manager, "POST", keys+"?user=admin", another, 401)
	var token struct{ Token string }
	if err := json.Unmarshal(w.ok(writer, "PUT", "/rest/access-tokens/1.0/users/writer", `{"name":"ci","permissions":["REPO_READ"]}`, 200).Body.Bytes(), &token); err != nil {
		t.Fatal(err)
	}
	w.ok(token.Token, "POST", keys, another, 401)
	w.ok(token.Token, "DELETE", keys, "", 401)
	if made := w.ok(manager, "POST", keys+"?user=reader", another, 201).sshKey(); made.Label != "mine" {
		t.Errorf("%+v", made)
	}
	w.ok(writer, "DELETE", one, "", 401)
	w.ok(reader, "DELETE", one, "", 204)
	w.ok(manager, "DELETE", one, "", 204)
	w.ok(reader, "DELETE", keys, "", 204)
	if n := w.ok(reader, "GET", keys, "", 200).count(); n != 0 {
		t.Errorf("%d keys are left", n)
	}
	w.ok(writer, "POST", keys, body, 201) // it is free again

	w.ok(nobody, "GET", "/rest/ssh/1.0/settings", "", 401)
	if settings := w.ok(reader, "GET", "/rest/ssh/latest/settings", "", 200).Body.String(); !strings.Contains(settings, `"baseUrl":"ssh://git.example.com:7999","enabled":true`) {
		t.Error(settings)
	}
}

func TestAccessKeys(t *testing.T) {
	w := newWorld(t)
	const (
		project    = "/rest/keys/1.0/projects/PRJ/ssh"
		repository = "/rest/keys/1.0/projects/PRJ/repos/repo/ssh"
	)
	text := publicKey(t)
	body := func(permission string) string {
		return fmt.Sprintf(`{"key":{"text":"%s","label":"build"},"permission":"%s"}`, text, permission)
	}
	for user, status := range map[string]int{nobody: 401, outsider: 404, writer: 401} {
		w.ok(user, "GET", repository, "", status)
		w.ok(user, "POST", repository, body("REPO_READ"), status)
	}
	for _, permission := range []string{"REPO_ADMIN", "PROJECT_READ", "SYS_ADMIN", ""} {
		w.ok(owner, "POST", repository, body(permission), 400)
	}
	w.ok(writer, "POST", "/rest/ssh/1.0/keys", fmt.Sprintf(`{"text":"%s"}`, text), 201)
	w.ok(owner, "POST", repository, body("REPO_READ"), 409) // somebody's own
	w.ok(writer, "DELETE", "/rest/ssh/1.0/keys", "", 204)

	key := w.ok(owner, "POST", "/rest/keys/latest/projects/PRJ/repos/repo/ssh", body("REPO_READ"), 201).sshKey()
	if key.Permission != "REPO_READ" || key.Key == nil || key.Key.Label != "build" || key.Repository["slug"] != "repo" || key.Project != nil {
		t.Errorf("%+v", key)
	}
	w.ok(owner, "POST", repository, body("REPO_WRITE"), 409)
	w.ok(writer, "POST", "/rest/ssh/1.0/keys", fmt.Sprintf(`{"text":"%s"}`, text), 409)
	one := fmt.Sprintf("%s/%d", repository, key.Key.ID)
	w.ok(owner, "PUT", one+"/permission/REPO_ADMIN", "", 400)
	if changed := w.ok(owner, "PUT", one+"/permission/REPO_WRITE", "", 200).sshKey(); changed.Permission != "REPO_WRITE" {
		t.Errorf("%+v", changed)
	}
	w.ok(owner, "GET", fmt.Sprintf("%s/%d", project, key.Key.ID), "", 404)
	onProject := w.ok(owner, "POST", project, body("PROJECT_READ"), 201).sshKey()
	if onProject.Key.ID != key.Key.ID || onProject.Project["key"] != "PRJ" {
		t.Errorf("%+v", onProject)
	}
	for query, want := range map[string]int{
		repository: 1, repository + "?effective=true": 2, repository + "?minimumPermission=REPO_WRITE": 1, repository + "?permission=REPO_ADMIN": 0,
		repository + "?filter=BUI": 1, repository + "?filter=uild": 0, project: 1, project + "?permission=PROJECT_WRITE": 0,
	} {
		if n := w.ok(owner, "GET", query, "", 200).count(); n != want {
			t.Errorf("%s: %d keys, want %d", query, n, want)
		}
	}
	uses := fmt.Sprintf("/rest/keys/1.0/ssh/%d", key.Key.ID)
	for user, want := range map[string]int{owner: 1, admin: 1, writer: 0, outsider: 0} {
		for _, level := range []string{"/projects", "/repos"} {
			if n := w.ok(user, "GET", uses+level, "", 200).count(); n != want {
				t.Errorf("%s sees %d%s, want %d", user, n, level, want)
			}
		}
	}

	// Its user is nobody's business: not in lists, not to be granted anything.
	if users := w.ok(admin, "GET", "/rest/api/1.0/users?limit=1000", "", 200).Body.String() + w.ok(owner, "GET", "/rest/api/1.0/projects/PRJ/repos/repo/permissions/users", "", 200).Body.String(); strings.Contains(users, "access-key") || strings.Contains(users, "build") {
		t.Error(users)
	}
	w.ok(admin, "PUT", "/rest/api/1.0/admin/permissions/users?permission=SYS_ADMIN&name=access-key%2F1", "", 404)

	w.ok(writer, "DELETE", uses, `{"repositories":[{"slug":"repo","project":{"key":"PRJ"}}]}`, 401)
	w.ok(owner, "DELETE", uses, `{"projects":[{"key":"NONE"}],"repositories":[{"slug":"repo","project":{"key":"PRJ"}}]}`, 404)
	w.ok(owner, "GET", one, "", 200)
	w.ok(owner, "DELETE", uses, `{"repositories":[{"slug":"repo","project":{"key":"PRJ"}}]}`, 204)
	w.ok(owner, "GET", one, "", 404)
	w.ok(owner, "DELETE", one, "", 204)
	w.ok(owner, "DELETE", fmt.Sprintf("%s/%d", project, key.Key.ID), "", 204)
	w.ok(writer, "POST", "/rest/ssh/1.0/keys", fmt.Sprintf(`{"text":"%s"}`, text), 201) // it is free again
}
