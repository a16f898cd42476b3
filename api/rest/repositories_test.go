package rest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// repo is the answer for PRJ/repo but for its hierarchy id, which is random.
const repo = `{'slug':'repo','id':1,'name':'repo','hierarchyId':'','scmId':'git','state':'AVAILABLE','statusMessage':'Available',
	'forkable':true,'project':` + project + `,'public':false,'archived':false,'links':{
	'clone':[{'href':'https://git.example.com/annal/scm/prj/repo.git','name':'http'},{'href':'ssh://git@git.example.com:7999/prj/repo.git','name':'ssh'}],
	'self':[{'href':'https://git.example.com/annal/projects/PRJ/repos/repo/browse'}]}}`

// unrandom empties the hierarchy ids of an answer, having looked at their form.
func unrandom(a answer) answer {
	a.t.Helper()
	for part := range strings.SplitSeq(a.Body.String(), `"hierarchyId":"`) {
		id, _, _ := strings.Cut(part, `"`)
		if len(id) == 20 && strings.Trim(id, "0123456789abcdef") == "" {
			text := strings.ReplaceAll(a.Body.String(), id, "")
			a.Body.Reset()
			a.Body.WriteString(text)
		}
	}
	return a
}

func TestRepository(t *testing.T) {
	w := newWorld(t)
	unrandom(w.ok(reader, "GET", "/rest/api/latest/projects/prj/repos/REPO", "", 200)).is(repo)

	a := unrandom(w.ok(owner, "POST", "/rest/api/1.0/projects/prj/repos",
		`{"name":"My Tool","scmId":"git","forkable":false,"public":true,"description":"d","defaultBranch":"trunk","project":{"key":"PRJ"}}`, 201))
	tool := strings.NewReplacer("'id':1,'name':'repo'", "'id':2,'name':'My Tool','description':'d'", "'slug':'repo'", "'slug':'my-tool'",
		"/repo.git", "/my-tool.git", "/repos/repo/", "/repos/my-tool/", "'forkable':true", "'forkable':false",
		"'public':false,'archived'", "'public':true,'archived'").Replace(repo)
	a.is(tool)
	if got := a.Header().Get("Location"); got != "https://git.example.com/annal/projects/PRJ/repos/my-tool/browse" {
		t.Errorf("location %q", got)
	}
	unrandom(w.ok(nobody, "GET", "/rest/api/1.0/projects/PRJ/repos/my-tool", "", 200)).is(tool)

	w.ok(owner, "POST", "/rest/api/1.0/projects", `{"key":"TWO","name":"Second"}`, 201)
	moved := w.ok(owner, "PUT", "/rest/api/1.0/projects/PRJ/repos/my-tool",
		`{"name":"Renamed","project":{"key":"two"},"public":false,"defaultBranch":"refs/heads/main"}`, 201)
	var r struct {
		Slug    string
		Public  bool
		Project struct{ Key string }
	}
	if err := json.Unmarshal(moved.Body.Bytes(), &r); err != nil || r.Slug != "renamed" || r.Public || r.Project.Key != "TWO" {
		t.Errorf("%+v, %v", r, err)
	}
	w.ok(owner, "GET", "/rest/api/1.0/projects/PRJ/repos/my-tool", "", 404)

	w.ok(owner, "DELETE", "/rest/api/1.0/projects/TWO/repos/renamed", "", 202).is(
		`{'context':null,'message':'Repository scheduled for deletion.','exceptionName':null}`)
	w.ok(owner, "DELETE", "/rest/api/1.0/projects/TWO/repos/renamed", "", 204)
	w.ok(owner, "GET", "/rest/api/1.0/projects/TWO/repos/renamed", "", 404).is(
		`{'errors':[{'context':null,'message':'Repository TWO/renamed does not exist.','exceptionName':'` + noRepository + `'}]}`)
}

