package rest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/annal-git/annal/api/rest"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

func TestBrowseDirectory(t *testing.T) {
	w := newWorld(t)
	dir, _ := w.push()
	id := func(path string) string { return gitfstest.Git(t, dir, "rev-parse", "main:"+path) }
	w.ok(reader, "GET", repoPath+"/browse/docs?at=refs/heads/main", "", 200).is(fmt.Sprintf(`{
		'path':{'components':['docs'],'parent':'','name':'docs','toString':'docs'},'revision':'refs/heads/main',
		'children':{'size':2,'limit':500,'isLastPage':true,'start':0,'nextPageStart':null,'values':[
			{'path':{'components':['a b.txt'],'parent':'','name':'a b.txt','extension':'txt','toString':'a b.txt'},'contentId':'%s','type':'FILE','size':3},
			{'path':{'components':['deep'],'parent':'','name':'deep','toString':'deep'},'node':'%s','type':'DIRECTORY'}]}}`, id("docs/a b.txt"), id("docs/deep")))
	root := w.ok(reader, "GET", repoPath+"/browse", "", 200).Body.String()
	for _, part := range []string{
		`"path":{"components":[],"parent":"","name":"","toString":""},"revision":"refs/heads/main"`,
		`"name":"link","toString":"link"},"contentId":"` + id("link") + `","type":"FILE","size":9}`,
	} {
		if !strings.Contains(root, part) {
			t.Errorf("%s is not in %s", part, root)
		}
	}
	if got := w.ok(reader, "GET", repoPath+"/browse/vendor", "", 200).Body.String(); !strings.Contains(got, `"contentId":"1111111111111111111111111111111111111111","type":"SUBMODULE"`) {
		t.Error(got)
	}
	for target, want := range map[string]string{
		"/browse/docs?type=true": `{'type':'DIRECTORY'}`, "/browse/README.md?type=TRUE": `{'type':'FILE'}`, "/browse/vendor/other?type=true": `{'type':'SUBMODULE'}`,
		"/browse/README.md?size=true&type=true": `{'size':14}`,
	} {
		w.ok(reader, "GET", repoPath+target, "", 200).is(want)
	}
	for _, target := range []string{"/browse/none", "/browse/README.md/x", "/browse/link/x", "/browse/docs/../README.md", "/browse/DOCS", "/browse/x%2e%2e"} {
		if _, name := w.ok(reader, "GET", repoPath+target, "", 404).exception(); name != noPath {
			t.Errorf("%s: %s", target, name)
		}
	}
	if _, name := w.ok(reader, "GET", repoPath+"/browse?at=none", "", 404).exception(); name != noCommit {
		t.Error(name)
	}
	w.ok(reader, "HEAD", repoPath+"/browse/README.md?at=side", "", 200)
	w.ok(reader, "HEAD", repoPath+"/browse/none", "", 404)
	w.ok(outsider, "GET", repoPath+"/browse", "", 404)
	w.ok(reader, "GET", repoPath+"/browse?type=perhaps", "", 400)
}

func TestBrowseFile(t *testing.T) {
	w := newWorld(t)
	w.push()
	w.ok(reader, "GET", repoPath+"/browse/README.md?limit=20000", "", 200).is(
		`{'lines':[{'text':'# Title'},{'text':'Text'},{'text':''}],'start':0,'size':3,'limit':5000,'isLastPage':true,'nextPageStart':null}`)
	w.ok(reader, "GET", repoPath+"/browse/README.md?start=1&limit=1", "", 200).is(
		`{'lines':[{'text':'Text'}],'start':1,'size':1,'limit':1,'isLastPage':false,'nextPageStart':2}`)
	w.ok(reader, "GET", repoPath+"/browse/README.md?start=9", "", 200).is(
		`{'lines':[],'start':9,'size':0,'limit':500,'isLastPage':true,'nextPageStart':null}`)
	w.ok(reader, "GET", repoPath+"/browse/docs/a%20b.txt?at=feature%2Fone", "", 200).is(
		`{'lines':[{'text':'two'}],'start':0,'size':1,'limit':500,'isLastPage':true,'nextPageStart':null}`)
	w.ok(reader, "GET", repoPath+"/browse/image.png", "", 200).is(
		`{'binary':true,'path':{'components':['image.png'],'parent':'','name':'image.png','extension':'png','toString':'image.png'}}`)
}

