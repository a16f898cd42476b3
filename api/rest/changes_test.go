package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/annal-git/annal/gitfs/gitfstest"
)

const zero = "0000000000000000000000000000000000000000"

func TestChanges(t *testing.T) {
	w := newWorld(t)
	dir, ids := w.push()
	blob := func(rev string) string { return gitfstest.Git(t, dir, "rev-parse", rev) }
	change := fmt.Sprintf(`{'contentId':'%s','fromContentId':'%s','path':{'components':['docs','a b.txt'],'parent':'docs','name':'a b.txt','extension':'txt','toString':'docs/a b.txt'},
		'executable':false,'srcExecutable':false,'percentUnchanged':-1,'type':'MODIFY','nodeType':'FILE','properties':{'gitChangeType':'MODIFY'}}`,
		blob("feature/one:docs/a b.txt"), blob("v1.0^{commit}:docs/a b.txt"))
	page := fmt.Sprintf(`{'fromHash':'%s','toHash':'%s','size':1,'limit':25,'isLastPage':true,'start':0,'nextPageStart':null,'values':[%s]}`, ids["first"], ids["feature/one"], change)
	for _, target := range []string{
		"/commits/" + ids["feature/one"] + "/changes", "/changes?until=feature/one", "/changes?since=v1.0&until=feature/one", "/compare/changes?from=feature/one&to=side",
	} {
		w.ok(reader, "GET", repoPath+target, "", 200).is(page)
	}
	first := w.ok(reader, "GET", repoPath+"/commits/"+ids["first"]+"/changes?limit=2&start=1", "", 200)
	if got := strings.Join(first.values("path", "toString"), " "); got != "docs/a b.txt docs/deep/er.html" || !strings.Contains(first.Body.String(), `"fromHash":null`) || !strings.Contains(first.Body.String(), `"nextPageStart":3`) {
		t.Errorf("%s in %s", got, first.Body)
	}
	all := w.ok(reader, "GET", repoPath+"/commits/"+ids["first"]+"/changes", "", 200).Body.String()
	if !strings.Contains(all, `"contentId":"1111111111111111111111111111111111111111","fromContentId":"`+zero+`"`) || !strings.Contains(all, `"nodeType":"SUBMODULE"`) {
		t.Error(all)
	}
	w.ok(reader, "GET", repoPath+"/changes", "", 400)
	w.ok(reader, "GET", repoPath+"/changes?until=none", "", 404)
	w.ok(reader, "GET", repoPath+"/compare/changes?from=side&to=main&fromRepo=PRJ/other", "", 400)
	w.ok(outsider, "GET", repoPath+"/commits/"+ids["first"]+"/changes", "", 404)

	commits := w.ok(reader, "GET", repoPath+"/compare/commits?from=main&to=side", "", 200)
	if got := strings.Join(commits.values("id"), " "); got != ids["main"]+" "+ids["feature/one"] {
		t.Errorf("commits %s", got)
	}
	if a := w.ok(reader, "GET", repoPath+"/compare/commits?from=refs/heads/side", "", 200); len(a.values("id")) != 1 {
		t.Errorf("against the default branch: %s", a.Body)
	}
	base := w.ok(reader, "GET", repoPath+"/commits/"+ids["main"]+"/merge-base?otherCommitId="+ids["side"], "", 200).Body.String()
	if !strings.HasPrefix(base, `{"id":"`+ids["first"]) {
		t.Error(base)
	}
	w.ok(reader, "GET", repoPath+"/commits/"+ids["main"]+"/merge-base", "", 400)
}

func TestDiff(t *testing.T) {
	w := newWorld(t)
	dir, ids := w.push()
	path := `{'components':['docs','a b.txt'],'parent':'docs','name':'a b.txt','extension':'txt','toString':'docs/a b.txt'}`
	want := fmt.Sprintf(`{'fromHash':'%s','toHash':'%s','contextLines':10,'whitespace':'SHOW','truncated':false,'diffs':[
		{'source':%[3]s,'destination':%[3]s,'truncated':false,'hunks':[{'sourceLine':1,'sourceSpan':1,'destinationLine':1,'destinationSpan':1,'truncated':false,'segments':[
			{'type':'REMOVED','truncated':false,'lines':[{'source':1,'destination':1,'line':'one','truncated':false}]},
			{'type':'ADDED','truncated':false,'lines':[{'source':2,'destination':1,'line':'two','truncated':false}]}]}]}]}`, ids["first"], ids["feature/one"], path)
	for _, target := range []string{
		"/commits/" + ids["feature/one"] + "/diff", "/commits/" + ids["feature/one"] + "/diff/docs/a%20b.txt", "/commits/" + ids["feature/one"] + "/diff/docs?since=v1.0",
		"/compare/diff?from=feature/one&to=main~0", "/compare/diff/docs?from=feature/one&to=side",
	} {
		if strings.Contains(target, "~") {
			w.ok(reader, "GET", repoPath+target, "", 404)
			continue
		}
		w.ok(reader, "GET", repoPath+target, "", 200).is(want)
	}
	if a := w.send(reader, "GET", repoPath+"/diff/docs?until=feature/one", "", "Accept", "application/json"); a.Code != 200 {
		t.Error(a.Code)
	} else {
		a.is(want)
	}
	native := func(args ...string) string {
		return gitfstest.Git(t, dir, append([]string{"diff", "--full-index", "-U10"}, args...)...) + "\n"
	}
	for target, want := range map[string]string{
		"/diff?until=feature/one": native("v1.0", "feature/one"), "/diff/docs?until=feature/one&since=side": native("side", "feature/one", "--", "docs"),
		"/diff/README.md?until=v1.0":                        native(strings.TrimSpace(gitfstest.GitInput(t, dir, nil, "mktree")), "v1.0", "--", "README.md"),
		"/diff/README.md?until=feature/one&contextLines=-1": "\n",
	} {
		a := w.ok(reader, "GET", repoPath+target, "", 200)
		if got := a.Body.String(); got != strings.TrimPrefix(want, "\n") || a.Header().Get("Content-Type") != "text/plain;charset=UTF-8" && want != "\n" {
			t.Errorf("%s: %q, want %q (%s)", target, got, want, a.Header().Get("Content-Type"))
		}
	}
	if a := w.send(reader, "GET", repoPath+"/commits/"+ids["feature/one"]+"/diff", "", "Accept", "text/plain"); a.Body.String() != native("v1.0", "feature/one") {
		t.Errorf("%q", a.Body)
	}
	first := w.ok(reader, "GET", repoPath+"/commits/"+ids["first"]+"/diff", "", 200).Body.String()
	for _, part := range []string{`"fromHash":null`, `"source":null`, `"binary":true`, `"line":"Subproject commit 1111111111111111111111111111111111111111"`, `"sourceLine":0,"sourceSpan":0`} {
		if !strings.Contains(first, part) {
			t.Errorf("%s is not in %s", part, first)
		}
	}
	moved := w.ok(reader, "GET", repoPath+"/diff/docs/a%20b.txt?until=feature/one&srcPath=README.md", "", 200).Body.String()
	if !strings.Contains(moved, "rename from README.md\nrename to docs/a b.txt\n") {
		t.Error(moved)
	}
	w.ok(reader, "GET", repoPath+"/commits/"+ids["feature/one"]+"/diff?whitespace=ignore-all&autoSrcPath=true", "", 200)
	w.ok(reader, "GET", repoPath+"/commits/"+ids["feature/one"]+"/diff?whitespace=some", "", 400)
	w.ok(reader, "GET", repoPath+"/commits/"+ids["feature/one"]+"/diff?contextLines=x", "", 400)
	w.ok(reader, "GET", repoPath+"/diff", "", 400)
	w.ok(outsider, "GET", repoPath+"/diff?until=main", "", 404)
	w.ok(nobody, "GET", repoPath+"/diff?until=main", "", 401)
}

