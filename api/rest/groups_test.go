package rest_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const (
	adminPath = "/rest/api/1.0/admin"
	prj       = "/rest/api/1.0/projects/PRJ"
	prjRepo   = prj + "/repos/repo"
)

func (w *world) makeGroup(name string, users ...string) {
	w.t.Helper()
	w.ok(admin, "POST", adminPath+"/groups?name="+url.QueryEscape(name), "", 200)
	if len(users) > 0 {
		w.ok(admin, "POST", adminPath+"/groups/add-users", fmt.Sprintf(`{"group":%q,"users":["%s"]}`, name, strings.Join(users, `","`)), 200)
	}
}

func (w *world) names(user, target string, want ...string) {
	w.t.Helper()
	if got := w.ok(user, "GET", target, "", 200).values("name"); !slices.Equal(got, append([]string{}, want...)) {
		w.t.Errorf("%s has %q, want %q", target, got, want)
	}
}

func TestGroups(t *testing.T) {
	w := newWorld(t)
	w.ok(admin, "POST", adminPath+"/groups?name=devs", "", 200).is(`{'name':'devs','deletable':true}`)
	if _, name := w.ok(admin, "POST", adminPath+"/groups?name=DEVS", "", 409).exception(); name != "" {
		t.Errorf("exception %q", name)
	}
	w.ok(admin, "POST", adminPath+"/groups?name=", "", 400)
	w.ok(outsider, "POST", adminPath+"/groups?name=x", "", 401)
	w.ok(nobody, "GET", adminPath+"/groups", "", 401)
	w.makeGroup("Testers")
	w.names(outsider, adminPath+"/groups", "devs", "Testers")
	w.names(outsider, adminPath+"/groups?filter=TEST", "Testers")
	w.ok(outsider, "GET", "/rest/api/latest/groups", "", 200).is(`{'size':2,'limit':25,'isLastPage':true,'values':['devs','Testers'],'start':0,'nextPageStart':null}`)

	w.ok(admin, "POST", adminPath+"/groups/add-user", `{"context":"devs","itemName":"outsider"}`, 200)
	w.ok(admin, "POST", adminPath+"/users/add-groups", `{"user":"reader","groups":["devs","Testers"]}`, 200)
	w.ok(admin, "POST", adminPath+"/users/add-groups", `{"user":"writer","groups":["devs","none"]}`, 404)
	w.ok(admin, "POST", adminPath+"/groups/add-users", `{"group":"devs","users":["none"]}`, 404)
	w.names(outsider, adminPath+"/groups/more-members?context=devs", "outsider", "reader")
	w.names(outsider, adminPath+"/groups/more-non-members?context=devs&filter=w", "owner", "writer")
	w.names(outsider, adminPath+"/users/more-members?context=reader", "devs", "Testers")
	w.names(outsider, adminPath+"/users/more-non-members?context=outsider", "Testers")
	w.ok(admin, "POST", adminPath+"/users/remove-group", `{"context":"reader","itemName":"Testers"}`, 200)
	w.ok(admin, "POST", adminPath+"/groups/remove-user", `{"context":"devs","itemName":"reader"}`, 200)
	w.names(outsider, adminPath+"/users/more-members?context=reader")
	w.ok(admin, "DELETE", adminPath+"/groups?name=devs", "", 200).is(`{'name':'devs','deletable':true}`)
	_, name := w.ok(admin, "DELETE", adminPath+"/groups?name=devs", "", 404).exception()
	if name != "com.atlassian.bitbucket.user.NoSuchGroupException" {
		t.Errorf("exception %q", name)
	}
}

// What a group is granted bites on the next request, and so does losing it.
func TestGroupPermissions(t *testing.T) {
	w := newWorld(t)
	w.makeGroup("devs", outsider)
	see := func(status int) {
		t.Helper()
		w.ok(outsider, "GET", prjRepo, "", status)
		want := []string{}
		if status == 200 {
			want = []string{"repo"}
		}
		for _, list := range []string{"/rest/api/1.0/repos", "/rest/api/1.0/repos?permission=REPO_READ"} {
			if got := w.ok(outsider, "GET", list, "", 200).values("name"); !slices.Equal(got, want) {
				t.Errorf("%s has %q, want %q", list, got, want)
			}
		}
		projects := w.ok(outsider, "GET", "/rest/api/1.0/projects", "", 200).values("key")
		if (len(projects) == 1) != (status == 200) {
			t.Errorf("projects %q", projects)
		}
	}
	see(404)
	for _, path := range []string{prj + "/permissions/groups?permission=PROJECT_WRITE", prjRepo + "/permissions/groups?permission=REPO_READ"} {
		w.ok(writer, "PUT", path+"&name=devs", "", 401)
		w.ok(owner, "PUT", path+"&name=none", "", 404)
		w.ok(owner, "PUT", path+"&name=devs", "", 204)
		see(200)
		list, _, _ := strings.Cut(path, "?")
		_, permission, _ := strings.Cut(path, "permission=")
		w.ok(owner, "GET", list, "", 200).is(`{'size':1,'limit':25,'isLastPage':true,'values':[{'group':{'name':'devs'},'permission':'` + permission + `'}],'start':0,'nextPageStart':null}`)
		none := func(want ...string) {
			t.Helper()
			status := map[string]int{prj + "/permissions/groups": 202}[list]
			if got := w.ok(owner, "GET", list+"/none", "", max(status, 200)).values("name"); !slices.Equal(got, want) {
				t.Errorf("without a grant on %s: %q, want %q", list, got, want)
			}
		}
		none()
		w.ok(owner, "DELETE", list+"?name=devs", "", 204)
		none("devs")
		see(404)
	}
	w.ok(owner, "PUT", prj+"/permissions/groups?permission=REPO_READ&name=devs", "", 400)
	w.ok(owner, "PUT", prj+"/permissions/groups?permission=PROJECT_READ&name=devs", "", 204)
	see(200)
	w.ok(admin, "POST", adminPath+"/groups/remove-user", `{"context":"devs","itemName":"outsider"}`, 200)
	see(404)
	w.names(owner, prj+"/permissions/users/none", "admin", "manager", "outsider", "reader", "writer")
}

