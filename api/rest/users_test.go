package rest_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const readerJSON = `{'name':'reader','emailAddress':'reader@example.com','active':true,'displayName':'The reader','id':104,'slug':'reader',
	'type':'NORMAL','links':{'self':[{'href':'https://git.example.com/annal/users/reader'}]}}`

func TestUsers(t *testing.T) {
	w := newWorld(t)
	w.ok(outsider, "GET", "/rest/api/1.0/users/READER?avatarSize=48", "", 200).is(readerJSON)
	_, name := w.ok(outsider, "GET", "/rest/api/1.0/users/none", "", 404).exception()
	if name != noUser {
		t.Error(name)
	}
	w.ok(nobody, "GET", "/rest/api/1.0/users/reader", "", 401)
	w.ok(nobody, "GET", "/rest/api/1.0/users", "", 401)
	for query, want := range map[string][]string{
		"":                           {admin, manager, outsider, owner, reader, writer},
		"?filter=READ":               {reader},
		"?filter=er%40example":       {manager, outsider, owner, reader, writer},
		"?filter='%20or%201=1":       {},
		"?permission=ADMIN":          {admin, manager},
		"?permission=project_create": {admin, manager, owner},
		"?permission=PROJECT_ADMIN&permission.projectKey=prj":                                        {admin, manager, owner},
		"?permission.1=REPO_WRITE&permission.1.projectKey=prj&permission.1.repositorySlug=repo":      {admin, manager, owner, writer},
		"?permission.1=REPO_READ&permission.1.repositoryId=1&permission.2=LICENSED_USER&filter=read": {reader},
		"?permission.1=PROJECT_READ&permission.1.projectId=1":                                        {admin, manager, owner},
		"?start=4&limit=1": {reader},
	} {
		if got := w.ok(owner, "GET", "/rest/api/latest/users"+query, "", 200).values("name"); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for query, status := range map[string]int{
		"?permission=NONE": 400, "?permission=PROJECT_READ": 400, "?permission=REPO_READ&permission.projectKey=PRJ": 400,
		"?permission=PROJECT_READ&permission.projectId=x": 400, "?permission=PROJECT_READ&permission.projectKey=NONE": 404,
	} {
		w.ok(owner, "GET", "/rest/api/1.0/users"+query, "", status)
	}
	w.ok(outsider, "GET", "/rest/api/1.0/users?permission.1=REPO_READ&permission.1.projectKey=PRJ&permission.1.repositorySlug=repo", "", 404)
	for _, hidden := range []string{"permission.1=REPO_READ&permission.1.repositoryId=1", "permission.1=PROJECT_READ&permission.1.projectId=1"} {
		a := w.ok(outsider, "GET", "/rest/api/1.0/users?"+hidden, "", 404)
		if strings.Contains(a.Body.String(), "PRJ") {
			t.Errorf("a number gives away a key: %s", a.Body)
		}
	}
}

func TestOwnAccount(t *testing.T) {
	w := newWorld(t)
	w.ok(reader, "PUT", "/rest/api/1.0/users", `{"displayName":"Somebody else"}`, 200).is(strings.Replace(readerJSON, "The reader", "Somebody else", 1))
	w.ok(nobody, "PUT", "/rest/api/1.0/users", `{"displayName":"x"}`, 401)
	w.ok(reader, "PUT", "/rest/api/1.0/users", `{"email":"no address","password":"reader"}`, 400)
	w.ok(reader, "PUT", "/rest/api/1.0/users", `{"email":"x@example.com"}`, 401)
	w.ok(reader, "PUT", "/rest/api/1.0/users", `{"email":"x@example.com","password":"wrong"}`, 401)
	w.ok(reader, "PUT", "/rest/api/1.0/users", `{"email":"x@example.com","password":"reader"}`, 200)
	w.ok(reader, "PUT", "/rest/api/1.0/users/credentials", `{"oldPassword":"wrong","password":"other horse","passwordConfirm":"other horse"}`, 400)
	w.ok(reader, "PUT", "/rest/api/1.0/users/credentials", `{"oldPassword":"reader","password":"short","passwordConfirm":"short"}`, 400)
	w.ok(reader, "PUT", "/rest/api/1.0/users/credentials", `{"oldPassword":"reader","password":"other horse","passwordConfirm":"another horse"}`, 400)
	w.ok(reader, "PUT", "/rest/api/1.0/users/credentials", `{"oldPassword":"reader","password":"other horse","passwordConfirm":"other horse"}`, 204)
	w.ok(reader, "GET", "/rest/api/1.0/users/reader", "", 401)
	w.ok(reader+":other horse", "GET", "/rest/api/1.0/users/reader", "", 200)
	token := w.token(owner, `["PROJECT_ADMIN","REPO_ADMIN"]`)
	w.ok(token, "PUT", "/rest/api/1.0/users", `{"displayName":"x"}`, 401)
	w.ok(token, "PUT", "/rest/api/1.0/users/credentials", `{"oldPassword":"owner","password":"other horse","passwordConfirm":"other horse"}`, 401)
}

func query(values ...string) string {
	q := url.Values{}
	for i := 0; i < len(values); i += 2 {
		q.Set(values[i], values[i+1])
	}
	return "?" + q.Encode()
}

func TestAdminUsers(t *testing.T) {
	w := newWorld(t)
	const users = "/rest/api/1.0/admin/users"
	w.ok(manager, "POST", users+query("name", "New.One", "password", "new horse", "displayName", "New One", "emailAddress", "new@example.com", "addToDefaultGroup", "true"), "", 204)
	w.ok("New.One:new horse", "GET", "/rest/api/1.0/users/new.one", "", 200)
	w.ok(manager, "POST", users+query("name", "guest", "password", "guest horse", "displayName", "Guest", "emailAddress", "g@example.com", "addToDefaultGroup", "false"), "", 204)
	w.ok("guest:guest horse", "GET", "/rest/api/1.0/users/guest", "", 401) // may not log in

	for _, tt := range []struct {
		name, user, query string
		status            int
		context           string
	}{
		{"not permitted", owner, query("name", "x", "password", "correct horse", "displayName", "x", "emailAddress", "x@x"), 401, ""},
		{"anonymous", nobody, query("name", "x", "password", "correct horse", "displayName", "x", "emailAddress", "x@x"), 401, ""},
		{"taken", manager, query("name", "ADMIN", "password", "correct horse", "displayName", "x", "emailAddress", "x@x"), 409, "name"},
		{"without name", manager, query("password", "correct horse", "displayName", "x", "emailAddress", "x@x"), 400, "name"},
		{"without address", manager, query("name", "x", "password", "correct horse", "displayName", "x"), 400, "emailAddress"},
		{"without password", manager, query("name", "x", "displayName", "x", "emailAddress", "x@x"), 400, "password"},
		{"bad address", manager, query("name", "x", "password", "correct horse", "displayName", "x", "emailAddress", "x\ny@x"), 400, "email"},
		{"bad name", manager, query("name", "GIT_EXTERNAL_DIFF=x", "password", "correct horse", "displayName", "x", "emailAddress", "x@x"), 400, "name"},
		{"name that climbs", manager, query("name", "..", "password", "correct horse", "displayName", "x", "emailAddress", "x@x"), 400, "name"},
		{"newline in the display name", manager, query("name", "x", "password", "correct horse", "displayName", "a\nb", "emailAddress", "x@x"), 400, "displayName"},
		{"by mail", manager, query("name", "x", "notify", "true", "displayName", "x", "emailAddress", "x@x"), 400, "notify"},
		{"bad flag", manager, query("name", "x", "addToDefaultGroup", "maybe"), 400, "addToDefaultGroup"},
	} {
		a := w.send(tt.user, "POST", users+tt.query, "")
		if a.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.Code, a.Body)
		} else if context, _ := a.exception(); context != tt.context {
			t.Errorf("%s: context %q", tt.name, context)
		}
	}

	if got := w.ok(outsider, "GET", users+"?filter=new", "", 200).values("directoryName"); !slices.Equal(got, []string{"Annal Internal Directory"}) {
		t.Errorf("%q", got)
	}
	w.ok(nobody, "GET", users, "", 401)

	w.ok(manager, "PUT", users, `{"name":"new.one","displayName":"Changed"}`, 200)
	w.ok(manager, "PUT", users, `{"name":"admin","displayName":"Changed"}`, 401)
	w.ok(owner, "PUT", users, `{"name":"reader","displayName":"Changed"}`, 401)
	w.ok(manager, "PUT", users, `{"name":"none","displayName":"Changed"}`, 404)

	w.ok(manager, "PUT", users+"/credentials", `{"name":"reader","password":"correct horse","passwordConfirm":"correct horse"}`, 204)
	w.ok(reader, "GET", "/rest/api/1.0/users", "", 401)
	w.ok(manager, "PUT", users+"/credentials", `{"name":"admin","password":"correct horse","passwordConfirm":"correct horse"}`, 401)

	w.ok(manager, "DELETE", users+"?name=admin", "", 403)
	w.ok(manager, "DELETE", users+"?name=manager", "", 409)
	w.ok(admin, "DELETE", users+"?name=admin", "", 409)
	w.ok(owner, "DELETE", users+"?name=reader", "", 401)
	w.ok(manager, "DELETE", users+"?name=none", "", 404)
	var u struct {
		Active    bool
		Deletable *bool
	}
	if err := json.Unmarshal(w.ok(manager, "DELETE", users+"?name=writer", "", 200).Body.Bytes(), &u); err != nil || u.Active || u.Deletable == nil {
		t.Errorf("%+v, %v", u, err)
	}
	w.ok(writer, "GET", "/rest/api/1.0/users", "", 401)
}