func TestBlameAndLastModified(t *testing.T) {
	w := newWorld(t)
	_, ids := w.push()
	who := func(id, author, authored, committer, committed string) string {
		return fmt.Sprintf(`'author':{'name':'%s','emailAddress':'%s@example.com'},'authorTimestamp':%s,'committer':{'name':'%s','emailAddress':'%s@example.com'},'committerTimestamp':%s,
			'commitHash':'%s','displayCommitHash':'%s','commitId':'%[7]s','commitDisplayId':'%[8]s'`,
			author, strings.ToLower(author), authored, committer, strings.ToLower(committer), committed, id, id[:11])
	}
	blame := `[{` + who(ids["first"], "Ada", "1700000000000", "Cleo", "1700000100000") + `,'fileName':'README.md','lineNumber':1,'spannedLines':3}]`
	w.ok(reader, "GET", repoPath+"/browse/README.md?blame&noContent", "", 200).is(blame)
	w.ok(reader, "GET", repoPath+"/browse/README.md?blame=true&noContent=true&at=side", "", 200).is(blame)
	w.ok(reader, "GET", repoPath+"/browse/README.md?blame=true&start=1&limit=1", "", 200).is(
		`{'lines':[{'text':'Text'}],'start':1,'size':1,'limit':1,'isLastPage':false,'nextPageStart':2,'blame':` + strings.NewReplacer("'lineNumber':1", "'lineNumber':2", "'spannedLines':3", "'spannedLines':1").Replace(blame) + `}`)
	for _, target := range []string{"?blame=false", "?noContent", ""} {
		if got := w.ok(reader, "GET", repoPath+"/browse/README.md"+target, "", 200).Body.String(); strings.Contains(got, "blame") || !strings.Contains(got, "lines") {
			t.Errorf("%s: %s", target, got)
		}
	}
	if got := w.ok(reader, "GET", repoPath+"/browse/docs/a%20b.txt?blame&noContent&at=main", "", 200).Body.String(); !strings.Contains(got, ids["feature/one"]) && !strings.Contains(got, ids["first"]) {
		t.Error(got)
	}
	w.ok(reader, "GET", repoPath+"/browse/image.png?blame&noContent", "", 400)
	w.ok(outsider, "GET", repoPath+"/browse/README.md?blame&noContent", "", 404)

	files := w.ok(reader, "GET", repoPath+"/last-modified?at=side", "", 200).Body.String()
	if !strings.Contains(files, `"README.md":{"id":"`+ids["first"]) || !strings.Contains(files, `"side.txt":{"id":"`+ids["side"]) || !strings.Contains(files, `"latestCommit":{"id":"`+ids["side"]) || !strings.Contains(files, `"docs":{"id":"`+ids["first"]) {
		t.Error(files)
	}
	if got := w.ok(reader, "GET", repoPath+"/last-modified/docs?at=feature/one", "", 200).Body.String(); !strings.Contains(got, `"a b.txt":{"id":"`+ids["feature/one"]) || !strings.Contains(got, `"latestCommit":{"id":"`+ids["feature/one"]) {
		t.Error(got)
	}
	w.ok(reader, "GET", repoPath+"/last-modified/none", "", 404)
	w.ok(reader, "GET", repoPath+"/last-modified/README.md", "", 400)
	w.ok(outsider, "GET", repoPath+"/last-modified", "", 404)
	if got := strings.Join(w.ok(reader, "GET", repoPath+"/commits?path=docs/a%20b.txt&followRenames=true&until=feature/one", "", 200).values("id"), " "); got != ids["feature/one"]+" "+ids["first"] {
		t.Error(got)
	}
}