func TestDefaultPermission(t *testing.T) {
	w := newWorld(t)
	all := func(p string) string { return prj + "/permissions/" + p + "/all" }
	w.ok(outsider, "GET", prjRepo, "", 404)
	w.ok(writer, "POST", all("PROJECT_READ"), "", 401)
	w.ok(owner, "POST", all("REPO_READ"), "", 400)
	w.ok(owner, "POST", all("PROJECT_READ")+"?allow=true", "", 204)
	w.ok(owner, "GET", all("PROJECT_READ"), "", 200).is(`{'permitted':true}`)
	w.ok(owner, "GET", all("PROJECT_WRITE"), "", 200).is(`{'permitted':false}`)
	w.ok(outsider, "GET", prjRepo, "", 200)
	w.ok(nobody, "GET", prjRepo, "", 401)
	w.ok(owner, "POST", all("PROJECT_WRITE")+"?allow=false", "", 204)
	w.ok(outsider, "GET", prjRepo, "", 200)
	w.ok(owner, "POST", all("PROJECT_READ")+"?allow=false", "", 204)
	w.ok(outsider, "GET", prjRepo, "", 404)
}

// Nobody gives what he has not, changes who has more, or locks himself out, by way of groups.
func TestGroupAdministration(t *testing.T) {
	w := newWorld(t)
	w.makeGroup("roots", outsider)
	w.ok(manager, "PUT", adminPath+"/permissions/groups?name=roots&permission=SYS_ADMIN", "", 401)
	w.ok(admin, "PUT", adminPath+"/permissions/groups?name=roots&permission=SYS_ADMIN", "", 204)
	w.ok(manager, "POST", adminPath+"/groups/add-user", `{"context":"roots","itemName":"manager"}`, 403)
	w.ok(manager, "POST", adminPath+"/groups/remove-user", `{"context":"roots","itemName":"outsider"}`, 403)
	w.ok(manager, "DELETE", adminPath+"/groups?name=roots", "", 403)
	w.ok(manager, "DELETE", adminPath+"/permissions/groups?name=roots", "", 409)
	w.ok(manager, "PUT", adminPath+"/permissions/groups?name=roots&permission=LICENSED_USER", "", 409)
	w.ok(manager, "PUT", adminPath+"/users/credentials", `{"name":"outsider","password":"correct horse","passwordConfirm":"correct horse"}`, 401)
	// By nesting, too.
	w.makeGroup("inner")
	w.ok(admin, "PUT", "/rest/annal/1.0/groups/1/groups/2", "", 204)
	w.ok(manager, "POST", adminPath+"/groups/add-user", `{"context":"inner","itemName":"manager"}`, 403)

	// outsider is system administrator by the group alone.
	w.ok(outsider, "DELETE", adminPath+"/groups?name=roots", "", 409)
	w.ok(outsider, "DELETE", adminPath+"/permissions/groups?name=roots", "", 409)
	w.ok(outsider, "POST", adminPath+"/groups/remove-user", `{"context":"roots","itemName":"outsider"}`, 409)
	w.ok(outsider, "PUT", adminPath+"/permissions/groups?name=roots&permission=ADMIN", "", 409)
	w.ok(admin, "DELETE", adminPath+"/permissions/groups?name=roots", "", 204)
	w.ok(outsider, "GET", adminPath+"/permissions/groups", "", 401)

	// An administrator of a project by a group keeps it.
	w.makeGroup("leads", writer)
	w.ok(owner, "PUT", prj+"/permissions/groups?permission=PROJECT_ADMIN&name=leads", "", 204)
	w.ok(writer, "DELETE", prj+"/permissions/groups?name=leads", "", 409)
	w.ok(writer, "PUT", prj+"/permissions/groups?permission=PROJECT_READ&name=leads", "", 403)
	w.ok(owner, "DELETE", prj+"/permissions/groups?name=leads", "", 204)
}

