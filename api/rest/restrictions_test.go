package rest_test

import (
	"slices"
	"strings"
	"testing"
)

const (
	ofProject    = "/rest/branch-permissions/2.0/projects/PRJ/restrictions"
	ofRepository = "/rest/branch-permissions/latest/projects/PRJ/repos/repo/restrictions"
)

func TestRestrictions(t *testing.T) {
	w := newWorld(t)
	a := w.ok(owner, "POST", ofProject, `{"type":"read-only","matcher":{"id":"main","type":{"id":"BRANCH"}},"users":["writer"],"groups":[],"accessKeys":[7]}`, 200)
	a.is(`{'id':1,'scope':{'type':'PROJECT','resourceId':1},'type':'read-only','groups':[],'accessKeys':[{'key':{'id':7}}],
		'matcher':{'id':'refs/heads/main','displayId':'main','type':{'id':'BRANCH','name':'Branch'},'active':true},
		'users':[{'name':'writer','emailAddress':'writer@example.com','active':true,'displayName':'The writer','id':103,'slug':'writer','type':'NORMAL',
			'links':{'self':[{'href':'https://git.example.com/annal/users/writer'}]}}]}`)
	// What GET answers can be sent again, under the same number.
	w.ok(owner, "POST", ofProject, a.Body.String(), 200).is(a.Body.String())
	w.ok(owner, "GET", ofProject+"/1", "", 200).is(a.Body.String())

	bulk := w.send(owner, "POST", ofRepository, `[
		{"type":"no-deletes","matcher":{"id":"release/*","type":{"id":"PATTERN"}},"userSlugs":["writer"]},
		{"type":"fast-forward-only","matcher":{"id":"feature","type":{"id":"MODEL_CATEGORY"}}},
		{"type":"pull-request-only","matcher":{"id":"Development","type":{"id":"MODEL_BRANCH"}}},
		{"type":"no-creates","matcher":{"id":"x","type":{"id":"ANY_REF"}}}]`, "Content-Type", "application/vnd.atl.bitbucket.bulk+json")
	if bulk.Code != 200 || !strings.HasPrefix(bulk.Body.String(), "[") || strings.Count(bulk.Body.String(), `"REPOSITORY"`) != 4 {
		t.Fatalf("%d %s", bulk.Code, bulk.Body)
	}
	for query, want := range map[string][]string{
		"":                     {"read-only", "no-deletes", "fast-forward-only", "pull-request-only", "no-creates"},
		"?type=no-creates":     {"no-creates"},
		"?matcherType=pattern": {"no-deletes"},
		"?limit=2&start=1":     {"no-deletes", "fast-forward-only"},
		"?matcherType=ANY_REF&matcherId=ANY_REF_MATCHER_ID":            {"no-creates"},
		"?matcherType=MODEL_BRANCH&matcherId=development":              {"pull-request-only"},
		"?matcherType=MODEL_CATEGORY&matcherId=BUGFIX":                 {},
		"?matcherType=BRANCH&matcherId=refs/heads/main&type=read-only": {"read-only"},
	} {
		if got := w.ok(owner, "GET", ofRepository+query, "", 200).values("type"); !slices.Equal(got, want) {
			t.Errorf("%q lists %v, want %v", query, got, want)
		}
	}
	w.ok(owner, "DELETE", ofRepository+"/1", "", 409) // the project's
	w.ok(owner, "DELETE", ofProject+"/1", "", 204)
	w.ok(owner, "DELETE", ofProject+"/1", "", 204)
	w.ok(owner, "GET", ofProject+"/1", "", 404)
	w.ok(owner, "GET", ofProject+"/x", "", 404)
	for body, status := range map[string]int{
		`{"type":"read-only"}`: 400,
		`{"type":"rw","matcher":{"id":"main","type":{"id":"BRANCH"}}}`:                             400,
		`{"type":"read-only","matcher":{"id":"a..b","type":{"id":"BRANCH"}}}`:                      400,
		`{"type":"read-only","matcher":{"id":"x","type":{"id":"REGEX"}}}`:                          400,
		`{"type":"read-only","matcher":{"id":"x","type":{"id":"BRANCH"}},"users":["nobody here"]}`: 404,
		`{"type":"read-only","matcher":{"id":"x","type":{"id":"BRANCH"}},"groups":["none"]}`:       404,
		`{"type":"read-only","matcher":{"id":"x","type":{"id":"BRANCH"}},"users":[1]}`:             400,
		`[]`: 400,
	} {
		w.ok(owner, "POST", ofProject, body, status)
	}
	w.ok(owner, "GET", ofRepository+"?matcherId=x", "", 400)
	w.ok(owner, "GET", ofRepository+"?type=x", "", 400)
	for _, path := range []string{ofProject, ofRepository} {
		w.ok(writer, "GET", path, "", 401)
		w.ok(nobody, "GET", path, "", 401)
		w.ok(outsider, "POST", path, `{}`, 404)
	}
}

func TestBranchModel(t *testing.T) {
	w := newWorld(t)
	const project, repository = "/rest/branch-utils/latest/projects/PRJ", "/rest/branch-utils/1.0/projects/PRJ/repos/repo"
	const usual = `'types':[{'id':'BUGFIX','displayName':'Bugfix','prefix':'bugfix/','enabled':true},{'id':'FEATURE','displayName':'Feature','prefix':'feature/','enabled':true},
		{'id':'HOTFIX','displayName':'Hotfix','prefix':'hotfix/','enabled':true},{'id':'RELEASE','displayName':'Release','prefix':'release/','enabled':true}]`
	w.ok(owner, "GET", repository+"/branchmodel/configuration", "", 200).is(`{'scope':{'type':'REPOSITORY','resourceId':1},'development':{'refId':null,'useDefault':true},` + usual + `}`)
	w.ok(owner, "PUT", project+"/branchmodel/configuration", `{"development":{"refId":"develop"},"production":{"useDefault":true},"types":[{"id":"FEATURE","prefix":"f/"}]}`, 200)
	a := w.ok(owner, "GET", repository+"/branchmodel/configuration", "", 200)
	if text := a.Body.String(); !strings.Contains(text, `"scope":{"type":"PROJECT"`) || !strings.Contains(text, `"refId":"refs/heads/develop"`) || !strings.Contains(text, `"prefix":"f/","enabled":true`) {
		t.Error(text)
	}
	w.ok(owner, "PUT", repository+"/branchmodel/configuration", strings.ReplaceAll(`{'development':{'useDefault':true},`+usual+`}`, "'", `"`), 200)
	w.ok(reader, "GET", repository+"/branchmodel", "", 200).is(`{'types':[{'id':'BUGFIX','displayName':'Bugfix','prefix':'bugfix/'},{'id':'FEATURE','displayName':'Feature','prefix':'feature/'},
		{'id':'HOTFIX','displayName':'Hotfix','prefix':'hotfix/'},{'id':'RELEASE','displayName':'Release','prefix':'release/'}]}`)
	w.ok(owner, "DELETE", repository+"/branchmodel/configuration", "", 204)
	w.ok(owner, "PUT", repository+"/branchmodel/configuration", `{"types":[{"id":"FEATURE","prefix":"x"},{"id":"BUGFIX","prefix":"xy"}]}`, 400)
	w.ok(writer, "PUT", repository+"/branchmodel/configuration", `{}`, 401)
	w.ok(outsider, "GET", repository+"/branchmodel", "", 404)
}