func TestRestore(t *testing.T) {
	w := newWorld(t)
	w.ok(owner, "DELETE", "/rest/api/1.0/projects/PRJ/repos/repo", "", 202)
	w.ok(reader, "GET", "/rest/api/1.0/projects/PRJ/repos/repo", "", 404)
	if got := w.ok(manager, "GET", "/rest/annal/1.0/deleted-repositories", "", 200).values("slug"); !slices.Equal(got, []string{"repo"}) {
		t.Errorf("deleted %q", got)
	}
	w.ok(owner, "GET", "/rest/annal/1.0/deleted-repositories", "", 401)
	w.ok(owner, "POST", "/rest/annal/1.0/deleted-repositories/1/restore", "", 401)
	w.ok(manager, "POST", "/rest/annal/1.0/deleted-repositories/7/restore", "", 404)
	w.ok(manager, "POST", "/rest/annal/1.0/deleted-repositories/x/restore", "", 404)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"repo"}`, 201)
	w.ok(manager, "POST", "/rest/annal/1.0/deleted-repositories/1/restore", "", 409)
	w.ok(manager, "POST", "/rest/annal/1.0/deleted-repositories/1/restore", `{"name":"x","project":{"key":"NONE"}}`, 404)
	w.ok(manager, "POST", "/rest/annal/latest/deleted-repositories/1/restore", `{"name":"Back"}`, 201)
	w.ok(manager, "POST", "/rest/annal/1.0/deleted-repositories/1/restore", "", 404)
	w.ok(reader, "GET", "/rest/api/1.0/projects/PRJ/repos/back", "", 200) // with its permissions
	w.ok(outsider, "GET", "/rest/api/1.0/projects/PRJ/repos/back", "", 404)
}

func TestRepositoryRefused(t *testing.T) {
	w := newWorld(t)
	w.ok(admin, "POST", "/rest/api/1.0/projects", `{"key":"HIDE","name":"Hidden"}`, 201)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"taken"}`, 201)
	before := w.head()
	const repos, one = "/projects/PRJ/repos", "/projects/PRJ/repos/repo"
	type row struct {
		name, user, method, target, body string
		status                           int
		context, exception               string
	}
	rows := []row{
		{"no name", owner, "POST", repos, `{}`, 400, "name", ""},
		{"another scm", owner, "POST", repos, `{"name":"x","scmId":"hg"}`, 400, "scmId", ""},
		{"bad branch", owner, "POST", repos, `{"name":"x","defaultBranch":"a..b"}`, 400, "defaultBranch", ""},
		{"long description", owner, "POST", repos, `{"name":"x","description":"` + strings.Repeat("x", 300) + `"}`, 400, "description", ""},
		{"nested wrong type", owner, "POST", repos, `{"name":"x","project":{"key":7}}`, 400, "project.key", ""},
		{"taken", owner, "POST", repos, `{"name":"RePo"}`, 409, "name", ""},
		{"not permitted", writer, "POST", repos, `{"name":"x"}`, 401, "", authorisation},
		{"in a hidden project", owner, "POST", "/projects/HIDE/repos", `{"name":"x"}`, 404, "", noProject},
		{"update not permitted", writer, "PUT", one, `{"name":"x"}`, 401, "", authorisation},
		{"update hidden", outsider, "PUT", one, `{"name":"x"}`, 404, "", noRepository},
		{"update anonymous", nobody, "PUT", one, `{"name":"x"}`, 401, "", authorisation},
		{"rename to a taken name", owner, "PUT", one, `{"name":"taken"}`, 409, "name", ""},
		{"move to a hidden project", owner, "PUT", one, `{"project":{"key":"HIDE"}}`, 404, "", noProject},
		{"delete not permitted", writer, "DELETE", one, ``, 401, "", authorisation},
		{"bad visibility", owner, "GET", "/repos?visibility=secret", ``, 400, "visibility", ""},
		{"bad permission", owner, "GET", "/repos?permission=PROJECT_READ", ``, 400, "permission", ""},
		{"bad state", owner, "GET", "/repos?state=OFFLINE", ``, 400, "state", ""},
	}
	// Bad names are refused at creation and at renaming alike.
	for _, name := range []string{"..", ".git", "a/../b", "con", "x.git", "x.wiki", "api", "-", "trailing.", "раypal", strings.Repeat("x", 256), "a\tb", "-h", "a\\b"} {
		encoded, _ := json.Marshal(name)
		rows = append(rows,
			row{fmt.Sprintf("create %q", name), owner, "POST", repos, fmt.Sprintf(`{"name":%s}`, encoded), 400, "name", ""},
			row{fmt.Sprintf("rename to %q", name), owner, "PUT", one, fmt.Sprintf(`{"name":%s}`, encoded), 400, "name", ""})
	}
	for _, tt := range rows {
		a := w.send(tt.user, tt.method, "/rest/api/1.0"+tt.target, tt.body)
		if a.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.Code, a.Body)
			continue
		}
		if context, exception := a.exception(); context != tt.context || exception != tt.exception {
			t.Errorf("%s: context %q, exception %q", tt.name, context, exception)
		}
	}
	if w.head() != before {
		t.Error("a refused request was logged as an event")
	}
}

