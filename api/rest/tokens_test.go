package rest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

type token struct {
	ID          string
	CreatedDate int64
	ExpiryDate  *int64
	Name        string
	Permissions []string
	Token       string
}

func (w *world) newToken(user, body string) token {
	w.t.Helper()
	var made token
	if err := json.Unmarshal(w.ok(user, "PUT", "/rest/access-tokens/1.0/users/"+user, body, 200).Body.Bytes(), &made); err != nil {
		w.t.Fatal(err)
	}
	return made
}

// token makes a token with the permissions given as a JSON array.
func (w *world) token(user, permissions string) string {
	w.t.Helper()
	w.named++
	return w.newToken(user, fmt.Sprintf(`{"name":"t%d","permissions":%s}`, w.named, permissions)).Token
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	const mine = "/rest/access-tokens/latest/users/writer"
	made := w.newToken(writer, `{"name":"ci","permissions":["project_read","REPO_WRITE"],"expiryDays":30}`)
	if made.Name != "ci" || !slices.Equal(made.Permissions, []string{"PROJECT_READ", "REPO_WRITE"}) || !strings.HasPrefix(made.Token, "annal_") ||
		time.Since(time.UnixMilli(made.CreatedDate)).Abs() > time.Minute || made.ExpiryDate == nil ||
		time.UnixMilli(*made.ExpiryDate).Sub(w.now.AddDate(0, 0, 30)).Abs() > time.Minute {
		t.Errorf("%+v", made)
	}
	one := mine + "/" + made.ID
	for _, a := range []answer{w.ok(writer, "GET", one, "", 200), w.ok(writer, "GET", mine, "", 200), w.ok(admin, "GET", one, "", 200)} {
		if strings.Contains(a.Body.String(), made.Token) || !strings.Contains(a.Body.String(), `"name":"ci"`) {
			t.Errorf("%s", a.Body)
		}
	}
	var changed token
	if err := json.Unmarshal(w.ok(writer, "POST", one, `{"name":"cd","permissions":["REPO_READ"]}`, 200).Body.Bytes(), &changed); err != nil ||
		changed.Name != "cd" || !slices.Equal(changed.Permissions, []string{"REPO_READ"}) || changed.Token != "" {
		t.Errorf("%+v, %v", changed, err)
	}
	w.ok(made.Token, "GET", "/rest/api/1.0/projects/PRJ/repos/repo", "", 200)
	w.ok(writer, "DELETE", one, "", 204)
	w.ok(writer, "DELETE", one, "", 404)
	a := w.ok(made.Token, "GET", "/rest/api/1.0/projects/PRJ/repos/repo", "", 401)
	if _, name := a.exception(); name != authentication {
		t.Error(name)
	}

	for _, tt := range []struct {
		name, user, method, target, body string
		status                           int
	}{
		{"no name", writer, "PUT", mine, `{"permissions":["REPO_READ"]}`, 400},
		{"no permission", writer, "PUT", mine, `{"name":"x"}`, 400},
		{"no permission in the list", writer, "PUT", mine, `{"name":"x","permissions":[]}`, 400},
		{"unknown permission", writer, "PUT", mine, `{"name":"x","permissions":["ALL"]}`, 400},
		{"global permission", writer, "PUT", mine, `{"name":"x","permissions":["SYS_ADMIN"]}`, 400},
		{"list of numbers", writer, "PUT", mine, `{"name":"x","permissions":[1]}`, 400},
		{"word for a list", writer, "PUT", mine, `{"name":"x","permissions":"REPO_READ"}`, 400},
		{"negative days", writer, "PUT", mine, `{"name":"x","permissions":["REPO_READ"],"expiryDays":-1}`, 400},
		{"huge days", writer, "PUT", mine, `{"name":"x","permissions":["REPO_READ"],"expiryDays":9999999999}`, 400},
		{"fraction of days", writer, "PUT", mine, `{"name":"x","permissions":["REPO_READ"],"expiryDays":0.5}`, 400},
		{"for another", admin, "PUT", mine, `{"name":"x","permissions":["REPO_READ"]}`, 401},
		{"of another", reader, "GET", mine, ``, 401},
		{"of one above", manager, "GET", "/rest/access-tokens/1.0/users/admin", ``, 401},
		{"of nobody", admin, "GET", "/rest/access-tokens/1.0/users/none", ``, 404},
		{"anonymous", nobody, "GET", mine, ``, 401},
		{"unknown", writer, "GET", mine + "/999", ``, 404},
		{"not a number", writer, "GET", mine + "/x", ``, 404},
	} {
		if a := w.send(tt.user, tt.method, tt.target, tt.body); a.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.Code, a.Body)
		} else {
			a.exception()
		}
	}
}

func TestTokenScopes(t *testing.T) {
	w := newWorld(t)
	const repo = "/rest/api/1.0/projects/PRJ/repos/repo"
	readOnly, projectAdmin := w.token(owner, `["REPO_READ"]`), w.token(owner, `["PROJECT_ADMIN"]`)
	above := w.token(admin, `["PROJECT_ADMIN","REPO_ADMIN"]`)
	for _, tt := range []struct {
		name, token, method, target, body string
		status                            int
	}{
		{"reads", readOnly, "GET", repo, ``, 200},
		{"sees the project", readOnly, "GET", "/rest/api/1.0/projects/PRJ", ``, 200},
		{"does not change", readOnly, "PUT", repo, `{"description":"x"}`, 401},
		{"makes no project", readOnly, "POST", "/rest/api/1.0/projects", `{"key":"X","name":"X"}`, 401},
		{"makes no wider token", readOnly, "PUT", "/rest/access-tokens/1.0/users/owner", `{"name":"x","permissions":["REPO_WRITE"]}`, 401},
		{"makes an equal token", readOnly, "PUT", "/rest/access-tokens/1.0/users/owner", `{"name":"x","permissions":["REPO_READ"]}`, 200},
		{"project administrator changes", projectAdmin, "PUT", repo, `{"description":"x"}`, 201},
		{"project administrator makes projects", projectAdmin, "POST", "/rest/api/1.0/projects", `{"key":"X","name":"X"}`, 201},
		{"no token administers the installation", above, "GET", "/rest/api/1.0/admin/permissions/users", ``, 401},
		{"but every repository", above, "PUT", repo, `{"description":"y"}`, 201},
	} {
		if a := w.send(tt.token, tt.method, tt.target, tt.body); a.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.Code, a.Body)
		}
	}
	if got := w.ok(readOnly, "GET", "/rest/api/1.0/repos?permission=REPO_ADMIN", "", 200).values("slug"); len(got) != 0 {
		t.Errorf("a token to read lists %q to administer", got)
	}
	w.ok(nobody, "GET", repo+"?access_token="+readOnly, "", 401) // not in the address
	w.ok(admin, "DELETE", "/rest/api/1.0/admin/users?name=owner", "", 200)
	w.ok(readOnly, "GET", repo, "", 401)
	expiring := w.newToken(reader, `{"name":"short","permissions":["REPO_READ"],"expiryDays":1}`)
	w.ok(expiring.Token, "GET", repo, "", 200)
	w.now = w.now.Add(25 * time.Hour)
	w.ok(expiring.Token, "GET", repo, "", 401)
}

func TestTokensAreLimited(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.newToken(reader, fmt.Sprintf(`{"name":"%d","permissions":["REPO_READ"]}`, i))
	}
	w.ok(reader, "PUT", "/rest/access-tokens/1.0/users/reader", `{"name":"x","permissions":["REPO_READ"]}`, 400)
}