func TestRaw(t *testing.T) {
	w := newWorld(t)
	w.push()
	for _, tt := range []struct{ path, body, kind, disposition string }{
		{"README.md", "# Title\nText\n\n", "text/plain;charset=UTF-8", ""},
		{"docs/deep/er.html", "<script>alert(1)</script>", "text/plain;charset=UTF-8", ""},
		{"image.png", "\x89PNG\x00\x01\x02\x03", "application/octet-stream", "attachment"},
		{"link", "README.md", "text/plain;charset=UTF-8", ""},
	} {
		a := w.ok(reader, "GET", repoPath+"/raw/"+tt.path, "", 200)
		header := a.Header()
		if a.Body.String() != tt.body || header.Get("Content-Type") != tt.kind || header.Get("Content-Disposition") != tt.disposition ||
			header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" ||
			header.Get("Content-Length") != fmt.Sprint(len(tt.body)) {
			t.Errorf("%s: %q %v", tt.path, a.Body, header)
		}
		if a := w.ok(reader, "HEAD", repoPath+"/raw/"+tt.path, "", 200); a.Body.Len() != 0 || a.Header().Get("Content-Length") != fmt.Sprint(len(tt.body)) {
			t.Errorf("HEAD %s: %q %v", tt.path, a.Body, a.Header())
		}
		for _, tag := range []string{header.Get("ETag"), `"x", W/` + header.Get("ETag"), "*"} {
			if again := w.send(reader, "GET", repoPath+"/raw/"+tt.path, "", "If-None-Match", tag); again.Code != 304 || again.Body.Len() != 0 {
				t.Errorf("%s with %s: %d", tt.path, tag, again.Code)
			}
		}
	}
	if a := w.send(reader, "GET", repoPath+"/raw/README.md", "", "If-None-Match", `"x"`); a.Code != 200 {
		t.Errorf("another tag: %d", a.Code)
	}
	w.ok(reader, "GET", repoPath+"/raw/docs", "", 404)
	w.ok(reader, "GET", repoPath+"/raw/none", "", 404)
	w.ok(reader, "GET", repoPath+"/raw/vendor/other", "", 404)
	w.ok(outsider, "GET", repoPath+"/raw/README.md", "", 404)
	w.ok(nobody, "GET", repoPath+"/raw/README.md", "", 401)
}

func TestFiles(t *testing.T) {
	w := newWorld(t)
	w.push()
	files := func(target string) string {
		t.Helper()
		return w.ok(reader, "GET", repoPath+target, "", 200).Body.String()
	}
	if got := files("/files/docs"); got != `{"size":2,"limit":25,"isLastPage":true,"values":["a b.txt","deep/er.html"],"start":0,"nextPageStart":null}` {
		t.Error(got)
	}
	if got := files("/files?start=1&limit=2"); got != `{"size":2,"limit":2,"isLastPage":false,"values":["docs/a b.txt","docs/deep/er.html"],"start":1,"nextPageStart":3}` {
		t.Error(got)
	}
	w.ok(reader, "GET", repoPath+"/files/README.md", "", 400)
	w.ok(reader, "GET", repoPath+"/files/none", "", 404)
	w.ok(reader, "GET", repoPath+"/files?at=none", "", 404)
}

// A line of any length costs no more than what is kept of it.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	lines, truncated := []string{}, []bool{}
	for text, cut := range rest.LinesOf(long + "\n\nshort\r\n" + strings.Repeat("é", 3000) + "\nend") {
		lines, truncated = append(lines, text), append(truncated, cut)
	}
	if want := []string{long[:5000], "", "short", strings.Repeat("é", 2500), "end"}; !slices.Equal(lines, want) || !slices.Equal(truncated, []bool{true, false, false, true, false}) {
		t.Errorf("%d lines, truncated %v", len(lines), truncated)
	}
}
