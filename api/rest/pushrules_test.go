package rest_test

import (
	"slices"
	"strings"
	"testing"
)

func TestPushRules(t *testing.T) {
	w := newWorld(t)
	const project, repository = "/rest/annal/1.0/projects/PRJ/push-rules", "/rest/annal/1.0/projects/PRJ/repos/repo/push-rules"
	const hooks, key = "/rest/api/latest/projects/PRJ/repos/repo/settings/hooks", "com.atlassian.bitbucket.server.bitbucket-bundled-hooks:force-push-hook"
	w.ok(owner, "GET", repository, "", 200).is(`{'scope':{'type':'REPOSITORY','resourceId':1},'own':{},'effective':{}}`)
	w.ok(owner, "PUT", project, `{"maxFileSize":10,"rejectForcePush":true}`, 200)
	w.ok(owner, "PUT", repository, `{"maxFileSize":0,"message":{"pattern":"x"}}`, 200).is(`{'scope':{'type':'REPOSITORY','resourceId':1},
		'own':{'maxFileSize':0,'message':{'pattern':'x'}},'effective':{'maxFileSize':0,'message':{'pattern':'x'},'rejectForcePush':true}}`)
	w.ok(owner, "PUT", repository, `{"message":{"pattern":"("}}`, 400)
	w.ok(owner, "PUT", repository, `{"maxFileSize":-1}`, 400)
	w.ok(writer, "PUT", repository, `{}`, 401)
	w.ok(outsider, "GET", repository, "", 404)

	w.ok(owner, "GET", hooks+"/"+key, "", 200).is(`{'details':{'key':'` + key + `','name':'Reject Force Push','type':'PRE_RECEIVE','description':'Reject all force pushes (git push --force) to this repository.',
		'version':'9.4.16','scopeTypes':['PROJECT','REPOSITORY']},'enabled':true,'configured':true,'scope':{'type':'PROJECT','resourceId':1}}`)
	if a := w.ok(owner, "DELETE", hooks+"/"+key+"/enabled", "", 200); !strings.Contains(a.Body.String(), `"enabled":false,"configured":true,"scope":{"type":"REPOSITORY"`) {
		t.Error(a.Body)
	}
	w.ok(owner, "DELETE", hooks+"/"+key, "", 204)
	if a := w.ok(owner, "GET", hooks, "", 200); len(a.values("scope", "type")) != 2 || !strings.Contains(a.Body.String(), `"enabled":true`) {
		t.Error(a.Body)
	}
	w.ok(owner, "GET", hooks+"/x", "", 404)
	w.ok(owner, "PUT", hooks+"/"+key+"/settings", `{"x":1}`, 400)
	w.ok(owner, "PUT", hooks+"/"+key+"/settings", `[]`, 400)
	verify := strings.Replace(key, "force-push", "verify-committer", 1)
	w.ok(owner, "PUT", hooks+"/"+verify+"/enabled", `{"author":true}`, 200)
	w.ok(owner, "GET", hooks+"/"+verify+"/settings", "", 200).is(`{'author':true}`)
	w.ok(owner, "PUT", hooks+"/"+verify+"/settings", `{"author":"yes"}`, 400)
}

func TestSecretRules(t *testing.T) {
	w := newWorld(t)
	for _, list := range []string{"rules", "allowlist"} {
		path := "/rest/api/latest/projects/PRJ/repos/repo/secret-scanning/" + list
		a := w.ok(owner, "POST", path, `{"name":"b","lineRegex":"x+"}`, 200)
		id := a.Body.String()[len(`{"id":`):strings.Index(a.Body.String(), ",")]
		a.is(`{'id':` + id + `,'name':'b','lineRegex':'x+','scope':{'type':'REPOSITORY','resourceId':1}}`)
		w.ok(owner, "POST", path, `{"name":"a","pathRegex":"y"}`, 200)
		if names := w.ok(owner, "GET", path, "", 200).values("name"); !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("%v", names)
		}
		if names := w.ok(owner, "GET", path+"?filter=B&order=DESC", "", 200).values("name"); !slices.Equal(names, []string{"b"}) {
			t.Errorf("%v", names)
		}
		w.ok(owner, "PUT", path+"/"+id, `{"lineRegex":"z"}`, 200)
		w.ok(owner, "GET", path+"/"+id, "", 200).is(`{'id':` + id + `,'name':'b','lineRegex':'z','scope':{'type':'REPOSITORY','resourceId':1}}`)
		w.ok(owner, "PUT", path+"/"+id, `{"lineRegex":"("}`, 400)
		w.ok(owner, "POST", path, `{"name":"a"}`, 400)
		w.ok(owner, "DELETE", path+"/"+id, "", 204)
		w.ok(owner, "DELETE", path+"/"+id, "", 204)
		w.ok(owner, "GET", path+"/"+id, "", 404)
		w.ok(outsider, "DELETE", path+"/"+id, "", 404)
		w.ok(writer, "GET", path, "", 401)
	}
	const exempt = "/rest/api/1.0/projects/PRJ/repos/repo/secret-scanning/exempt"
	for _, want := range []string{"false", "true"} {
		if a := w.ok(owner, "GET", exempt, "", 200); a.Body.String() != want {
			t.Errorf("%s, want %s", a.Body, want)
		}
		w.ok(owner, "PUT", exempt, "", 204)
	}
	w.ok(owner, "DELETE", exempt, "", 204)
}

func TestGPGKeys(t *testing.T) {
	w := newWorld(t)
	const path = "/rest/gpg/latest/keys"
	w.ok(reader, "GET", path, "", 200).is(`{'size':0,'limit':25,'isLastPage':true,'values':[],'start':0,'nextPageStart':null}`)
	w.ok(reader, "POST", path, `{"text":"no key"}`, 400)
	w.ok(nobody, "GET", path, "", 401)
	w.ok(reader, "GET", path+"?user=writer", "", 401)
	w.ok(manager, "GET", path+"?user=writer", "", 200)
	w.ok(manager, "GET", path+"?user=who", "", 404)
	w.ok(reader, "DELETE", path, "", 204)
	w.ok(reader, "DELETE", path+"/ab:cd", "", 204)
}
