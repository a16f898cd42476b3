package rest_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/annal-git/annal/gitfs/gitfstest"
)

func TestArchive(t *testing.T) {
	w := newWorld(t)
	dir, ids := w.push()
	get := func(query string) answer {
		t.Helper()
		return w.ok(reader, "GET", repoPath+"/archive"+query, "", 200)
	}
	native := func(args ...string) string {
		t.Helper()
		out, err := gitfstest.TryGit(t, dir, nil, append([]string{"archive", "--format=tar"}, args...)...)
		if err != nil {
			t.Fatal(err, out)
		}
		return out
	}
	for _, c := range []struct {
		query string
		args  []string
		name  string
	}{
		{"?format=tar", []string{"main"}, "repo-main@" + ids["main"][:11] + ".tar"},
		{"?format=tar&at=feature/one&prefix=a/b", []string{"--prefix=a/b/", "feature/one"}, "repo-feature-one@" + ids["feature/one"][:11] + ".tar"},
		{"?format=tar&at=refs/tags/v1.0&path=docs&path=README.md", []string{"v1.0", "docs", "README.md"}, "repo-v1.0@" + ids["first"][:11] + ".tar"},
		{"?format=tar&at=" + ids["side"], []string{"side"}, "repo-" + ids["side"] + ".tar"},
		{"?format=tar&at=" + ids["side"][:12] + "&filename=x%22/../%0ay", []string{"side"}, `x\"-..--y`},
	} {
		a := get(c.query)
		if got := a.Header().Get("Content-Disposition"); got != "attachment; filename="+c.name && got != `attachment; filename="`+c.name+`"` {
			t.Errorf("%s is called %s", c.query, got)
		}
		if a.Body.String() != native(c.args...) || a.Header().Get("Content-Type") != "application/x-tar" {
			t.Errorf("%s is not what git makes", c.query)
		}
	}
	for _, format := range []string{"tgz", "tar.gz"} {
		packed, err := gzip.NewReader(get("?format=" + format).Body)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(packed); err != nil || string(data) != native("main") {
			t.Errorf("%s: %v", format, err)
		}
	}
	body := get("").Body.Bytes()
	if z, err := zip.NewReader(bytes.NewReader(body), int64(len(body))); err != nil || z.Comment != ids["main"] {
		t.Errorf("without a format: %v", err)
	}
	if a := w.ok(reader, "HEAD", repoPath+"/archive", "", 200); a.Body.Len() != 0 || !strings.HasSuffix(a.Header().Get("Content-Disposition"), ".zip\"") {
		t.Errorf("HEAD: %v", a.Header())
	}
	for query, status := range map[string]int{
		"?format=rar": 400, "?at=none": 404, "?path=none": 404, "?prefix=../x": 400, "?prefix=/x": 400, "?path=:(top)x": 400, "?at=" + strings.Repeat("1", 40): 404,
	} {
		w.ok(reader, "GET", repoPath+"/archive"+query, "", status)
	}
	w.ok(outsider, "GET", repoPath+"/archive", "", 404)
	w.ok(nobody, "GET", repoPath+"/archive", "", 401)
}
