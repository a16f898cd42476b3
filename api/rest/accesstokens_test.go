package rest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
)

const (
	projectTokens    = "/rest/access-tokens/latest/projects/PRJ"
	repositoryTokens = "/rest/access-tokens/1.0/projects/PRJ/repos/repo"
)

// accessToken has owner make a token of a project or repository.
func (w *world) accessToken(path, name, permissions string) token {
	w.t.Helper()
	var made token
	body := fmt.Sprintf(`{"name":%q,"permissions":%s}`, name, permissions)
	if err := json.Unmarshal(w.ok(owner, "PUT", path, body, 200).Body.Bytes(), &made); err != nil || made.Name != name || !strings.HasPrefix(made.Token, "annal_") {
		w.t.Fatalf("%+v, %v", made, err)
	}
	return made
}

func TestAccessTokens(t *testing.T) {
	w := newWorld(t)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"other","scmId":"git"}`, 201)
	const repo, other, project = "/rest/api/1.0/projects/PRJ/repos/repo", "/rest/api/1.0/projects/PRJ/repos/other", "/rest/api/1.0/projects/PRJ"
	for user, status := range map[string]int{nobody: 401, outsider: 404, writer: 401} {
		w.ok(user, "GET", repositoryTokens, "", status)
		w.ok(user, "PUT", repositoryTokens, `{"name":"x","permissions":["REPO_READ"]}`, status)
		w.ok(user, "GET", projectTokens+"/1", "", status)
		w.ok(user, "DELETE", repositoryTokens+"/1", "", status)
	}
	for path, bodies := range map[string][]string{
		projectTokens: {
			`{"permissions":["REPO_READ"]}`, `{"name":"x"}`, `{"name":"x","permissions":[]}`, `{"name":"x","permissions":["ALL"]}`,
			`{"name":"x","permissions":["SYS_ADMIN"]}`, `{"name":"x","permissions":["REPO_READ"],"expiryDays":-1}`,
		},
		repositoryTokens: {`{"name":"x","permissions":["PROJECT_READ"]}`, `{"name":"x","permissions":["REPO_READ","PROJECT_READ"]}`},
	} {
		for _, body := range bodies {
			w.ok(owner, "PUT", path, body, 400)
		}
	}

	one := w.accessToken(repositoryTokens, "ci", `["repo_write"]`)
	w.ok(one.Token, "GET", repo, "", 200)
	w.ok(one.Token, "GET", other, "", 404)
	w.ok(one.Token, "PUT", repo, `{"description":"x"}`, 401) // writes, and does not administer
	w.ok(one.Token, "GET", repositoryTokens, "", 401)
	w.ok(one.Token, "GET", "/rest/api/1.0/users", "", 401)
	whole := w.accessToken(projectTokens, "ci", `["PROJECT_READ","REPO_ADMIN"]`)
	w.ok(whole.Token, "GET", other, "", 200)
	w.ok(whole.Token, "GET", project, "", 200)
	w.ok(whole.Token, "PUT", project, `{"description":"x"}`, 401)
	w.ok(whole.Token, "PUT", other, `{"description":"x"}`, 201)
	// No more than it may itself, and what it may.
	w.ok(whole.Token, "PUT", projectTokens, `{"name":"more","permissions":["REPO_READ"]}`, 401)
	w.ok(whole.Token, "PUT", repositoryTokens, `{"name":"less","permissions":["REPO_READ"]}`, 200)

	// Names are those of one owner.
	w.ok(owner, "PUT", repositoryTokens, `{"name":"CI","permissions":["REPO_READ"]}`, 400)
	second := w.accessToken(repositoryTokens, "cd", `["REPO_READ"]`)
	w.ok(owner, "POST", repositoryTokens+"/"+second.ID, `{"name":"ci"}`, 400)
	w.ok(owner, "POST", repositoryTokens+"/"+second.ID, `{"permissions":["PROJECT_READ"]}`, 400)
	w.ok(owner, "POST", projectTokens+"/"+second.ID, `{"name":"x"}`, 404)
	w.ok(second.Token, "PUT", repo, `{"description":"x"}`, 401)
	var changed token
	if err := json.Unmarshal(w.ok(owner, "POST", repositoryTokens+"/"+second.ID, `{"name":"dc","permissions":["REPO_ADMIN"]}`, 200).Body.Bytes(), &changed); err != nil ||
		changed.Name != "dc" || !slices.Equal(changed.Permissions, []string{"REPO_ADMIN"}) || changed.Token != "" {
		t.Errorf("%+v, %v", changed, err)
	}
	w.ok(second.Token, "PUT", repo, `{"description":"x"}`, 201)
	for path, want := range map[string]int{repositoryTokens: 3, projectTokens: 1} {
		a := w.ok(owner, "GET", path, "", 200)
		if n := a.count(); n != want || strings.Contains(a.Body.String(), "annal_") {
			t.Errorf("%s: %d tokens, want %d: %s", path, n, want, a.Body)
		}
	}
	w.ok(owner, "GET", repositoryTokens+"/"+whole.ID, "", 404)
	w.ok(owner, "GET", repositoryTokens+"/x", "", 404)

	// Their users are nobody's business.
	if users := w.ok(admin, "GET", "/rest/api/1.0/users?limit=1000", "", 200).Body.String() + w.ok(owner, "GET", repo+"/permissions/users", "", 200).Body.String(); strings.Contains(users, "access-token") {
		t.Error(users)
	}

	w.ok(owner, "DELETE", repositoryTokens+"/"+one.ID, "", 204)
	w.ok(owner, "DELETE", repositoryTokens+"/"+one.ID, "", 404)
	w.ok(one.Token, "GET", repo, "", 401)
	w.accessToken(repositoryTokens, "ci", `["REPO_READ"]`)

	short := w.ok(owner, "PUT", repositoryTokens, `{"name":"short","permissions":["REPO_READ"],"expiryDays":1}`, 200)
	var ending token
	if err := json.Unmarshal(short.Body.Bytes(), &ending); err != nil || ending.ExpiryDate == nil {
		t.Fatal(short.Body, err)
	}
	w.ok(ending.Token, "GET", repo, "", 200)
	w.now = w.now.Add(25 * time.Hour)
	w.ok(ending.Token, "GET", repo, "", 401)
}

// What is deleted has no keys and tokens, and neither has what is restored.
func TestKeysAndTokensEndWithTheirTarget(t *testing.T) {
	w := newWorld(t)
	text := publicKey(t)
	key := func(permission string) string {
		return fmt.Sprintf(`{"key":{"text":"%s"},"permission":"%s"}`, text, permission)
	}
	const repo = "/rest/api/1.0/projects/PRJ/repos/repo"
	w.ok(owner, "POST", "/rest/keys/1.0/projects/PRJ/repos/repo/ssh", key("REPO_READ"), 201)
	w.ok(owner, "POST", "/rest/keys/1.0/projects/PRJ/ssh", key("PROJECT_READ"), 201)
	one, whole := w.accessToken(repositoryTokens, "ci", `["REPO_READ"]`), w.accessToken(projectTokens, "ci", `["REPO_READ"]`)
	w.ok(owner, "DELETE", repo, "", 202)
	w.ok(one.Token, "GET", "/rest/api/1.0/repos", "", 401)
	w.ok(whole.Token, "GET", "/rest/api/1.0/repos", "", 200)

	var deleted struct{ Values []struct{ ID int64 } }
	if err := json.Unmarshal(w.ok(admin, "GET", "/rest/annal/1.0/deleted-repositories", "", 200).Body.Bytes(), &deleted); err != nil || len(deleted.Values) != 1 {
		t.Fatal(deleted, err)
	}
	w.ok(admin, "POST", fmt.Sprintf("/rest/annal/1.0/deleted-repositories/%d/restore", deleted.Values[0].ID), "", 201)
	w.ok(reader, "GET", repo, "", 200) // people keep what they had
	w.ok(one.Token, "GET", repo, "", 401)
	for _, path := range []string{repositoryTokens, "/rest/keys/1.0/projects/PRJ/repos/repo/ssh"} {
		if n := w.ok(owner, "GET", path, "", 200).count(); n != 0 {
			t.Errorf("%s: %d", path, n)
		}
	}

	w.ok(owner, "DELETE", repo, "", 202)
	w.ok(owner, "DELETE", "/rest/api/1.0/projects/PRJ", "", 204)
	w.ok(whole.Token, "GET", "/rest/api/1.0/repos", "", 401)
	w.ok(writer, "POST", "/rest/ssh/1.0/keys", fmt.Sprintf(`{"text":"%s"}`, text), 201) // it is free again
	var left int
	err := w.pool.QueryRow(t.Context(), `
		select (select count(*) from access.tokens) + (select count(*) from access.ssh_keys) - 1
			+ (select count(*) from access.grants g join access.users u on u.id = g.user_id where u.type in ('KEY', 'TOKEN'))
			+ (select count(*) from access.users where type in ('KEY', 'TOKEN') and active)`).Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}

// Two who make a token of the same name at the same time: one of them does.
func TestTokenNamesAreKeptApart(t *testing.T) {
	w := newWorld(t)
	status := make(chan int, 4)
	for range cap(status) {
		go func() {
			status <- w.send(owner, "PUT", projectTokens, `{"name":"ci","permissions":["REPO_READ"]}`).Code
		}()
	}
	made := 0
	for range cap(status) {
		if got := <-status; got == 200 {
			made++
		} else if got != 400 {
			t.Errorf("status %d", got)
		}
	}
	if n := w.ok(owner, "GET", projectTokens, "", 200).count(); made != 1 || n != 1 {
		t.Errorf("%d made, %d listed", made, n)
	}
}

func TestUseOfTokensIsNoted(t *testing.T) {
	w := newWorld(t)
	made := w.accessToken(repositoryTokens, "ci", `["REPO_READ"]`)
	uses := access.NewUses(w.pool)
	var id int64
	if _, err := fmt.Sscan(made.ID, &id); err != nil {
		t.Fatal(err)
	}
	used := func() *int64 {
		var seen struct{ LastAuthenticated *int64 }
		if err := json.Unmarshal(w.ok(owner, "GET", repositoryTokens+"/"+made.ID, "", 200).Body.Bytes(), &seen); err != nil {
			t.Fatal(err)
		}
		return seen.LastAuthenticated
	}
	if at := used(); at != nil {
		t.Errorf("used at %d before it was", *at)
	}
	first := time.UnixMilli(1_790_000_000_000)
	for _, at := range []time.Time{first, first.Add(59 * time.Second), first.Add(-time.Hour)} {
		if err := uses.Token(t.Context(), account.TokenID(id), at); err != nil {
			t.Fatal(err)
		}
	}
	if at := used(); at == nil || *at != first.UnixMilli() {
		t.Errorf("used at %v, want %d", at, first.UnixMilli())
	}
	later := first.Add(61 * time.Second)
	if err := uses.Token(t.Context(), account.TokenID(id), later); err != nil {
		t.Fatal(err)
	}
	if at := used(); at == nil || *at != later.UnixMilli() {
		t.Errorf("used at %v, want %d", at, later.UnixMilli())
	}
}
