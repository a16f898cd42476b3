package rest_test

import (
	"slices"
	"strings"
	"testing"
)

const (
	authorisation  = "com.atlassian.bitbucket.AuthorisationException"
	noProject      = "com.atlassian.bitbucket.project.NoSuchProjectException"
	noRepository   = "com.atlassian.bitbucket.repository.NoSuchRepositoryException"
	integrity      = "com.atlassian.bitbucket.IntegrityException"
	argument       = "com.atlassian.bitbucket.validation.ArgumentValidationException"
	noUser         = "com.atlassian.bitbucket.user.NoSuchUserException"
	authentication = "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException"
)

const project = `{'key':'PRJ','id':1,'name':'Project','public':false,'type':'NORMAL',
	'links':{'self':[{'href':'https://git.example.com/annal/projects/PRJ'}]}}`

func TestProject(t *testing.T) {
	w := newWorld(t)
	w.ok(owner, "GET", "/rest/api/1.0/projects/prj", "", 200).is(project)
	w.ok(owner, "GET", "/rest/api/latest/projects/Prj/", "", 200).is(project)
	w.ok(reader, "GET", "/rest/api/1.0/projects/PRJ", "", 200).is(project) // who reads a repository sees its project

	a := w.ok(owner, "POST", "/rest/api/latest/projects", `{"key":"two","name":"Second","description":"About it","public":true,"avatar":"ignored"}`, 201)
	const second = `{'key':'TWO','id':2,'name':'Second','description':'About it','public':true,'type':'NORMAL',
		'links':{'self':[{'href':'https://git.example.com/annal/projects/TWO'}]}}`
	a.is(second)
	if a.Header().Get("Location") != "https://git.example.com/annal/projects/TWO" {
		t.Errorf("location %q", a.Header().Get("Location"))
	}
	w.ok(nobody, "GET", "/rest/api/1.0/projects/TWO", "", 200).is(second)

	w.ok(owner, "PUT", "/rest/api/1.0/projects/two", `{"description":"Changed"}`, 200).is(strings.Replace(second, "About it", "Changed", 1))
	w.ok(owner, "PUT", "/rest/api/1.0/projects/two", `{"key":"new","name":"Second","description":"Changed","public":true}`, 201).is(
		strings.ReplaceAll(strings.Replace(second, "About it", "Changed", 1), "TWO", "NEW"))
	w.ok(owner, "GET", "/rest/api/1.0/projects/TWO", "", 404)
	w.ok(owner, "DELETE", "/rest/api/1.0/projects/NEW", "", 204)
	w.ok(owner, "GET", "/rest/api/1.0/projects/NEW", "", 404).is(
		`{'errors':[{'context':null,'message':'Project NEW does not exist.','exceptionName':'` + noProject + `'}]}`)
}