func TestNestedGroups(t *testing.T) {
	w := newWorld(t)
	w.makeGroup("outer")
	w.makeGroup("inner", outsider)
	const own = "/rest/annal/1.0/groups"
	w.ok(outsider, "GET", own, "", 200).is(`{'size':2,'limit':25,'isLastPage':true,'values':[{'id':2,'name':'inner'},{'id':1,'name':'outer'}],'start':0,'nextPageStart':null}`)
	w.ok(outsider, "PUT", own+"/1/groups/2", "", 401)
	w.ok(admin, "PUT", own+"/1/groups/2", "", 204)
	w.ok(admin, "PUT", own+"/2/groups/1", "", 409)
	w.ok(admin, "PUT", own+"/1/groups/1", "", 409)
	w.ok(admin, "PUT", own+"/1/groups/99", "", 404)
	w.ok(admin, "PUT", own+"/1/groups/x", "", 400)
	w.names(outsider, own+"/1/groups", "inner")
	w.ok(owner, "PUT", prj+"/permissions/groups?permission=PROJECT_READ&name=outer", "", 204)
	w.ok(outsider, "GET", prjRepo, "", 200)
	w.ok(admin, "PUT", own+"/1", `{"name":"renamed"}`, 200).is(`{'id':1,'name':'renamed'}`)
	w.ok(admin, "DELETE", own+"/1/groups/2", "", 204)
	w.ok(outsider, "GET", prjRepo, "", 404)
}

func TestRenameUser(t *testing.T) {
	w := newWorld(t)
	w.ok(outsider, "POST", adminPath+"/users/rename", `{"name":"reader","newName":"lector"}`, 401)
	w.ok(manager, "POST", adminPath+"/users/rename", `{"name":"admin","newName":"x"}`, 401)
	w.ok(manager, "POST", adminPath+"/users/rename", `{"name":"reader","newName":"writer"}`, 409)
	w.ok(manager, "POST", adminPath+"/users/rename", `{"name":"reader","newName":"lector"}`, 200)
	w.ok(outsider, "GET", "/rest/api/1.0/users/lector", "", 200)
	w.ok(outsider, "GET", "/rest/api/1.0/users/reader", "", 404)
}

// Seats are those of the operator, and what would take more is refused; who has one keeps it.
func TestSeats(t *testing.T) {
	w := newWorld(t)
	w.ok(outsider, "GET", adminPath+"/license", "", 401)
	w.ok(manager, "GET", adminPath+"/license", "", 200).is(`{'maximumNumberOfUsers':-1,'unlimitedNumberOfUsers':true,
		'numberOfDaysBeforeExpiry':2147483647,'daysBeforeExpiry':2147483647,'serverId':'server','status':{'serverId':'server','currentNumberOfUsers':6}}`)
	w.api.LicensedUsers = 7
	create := func(name, toGroup string, status int) {
		t.Helper()
		w.ok(manager, "POST", adminPath+"/users?displayName=x&emailAddress=x@x&password=correct+horse&name="+name+"&addToDefaultGroup="+toGroup, "", status)
	}
	create("seventh", "true", 204)
	create("eighth", "true", 403)
	create("eighth", "false", 204)
	w.ok(manager, "PUT", adminPath+"/permissions/users?permission=LICENSED_USER&name=eighth", "", 403)
	w.ok(manager, "PUT", adminPath+"/permissions/users?permission=PROJECT_CREATE&name=seventh", "", 204)
	w.makeGroup("staff", "eighth")
	w.ok(manager, "PUT", adminPath+"/permissions/groups?permission=LICENSED_USER&name=staff", "", 403)
	w.ok(manager, "POST", adminPath+"/groups/remove-user", `{"context":"staff","itemName":"eighth"}`, 200)
	w.ok(manager, "PUT", adminPath+"/permissions/groups?permission=LICENSED_USER&name=staff", "", 204)
	w.ok(manager, "POST", adminPath+"/groups/add-user", `{"context":"staff","itemName":"eighth"}`, 403)
	w.ok(manager, "POST", adminPath+"/groups/add-user", `{"context":"staff","itemName":"reader"}`, 200)
	w.ok(manager, "DELETE", adminPath+"/users?name=seventh", "", 200)
	w.ok(manager, "POST", adminPath+"/groups/add-user", `{"context":"staff","itemName":"eighth"}`, 200)
	w.ok(manager, "GET", adminPath+"/license", "", 200).is(`{'maximumNumberOfUsers':7,'unlimitedNumberOfUsers':false,
		'numberOfDaysBeforeExpiry':2147483647,'daysBeforeExpiry':2147483647,'serverId':'server','status':{'serverId':'server','currentNumberOfUsers':7}}`)
}
