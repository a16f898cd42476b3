package rest_test

import (
	"slices"
	"strings"
	"testing"
)

const (
	noBranch        = "com.atlassian.bitbucket.repository.NoSuchBranchException"
	noTag           = "com.atlassian.bitbucket.repository.NoSuchTagException"
	noCommit        = "com.atlassian.bitbucket.commit.NoSuchCommitException"
	noPath          = "com.atlassian.bitbucket.content.NoSuchPathException"
	noDefaultBranch = "com.atlassian.bitbucket.repository.NoDefaultBranchException"
	duplicateRef    = "com.atlassian.bitbucket.repository.DuplicateRefException"
	repoPath        = "/rest/api/1.0/projects/prj/repos/repo"
)

func TestEmptyRepository(t *testing.T) {
	w := newWorld(t)
	w.ok(reader, "GET", repoPath+"/branches/default", "", 204)
	w.ok(reader, "GET", repoPath+"/branches", "", 200).is(`{'size':0,'limit':25,'isLastPage':true,'start':0,'nextPageStart':null,'values':[]}`)
	for target, want := range map[string]string{
		"/default-branch": noBranch, "/commits": noDefaultBranch, "/browse": noDefaultBranch, "/files": noDefaultBranch,
		"/raw/x": noDefaultBranch, "/tags/v1": noTag,
	} {
		if _, name := w.ok(reader, "GET", repoPath+target, "", 404).exception(); name != want {
			t.Errorf("%s: %s", target, name)
		}
	}
	w.ok(owner, "PUT", repoPath+"/branches/default", `{"id":"refs/heads/trunk"}`, 204)
}