func TestPermissions(t *testing.T) {
	w := newWorld(t)
	const global, onProject, onRepo = "/rest/api/1.0/admin/permissions/users", "/rest/api/1.0/projects/PRJ/permissions/users", "/rest/api/1.0/projects/PRJ/repos/repo/permissions/users"
	w.ok(owner, "GET", onRepo+"?filter=read", "", 200).is(
		`{'size':1,'limit':25,'isLastPage':true,'start':0,'nextPageStart':null,'values':[{'user':` + readerJSON + `,'permission':'REPO_READ'}]}`)
	if got := w.ok(owner, "GET", onProject, "", 200).values("permission"); !slices.Equal(got, []string{"PROJECT_ADMIN"}) {
		t.Errorf("%q", got)
	}
	if got := w.ok(manager, "GET", global, "", 200).values("user", "name"); !slices.Equal(got, []string{admin, manager, outsider, owner, reader, writer}) {
		t.Errorf("%q", got)
	}

	w.ok(owner, "PUT", onProject+"?name=OUTSIDER&name=reader&permission=project_write", "", 204)
	w.ok(outsider, "GET", "/rest/api/1.0/projects/PRJ/repos/repo", "", 200)
	w.ok(owner, "PUT", onProject+"?name=OUTSIDER&permission=PROJECT_READ", "", 204)
	w.ok(owner, "DELETE", onProject+"?name=outsider", "", 204)
	w.ok(owner, "DELETE", onProject+"?name=outsider", "", 204)
	w.ok(outsider, "GET", "/rest/api/1.0/projects/PRJ/repos/repo", "", 404)

	w.ok(manager, "PUT", global+"?name=outsider&permission=PROJECT_CREATE", "", 204)
	w.ok(outsider, "POST", "/rest/api/1.0/projects", `{"key":"MINE","name":"Mine"}`, 201)
	w.ok(manager, "DELETE", global+"?name=outsider", "", 204)
	w.ok(outsider, "GET", "/rest/api/1.0/users", "", 401)
	w.ok(admin, "PUT", global+"?name=manager&permission=SYS_ADMIN", "", 204)
	w.ok(admin, "PUT", global+"?name=manager&permission=ADMIN", "", 204)

	before := w.head()
	for _, tt := range []struct {
		name, user, method, target string
		status                     int
	}{
		{"reader looks", reader, "GET", onRepo, 401},
		{"writer grants himself more", writer, "PUT", onRepo + "?name=writer&permission=REPO_ADMIN", 401},
		{"writer grants on the project", writer, "PUT", onProject + "?name=writer&permission=PROJECT_ADMIN", 401},
		{"owner grants globally", owner, "PUT", global + "?name=owner&permission=ADMIN", 401},
		{"manager grants more than he has", manager, "PUT", global + "?name=reader&permission=SYS_ADMIN", 401},
		{"manager takes from above", manager, "DELETE", global + "?name=admin", 409},
		{"manager lowers above", manager, "PUT", global + "?name=admin&permission=ADMIN", 409},
		{"manager lowers himself", manager, "PUT", global + "?name=manager&permission=PROJECT_CREATE", 409},
		{"manager removes himself", manager, "DELETE", global + "?name=manager", 409},
		{"last administrator", admin, "DELETE", global + "?name=admin", 409},
		{"owner lowers himself", owner, "PUT", onProject + "?name=owner&permission=PROJECT_READ", 403},
		{"owner removes himself", owner, "DELETE", onProject + "?name=owner", 409},
		{"unknown role", owner, "PUT", onRepo + "?name=reader&permission=7", 400},
		{"role of another level", owner, "PUT", onRepo + "?name=reader&permission=SYS_ADMIN", 400},
		{"role of the project", owner, "PUT", onRepo + "?name=reader&permission=PROJECT_READ", 400},
		{"no role", owner, "PUT", onRepo + "?name=reader", 400},
		{"no name", owner, "PUT", onRepo + "?permission=REPO_READ", 400},
		{"unknown user", owner, "PUT", onRepo + "?name=none&permission=REPO_READ", 404},
		{"one of two unknown", owner, "PUT", onRepo + "?name=manager&name=none&permission=REPO_READ", 404},
		{"revoke without name", owner, "DELETE", onRepo, 400},
		{"hidden project", writer, "GET", "/rest/api/1.0/projects/MINE/permissions/users", 404},
		{"anonymous", nobody, "PUT", onRepo + "?name=reader&permission=REPO_ADMIN", 401},
	} {
		if a := w.send(tt.user, tt.method, tt.target, ""); a.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.Code, a.Body)
		} else {
			a.exception()
		}
	}
	if w.head() != before {
		t.Error("a refused request was logged as an event")
	}
}