func TestListRepositories(t *testing.T) {
	w := newWorld(t)
	w.ok(admin, "POST", "/rest/api/1.0/projects", `{"key":"OPEN","name":"An open one","public":true}`, 201)
	w.ok(admin, "POST", "/rest/api/1.0/projects/OPEN/repos", `{"name":"alpha"}`, 201)
	w.ok(owner, "POST", "/rest/api/1.0/projects/PRJ/repos", `{"name":"secret"}`, 201)
	for _, tt := range []struct {
		user, target string
		want         []string
	}{
		{nobody, "/repos", []string{"alpha"}},
		{nobody, "/repos?permission=REPO_READ", []string{}},
		{outsider, "/repos?permission=REPO_READ", []string{"alpha"}},
		{reader, "/repos", []string{"alpha", "repo"}},
		{reader, "/repos?permission=repo_write&state=available&archived=active", []string{}},
		{writer, "/repos?permission=REPO_WRITE&state=AVAILABLE&limit=100&size=1000", []string{"repo"}},
		{owner, "/repos?permission=REPO_ADMIN", []string{"repo", "secret"}},
		{admin, "/repos?projectkey=prj", []string{"repo", "secret"}},
		{admin, "/repos?projectname=open", []string{"alpha"}},
		{admin, "/repos?name=%20SEC%20", []string{"secret"}},
		{admin, "/repos?visibility=public", []string{"alpha"}},
		{admin, "/repos?visibility=PRIVATE", []string{"repo", "secret"}},
		{admin, "/repos?archived=ARCHIVED", []string{}},
		{admin, "/repos?archived=all", []string{"alpha", "repo", "secret"}},
		{admin, "/repos?state=INITIALISING", []string{}},
		{admin, "/repos?start=2&limit=2", []string{"secret"}},
		{reader, "/projects/PRJ/repos", []string{"repo"}},
		{owner, "/projects/prj/repos", []string{"repo", "secret"}},
		{nobody, "/projects/open/repos", []string{"alpha"}},
	} {
		if got := w.ok(tt.user, "GET", "/rest/api/1.0"+tt.target, "", 200).values("slug"); !slices.Equal(got, tt.want) {
			t.Errorf("%q %s: %q, want %q", tt.user, tt.target, got, tt.want)
		}
	}
	// Permissions removed are gone at once.
	w.ok(owner, "DELETE", "/rest/api/1.0/projects/PRJ/repos/repo/permissions/users?name=reader", "", 204)
	if got := w.ok(reader, "GET", "/rest/api/1.0/repos", "", 200).values("slug"); !slices.Equal(got, []string{"alpha"}) {
		t.Errorf("after the permission was revoked: %q", got)
	}
}