func TestBranches(t *testing.T) {
	w := newWorld(t)
	_, ids := w.push()
	main := strings.ReplaceAll(`{'id':'refs/heads/main','displayId':'main','type':'BRANCH','latestCommit':'ID','latestChangeset':'ID','isDefault':true}`, "ID", ids["main"])
	feature := strings.ReplaceAll(`{'id':'refs/heads/feature/one','displayId':'feature/one','type':'BRANCH','latestCommit':'ID','latestChangeset':'ID','isDefault':false}`, "ID", ids["feature/one"])
	w.ok(reader, "GET", repoPath+"/branches?limit=2", "", 200).is(
		`{'size':2,'limit':2,'isLastPage':false,'start':0,'nextPageStart':2,'values':[` + feature + `,` + main + `]}`)
	for query, want := range map[string][]string{
		"":                                       {"feature/one", "main", "side"},
		"?orderBy=modification":                  {"main", "feature/one", "side"},
		"?orderBy=ALPHABETICAL&start=1":          {"main", "side"},
		"?filterText=E":                          {"feature/one", "side"},
		"?filterText=i":                          {"main", "side"},
		"?filterText=SIDE&boostMatches=true":     {"side"},
		"?filterText=i&boostMatches=true&base=x": {"main", "side"},
		"?filterText=refs":                       {},
	} {
		if got := w.ok(reader, "GET", repoPath+"/branches"+query, "", 200).values("displayId"); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	w.ok(reader, "GET", repoPath+"/branches?orderBy=size", "", 400)
	detailed := w.ok(reader, "GET", repoPath+"/branches?details=true&filterText=side", "", 200).Body.String()
	if !strings.Contains(detailed, `"com.atlassian.bitbucket.server.bitbucket-branch:latest-commit-metadata":{"id":"`+ids["side"]) {
		t.Error(detailed)
	}

	w.ok(reader, "GET", repoPath+"/branches/default", "", 200).is(main)
	w.ok(reader, "GET", repoPath+"/default-branch", "", 200).is(`{'id':'refs/heads/main','displayId':'main','type':'BRANCH'}`)
	w.ok(writer, "PUT", repoPath+"/default-branch", `{"id":"refs/heads/side"}`, 401)
	w.ok(owner, "PUT", repoPath+"/default-branch", `{"id":"refs/heads/none"}`, 404)
	w.ok(owner, "PUT", repoPath+"/default-branch", `{"id":"refs/tags/v1.0"}`, 404)
	w.ok(owner, "PUT", repoPath+"/default-branch", `{}`, 400)
	w.ok(owner, "PUT", repoPath+"/branches/default", `{"id":"refs/heads/side"}`, 204)
	if got := w.ok(reader, "GET", repoPath+"/branches?filterText=side", "", 200).Body.String(); !strings.Contains(got, `"isDefault":true`) {
		t.Error(got)
	}
}

func TestCreateBranch(t *testing.T) {
	w := newWorld(t)
	_, ids := w.push()
	for start, want := range map[string]string{
		"main": ids["main"], "refs/heads/side": ids["side"], "v1.0": ids["first"], ids["v1.0"]: ids["first"], ids["side"][:8]: ids["side"],
	} {
		name := "new-" + want[:7] + "-" + strings.ReplaceAll(start, "/", "-")
		w.ok(writer, "POST", repoPath+"/branches", `{"name":"`+name+`","startPoint":"`+start+`","message":"ignored"}`, 200).is(strings.NewReplacer("ID", want, "NAME", name).Replace(
			`{'id':'refs/heads/NAME','displayId':'NAME','type':'BRANCH','latestCommit':'ID','latestChangeset':'ID','isDefault':false}`))
	}
	before := w.head()
	for _, tt := range []struct {
		name, user, body string
		status           int
		exception        string
	}{
		{"exists", writer, `{"name":"main","startPoint":"side"}`, 409, duplicateRef},
		{"below a branch", writer, `{"name":"main/x","startPoint":"side"}`, 409, duplicateRef},
		{"above a branch", writer, `{"name":"feature","startPoint":"side"}`, 409, duplicateRef},
		{"bad name", writer, `{"name":"a..b","startPoint":"side"}`, 400, ""},
		{"name as option", writer, `{"name":"--exec=touch x","startPoint":"side"}`, 400, ""},
		{"no name", writer, `{"startPoint":"side"}`, 400, ""},
		{"no start", writer, `{"name":"x"}`, 400, ""},
		{"start as option", writer, `{"name":"x","startPoint":"--all"}`, 404, noCommit},
		{"missing start", writer, `{"name":"x","startPoint":"none"}`, 404, noCommit},
		{"missing id", writer, `{"name":"x","startPoint":"1234567890123456789012345678901234567890"}`, 404, noCommit},
		{"not permitted", reader, `{"name":"x","startPoint":"side"}`, 401, authorisation},
		{"hidden", outsider, `{"name":"x","startPoint":"side"}`, 404, noRepository},
		{"anonymous", nobody, `{"name":"x","startPoint":"side"}`, 401, authorisation},
	} {
		a := w.send(tt.user, "POST", repoPath+"/branches", tt.body)
		if a.Code != tt.status {
			t.Errorf("%s: %d %s", tt.name, a.Code, a.Body)
		} else if _, exception := a.exception(); exception != tt.exception {
			t.Errorf("%s: %s", tt.name, exception)
		}
	}
	if w.head() != before {
		t.Error("a refused request was logged as an event")
	}
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	_, ids := w.push()
	annotated := strings.NewReplacer("COMMIT", ids["first"], "OBJECT", ids["v1.0"]).Replace(
		`{'id':'refs/tags/v1.0','displayId':'v1.0','type':'TAG','latestCommit':'COMMIT','latestChangeset':'COMMIT','hash':'OBJECT'}`)
	light := strings.NewReplacer("COMMIT", ids["main"]).Replace(
		`{'id':'refs/tags/release/light','displayId':'release/light','type':'TAG','latestCommit':'COMMIT','latestChangeset':'COMMIT','hash':null}`)
	w.ok(reader, "GET", repoPath+"/tags", "", 200).is(
		`{'size':2,'limit':25,'isLastPage':true,'start':0,'nextPageStart':null,'values':[` + light + `,` + annotated + `]}`)
	if got := w.ok(reader, "GET", repoPath+"/tags?filterText=V1&orderBy=MODIFICATION", "", 200).values("displayId"); !slices.Equal(got, []string{"v1.0"}) {
		t.Errorf("%q", got)
	}
	w.ok(reader, "GET", repoPath+"/tags/v1.0", "", 200).is(annotated)
	for _, name := range []string{"release/light", "release%2Flight", "refs/tags/release/light"} {
		w.ok(reader, "GET", repoPath+"/tags/"+name, "", 200).is(light)
	}
	if _, name := w.ok(reader, "GET", repoPath+"/tags/none", "", 404).exception(); name != noTag {
		t.Error(name)
	}
	w.ok(outsider, "GET", repoPath+"/tags", "", 404)
}

func TestCommits(t *testing.T) {
	w := newWorld(t)
	_, ids := w.push()
	first := strings.NewReplacer("SHORT", ids["first"][:11], "ID", ids["first"]).Replace(`{'id':'ID','displayId':'SHORT',
		'author':{'name':'Ada','emailAddress':'ada@example.com'},'authorTimestamp':1700000000000,
		'committer':{'name':'Cleo','emailAddress':'cleo@example.com'},'committerTimestamp':1700000100000,
		'message':'First\n\nWhy.','parents':[]}`)
	for _, revision := range []string{ids["first"], ids["first"][:7], strings.ToUpper(ids["first"]), "v1.0", "refs/tags/v1.0", ids["v1.0"]} {
		w.ok(reader, "GET", repoPath+"/commits/"+revision, "", 200).is(first)
	}
	if got := w.ok(reader, "GET", repoPath+"/commits/side", "", 200).Body.String(); !strings.Contains(got, `"message":"café"`) {
		t.Error(got)
	}
	w.ok(reader, "GET", repoPath+"/commits/feature%2Fone", "", 200)
	for _, revision := range []string{"none", "--all", "-h", "main:README.md", "main^", "1234567890123456789012345678901234567890", "abc", "HEAD@%7B1%7D"} {
		if _, name := w.ok(reader, "GET", repoPath+"/commits/"+revision, "", 404).exception(); name != noCommit {
			t.Errorf("%s: %s", revision, name)
		}
	}
	for query, want := range map[string][]string{
		"":                                       {"main", "feature/one", "first"},
		"?until=side":                            {"side", "first"},
		"?until=refs/heads/main&since=v1.0":      {"main", "feature/one"},
		"?merges=exclude":                        {"feature/one", "first"},
		"?merges=ONLY":                           {"main"},
		"?path=docs/a%20b.txt&until=feature/one": {"feature/one", "first"},
		"?path=--all":                            {},
		"?limit=1&start=1&withCounts=true":       {"feature/one"},
		"?until=none&ignoreMissing=true":         {},
	} {
		var names []string
		for _, id := range want {
			names = append(names, ids[id])
		}
		if got := w.ok(reader, "GET", repoPath+"/commits"+query, "", 200).values("id"); !slices.Equal(got, names) && len(got)+len(names) > 0 {
			t.Errorf("%s: %q, want %q", query, got, names)
		}
	}
	w.ok(reader, "GET", repoPath+"/commits?limit=1", "", 200)
	for query, status := range map[string]int{"?until=none": 404, "?since=none": 404, "?merges=some": 400, "?until=%00": 400} {
		w.ok(reader, "GET", repoPath+"/commits"+query, "", status)
	}
	if got := w.ok(reader, "GET", repoPath+"/commits?limit=5000", "", 200).Body.String(); !strings.Contains(got, `"limit":100,`) {
		t.Error(got)
	}
}