func TestProjectRefused(t *testing.T) {
	w := newWorld(t)
	before := w.head()
	for _, tt := range []struct {
		name, user, method, target, body string
		status                           int
		context, exception               string
	}{
		{"without a key", owner, "POST", "/projects", `{"name":"X"}`, 400, "key", ""},
		{"without a name", owner, "POST", "/projects", `{"key":"X"}`, 400, "name", ""},
		{"bad key", owner, "POST", "/projects", `{"key":"../x","name":"X"}`, 400, "key", ""},
		{"long key", owner, "POST", "/projects", `{"key":"` + strings.Repeat("x", 300) + `","name":"X"}`, 400, "key", ""},
		{"NUL", owner, "POST", "/projects", `{"key":"X","name":"a\u0000b"}`, 400, "name", ""},
		{"number for a name", owner, "POST", "/projects", `{"key":"X","name":5}`, 400, "name", ""},
		{"object for a flag", owner, "POST", "/projects", `{"key":"X","name":"X","public":{}}`, 400, "public", ""},
		{"no body", owner, "POST", "/projects", ``, 400, "", argument},
		{"not JSON", owner, "POST", "/projects", `{"key":`, 400, "key", ""},
		{"array", owner, "POST", "/projects", `[]`, 400, "", argument},
		{"key taken", owner, "POST", "/projects", `{"key":"prj","name":"X"}`, 409, "key", ""},
		{"name taken", owner, "POST", "/projects", `{"key":"X","name":"project"}`, 409, "name", ""},
		{"not permitted", outsider, "POST", "/projects", `{"key":"X","name":"X"}`, 401, "", authorisation},
		{"anonymous", nobody, "POST", "/projects", `{"key":"X","name":"X"}`, 401, "", authorisation},
		{"hidden", outsider, "GET", "/projects/PRJ", ``, 404, "", noProject},
		{"missing", outsider, "GET", "/projects/NONE", ``, 404, "", noProject},
		{"hidden to anonymous", nobody, "GET", "/projects/PRJ", ``, 401, "", authorisation},
		{"missing to anonymous", nobody, "GET", "/projects/NONE", ``, 401, "", authorisation},
		{"update not permitted", reader, "PUT", "/projects/PRJ", `{"name":"X"}`, 401, "", authorisation},
		{"update hidden", outsider, "PUT", "/projects/PRJ", `{"name":"X"}`, 404, "", noProject},
		{"update to a bad name", owner, "PUT", "/projects/PRJ", `{"name":""}`, 400, "name", ""},
		{"delete with repositories", owner, "DELETE", "/projects/PRJ", ``, 409, "", integrity},
		{"delete not permitted", writer, "DELETE", "/projects/PRJ", ``, 401, "", authorisation},
		{"delete missing", owner, "DELETE", "/projects/NONE", ``, 404, "", noProject},
		{"SQL in a key", owner, "GET", "/projects/PRJ';%20drop%20table%20projects;--", ``, 404, "", noProject},
		{"NUL in a key", owner, "GET", "/projects/PRJ%00", ``, 400, "", argument},
		{"not UTF-8 in a key", owner, "GET", "/projects/%FF", ``, 400, "", argument},
		{"unknown permission", owner, "GET", "/projects?permission=REPO_READ", ``, 400, "permission", ""},
		{"negative start", owner, "GET", "/projects?start=-1", ``, 400, "start", ""},
		{"huge limit", owner, "GET", "/projects?limit=99999999999999999999", ``, 400, "limit", ""},
		{"word for a limit", owner, "GET", "/projects?limit=all", ``, 400, "limit", ""},
		{"NUL in a filter", owner, "GET", "/projects?name=%00", ``, 400, "", argument},
	} {
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

// Nothing tells a name that one may not see from one that never was.
func TestHiddenIsMissing(t *testing.T) {
	w := newWorld(t)
	for _, user := range []string{outsider, nobody} {
		for _, target := range []string{
			"/projects/%s", "/projects/%s/repos", "/projects/%s/repos/repo", "/projects/%s/repos/repo/branches",
			"/projects/%s/repos/repo/permissions/users", "/projects/%s/permissions/users", "/projects/%s/repos/repo/browse",
			"/projects/%s/repos/repo/raw/README", "/projects/%s/repos/repo/commits", "/projects/%s/repos/repo/tags/v1",
		} {
			hidden := w.send(user, "GET", "/rest/api/1.0"+strings.ReplaceAll(target, "%s", "PRJ"), "")
			never := w.send(user, "GET", "/rest/api/1.0"+strings.ReplaceAll(target, "%s", "PXX"), "")
			if hidden.Code != never.Code || hidden.Body.String() != strings.ReplaceAll(never.Body.String(), "PXX", "PRJ") {
				t.Errorf("%q, %s: %d %s and %d %s", user, target, hidden.Code, hidden.Body, never.Code, never.Body)
			}
			if want := map[string]int{outsider: 404, nobody: 401}[user]; hidden.Code != want {
				t.Errorf("%q, %s: %d, want %d", user, target, hidden.Code, want)
			}
		}
	}
}

func TestListProjects(t *testing.T) {
	w := newWorld(t)
	w.ok(admin, "POST", "/rest/api/1.0/projects", `{"key":"OPEN","name":"An open one","public":true}`, 201)
	w.ok(admin, "POST", "/rest/api/1.0/projects", `{"key":"SHUT","name":"Shut"}`, 201)
	for _, tt := range []struct {
		user, query string
		want        []string
	}{
		{nobody, "", []string{"OPEN"}},
		{outsider, "", []string{"OPEN"}},
		{reader, "", []string{"OPEN", "PRJ"}},
		{reader, "?permission=project_read", []string{"OPEN"}},
		{owner, "?permission=PROJECT_ADMIN", []string{"PRJ"}},
		{admin, "", []string{"OPEN", "PRJ", "SHUT"}},
		{manager, "?name=SHU", []string{"SHUT"}},
		{admin, "?name=%25", []string{}},
		{admin, "?start=1&limit=1", []string{"PRJ"}},
	} {
		if got := w.ok(tt.user, "GET", "/rest/api/1.0/projects"+tt.query, "", 200).values("key"); !slices.Equal(got, tt.want) {
			t.Errorf("%q %s: %q, want %q", tt.user, tt.query, got, tt.want)
		}
	}
	w.ok(owner, "GET", "/rest/api/1.0/projects?limit=0&name=Project", "", 200).is(
		`{'size':1,'limit':25,'isLastPage':true,'start':0,'nextPageStart':null,'values':[` + project + `]}`)
	w.ok(admin, "GET", "/rest/api/1.0/projects?start=1&limit=1", "", 200).is(
		`{'size':1,'limit':1,'isLastPage':false,'start':1,'nextPageStart':2,'values':[` + project + `]}`)
	w.ok(admin, "GET", "/rest/api/1.0/projects?start=9&limit=5000", "", 200).is(
		`{'size':0,'limit':1000,'isLastPage':true,'start':9,'nextPageStart':null,'values':[]}`)
}
