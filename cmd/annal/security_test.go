package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// target is a node under attack, with a repository that must stay as it is. Its cases are
// classes of mistakes that other Git servers have made: arguments and environment (A), refs
// (B), trees and paths (C), packs and objects (D), protocol and HTTP (E).
type target struct {
	*node
	work, main string // a clone, and its main
	refs       string
	events     int
	files      string
}

func attack(t *testing.T) *target {
	n := start(t, newHome(t))
	n.repository("demo")
	n.repository("other")
	a := &target{node: n, work: work(t)}
	for i := range 5 {
		a.main = commit(t, a.work, fmt.Sprint("line ", i))
	}
	git(t, a.work, "push", "-q", n.remote("demo"), "main")
	a.look(t)
	return a
}

// look remembers how things are.
func (a *target) look(t *testing.T) {
	t.Helper()
	a.refs = git(t, a.work, "ls-remote", a.remote("demo"))
	a.events = len(a.node.events())
	a.files = a.manifest(t)
}

// manifest lists the files of the shared home, but for the evidence of the log and what is
// for plain git, refs and indexes of small packs, which follow by themselves.
func (a *target) manifest(t *testing.T) string {
	t.Helper()
	var list strings.Builder
	root := filepath.Join(a.home, "shared")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if path == filepath.Join(root, "log") {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		switch name := d.Name(); name[strings.LastIndexByte(name, '.')+1:] {
		case "HEAD", "config", "packed-refs", "idx":
		default:
			fmt.Fprintln(&list, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

// unchanged demands that nothing has happened, that the node lives, and that no push is left
// half received.
func (a *target) unchanged(t *testing.T) {
	t.Helper()
	if refs := git(t, a.work, "ls-remote", a.remote("demo")); refs != a.refs {
		t.Errorf("refs have changed:\n%s\nwere\n%s", refs, a.refs)
	}
	if n := len(a.node.events()); n != a.events {
		t.Errorf("%d events, there were %d", n, a.events)
	}
	if files := a.manifest(t); files != a.files {
		t.Errorf("the shared home has changed:\n%s\nwas\n%s", files, a.files)
	}
	eventually(t, func() bool {
		left, err := os.ReadDir(filepath.Join(a.home, "git", "quarantine"))
		return err == nil && len(left) == 0
	})
	if status, _ := a.request("", "", "GET", "/status", nil); status != 200 {
		t.Errorf("the node's status is %d", status)
	}
	select {
	case <-a.exited:
		t.Fatal("the node has ended")
	default:
	}
}

// leaks are what no answer may hold.
var leaks = regexp.MustCompile(`goroutine \d|SQLSTATE|/annal-home|\.go:\d|pgconn|panic|select .* from`)

func harmless(t *testing.T, name, answer string) {
	t.Helper()
	if found := leaks.FindString(answer); found != "" {
		t.Errorf("%s: the answer tells %q: %.300s", name, found, answer)
	}
}

// push sends one command by hand and returns what the server says to it.
func (a *target) push(old, id, ref string, pack []byte) string {
	a.t.Helper()
	_, answer := a.receivePack("demo", old, id, ref, pack)
	return answer
}

const zeros = "0000000000000000000000000000000000000000"

// packOf makes a pack of the given objects, however malformed they are.
func packOf(t *testing.T, dir string, ids ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", "pack-objects", "--stdout", "-q", "--window=0")
	command.Dir, command.Env, command.Stdin = dir, environment(), strings.NewReader(strings.Join(ids, "\n")+"\n")
	pack, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return pack
}

// object writes any object into a repository.
func object(t *testing.T, dir, kind string, content []byte) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", "hash-object", "-w", "--literally", "-t", kind, "--stdin")
	command.Dir, command.Env, command.Stdin = dir, environment(), bytes.NewReader(content)
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// entry is one line of a tree.
func entry(t *testing.T, mode, name, id string) []byte {
	t.Helper()
	var raw []byte
	if _, err := fmt.Sscanf(id, "%x", &raw); err != nil {
		t.Fatal(err)
	}
	return append([]byte(mode+" "+name+"\x00"), raw...)
}

func commitOf(t *testing.T, dir, tree string, parents ...string) string {
	t.Helper()
	text := "tree " + tree + "\n"
	for _, p := range parents {
		text += "parent " + p + "\n"
	}
	return object(t, dir, "commit", []byte(text+"author A <a@b> 1700000000 +0000\ncommitter A <a@b> 1700000000 +0000\n\nx\n"))
}

func TestNamesAreNeverOptions(t *testing.T) {
	t.Parallel()
	a := attack(t)
	for _, name := range []string{"--exec=touch x", "-h", "--output=/x", "-c", "--upload-pack=x", "a b", "a..b", "a.lock", ".a", "a//b", "a\\b", "x\ny", "a^", "a~1", "a:b", "a?b", "a*b", "a[b", "a@{1}", "@"} {
		ref := "refs/heads/" + name
		if name == "@" {
			ref = "@"
		}
		answer := a.push(zeros, a.main, ref, nil)
		if strings.Contains(answer, "ok refs/") || !strings.Contains(answer, "invalid ref name") && !strings.Contains(answer, "ERR") {
			t.Errorf("pushing to %q: %q", ref, answer)
		}
		harmless(t, name, answer)
		escaped := url.QueryEscape(name)
		for _, path := range []string{
			"/rest/api/1.0/projects/PRJ/repos/demo/commits?until=" + escaped,
			"/rest/api/1.0/projects/PRJ/repos/demo/commits/" + url.PathEscape(name),
			"/rest/api/1.0/projects/PRJ/repos/demo/browse?at=" + escaped,
			"/rest/api/1.0/projects/PRJ/repos/demo/files?at=" + escaped,
			"/rest/api/1.0/projects/PRJ/repos/demo/raw/file.txt?at=" + escaped,
		} {
			if name == "@" || name == "a^" || name == "a~1" {
				continue // may be understood one day
			}
			status, answer := a.request("admin", password, "GET", path, nil)
			if status != 400 && status != 404 {
				t.Errorf("GET %s: %d %.200s", path, status, answer)
			}
			harmless(t, path, answer)
		}
		if name == "@" {
			continue // a branch may have this name, a ref may not
		}
		status, answer := a.request("admin", password, "POST", "/rest/api/1.0/projects/PRJ/repos/demo/branches", map[string]any{"name": name, "startPoint": a.main})
		if status != 400 {
			t.Errorf("making a branch %q: %d %s", name, status, answer)
		}
		harmless(t, name, answer)
	}
	for _, name := range []string{"a\x00b", "a\nb", "GIT_EXTERNAL_DIFF=x\n", "..", "-", "a/b", strings.Repeat("a", 300), " "} {
		status, answer := a.request("admin", password, "POST", "/rest/api/1.0/admin/users?name="+url.QueryEscape(name)+"&password=long-enough-for-all&displayName=x&emailAddress=x@example.org", nil)
		if status != 400 {
			t.Errorf("making a user %q: %d %s", name, status, answer)
		}
		harmless(t, name, answer)
	}
	for _, name := range []string{"..", ".git", "a/../b", "-", "x.git.", "con\x00", strings.Repeat("a", 256), "\u202e", ".", " "} {
		status, answer := a.request("admin", password, "POST", "/rest/api/1.0/projects/PRJ/repos", map[string]any{"name": name})
		if status != 400 {
			t.Errorf("making a repository %q: %d %s", name, status, answer)
		}
		harmless(t, name, answer)
		if status, _ := a.request("admin", password, "PUT", "/rest/api/1.0/projects/PRJ/repos/demo", map[string]any{"name": name}); status != 400 {
			t.Errorf("renaming a repository to %q: %d", name, status)
		}
	}
	a.unchanged(t)
}

func TestPushOptionsAreOpaque(t *testing.T) {
	t.Parallel()
	a := attack(t)
	out, err := gitTry(t, a.work, "-c", "push.pushOption=repo.private=false", "push", "-o", "a;b=c", "-o", "--exec=x", a.remote("demo"), "HEAD:refs/heads/with-options")
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got := a.admin(200, "GET", "/rest/api/1.0/projects/PRJ/repos/demo", nil); !strings.Contains(got, `"public":false`) {
		t.Errorf("an option has changed the repository: %s", got)
	}
	a.look(t)
	line := fmt.Sprintf("%s %s refs/heads/much\x00report-status push-options agent=test", zeros, a.main)
	body := fmt.Sprintf("%04x%s0000", len(line)+4, line)
	for range 1000 {
		body += fmt.Sprintf("%04x%s", 1004, strings.Repeat("x", 1000))
	}
	body += "0000"
	status, answer := a.post(t, "git-receive-pack", []byte(body), nil)
	if strings.Contains(answer, "ok refs/") || !strings.Contains(answer, "option") {
		t.Errorf("1 MB of options: %d %q", status, answer)
	}
	a.unchanged(t)
}

// post sends a body to a service of the repository demo as the administrator.
func (a *target) post(t *testing.T, service string, body []byte, header map[string]string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/scm/prj/demo.git/"+service, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-"+service+"-request")
	request.SetBasicAuth("admin", password)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestHeadersGiveNoIdentity(t *testing.T) {
	t.Parallel()
	a := attack(t)
	for _, header := range []string{"X-WEBAUTH-USER", "X-Remote-User", "Remote-User", "X-AUSERNAME", "X-Forwarded-User"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/rest/api/1.0/projects/PRJ/repos/demo", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set(header, "admin")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: admin is let in: %d", header, response.StatusCode)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/rest/api/1.0/projects/PRJ/repos/demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "evil.example.org"
	request.Header.Set("X-Forwarded-Host", "evil.example.org")
	request.SetBasicAuth("admin", password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || strings.Contains(string(text), "evil") {
		t.Errorf("the client's host is in the answer: %v %s", err, text)
	}
	a.unchanged(t)
}

func TestRefsUnderAttack(t *testing.T) {
	t.Parallel()
	a := attack(t)
	dir := a.work
	blob := git(t, dir, "rev-parse", "HEAD:file.txt")
	tree := git(t, dir, "rev-parse", "HEAD^{tree}")
	// Something that only another repository has.
	foreign := work(t)
	secret := commit(t, foreign, "secret")
	git(t, foreign, "push", "-q", a.remote("other"), "main")
	a.look(t)
	parent := git(t, dir, "rev-parse", "HEAD~1")
	empty := gitEmptyPack(t, dir)
	for _, c := range []struct{ name, old, id, ref, says string }{
		{"a branch at a blob", zeros, blob, "refs/heads/x", "commit"},
		{"a branch at a tree", zeros, tree, "refs/heads/x", "commit"},
		{"a branch at a missing object", zeros, strings.Repeat("1", 40), "refs/heads/x", "ng refs/heads/x"},
		{"a branch at an object of another repository", zeros, secret, "refs/heads/x", "ng refs/heads/x"},
		{"a file where a folder is", zeros, a.main, "refs/heads/main/x", "ng refs/heads/main/x"},
		{"a stale old id", parent, parent, "refs/heads/main", "expected " + parent + " is at " + a.main},
		{"no old id for what is there", zeros, parent, "refs/heads/main", "ng refs/heads/main"},
		{"outside of refs", zeros, a.main, "HEAD", "invalid ref name"},
		{"a name of 4,096 bytes", zeros, a.main, "refs/heads/" + strings.Repeat("x", 4096), "ng refs/heads/"},
		{"a part of 300 bytes", zeros, a.main, "refs/heads/" + strings.Repeat("x", 300), "ng refs/heads/"},
	} {
		answer := a.push(c.old, c.id, c.ref, empty)
		if !strings.Contains(answer, c.says) || strings.Contains(answer, "ok refs/") {
			t.Errorf("%s: %q does not say %q", c.name, answer, c.says)
		}
		harmless(t, c.name, answer)
	}
	twice := fmt.Sprintf("%s %s refs/heads/x\x00report-status agent=test", zeros, a.main)
	again := fmt.Sprintf("%s %s refs/heads/x", zeros, parent)
	_, answer := a.post(t, "git-receive-pack", fmt.Appendf(nil, "%04x%s%04x%s0000%s", len(twice)+4, twice, len(again)+4, again, empty), nil)
	if strings.Contains(answer, "ok refs/") {
		t.Errorf("the same ref twice in one push: %q", answer)
	}
	a.unchanged(t)

	// A ref that is not there can be deleted: some clients count on that.
	if answer := a.push(a.main, zeros, "refs/heads/nowhere", nil); !strings.Contains(answer, "refs/heads/nowhere") || strings.Contains(answer, "ERR") {
		t.Errorf("deleting what is not there: %q", answer)
	}
	// Names are bytes: what differs only in case or in its Unicode form is different.
	names := []string{"A", "a", "\u00e9", "e\u0301", "\uff41"}
	for _, name := range names {
		if answer := a.push(zeros, a.main, "refs/heads/names/"+name, empty); !strings.Contains(answer, "ok refs/heads/names/") {
			t.Errorf("branch %q: %q", name, answer)
		}
	}
	list := git(t, dir, "-c", "core.quotePath=false", "ls-remote", a.remote("demo"), "refs/heads/names/*")
	for _, name := range names {
		if !strings.Contains(list+"\n", "refs/heads/names/"+name+"\n") {
			t.Errorf("branch %q is not listed:\n%s", name, list)
		}
	}
	if status, answer := a.request("admin", password, "PUT", "/rest/api/1.0/projects/PRJ/repos/demo/default-branch", map[string]any{"id": "refs/tags/x"}); status/100 == 2 {
		t.Errorf("HEAD outside of refs/heads: %d %s", status, answer)
	}
}

func TestTreesUnderAttack(t *testing.T) {
	t.Parallel()
	a := attack(t)
	dir := a.work
	blob := object(t, dir, "blob", []byte("x\n"))
	link := object(t, dir, "blob", []byte("../../outside"))
	evil := object(t, dir, "blob", []byte("[submodule \"../..\"]\n\tpath = x\n\turl = -u./payload\n"))
	sub := object(t, dir, "tree", entry(t, "100644", "config", blob))
	join := func(entries ...[]byte) []byte { return bytes.Join(entries, nil) }
	for _, c := range []struct {
		name    string
		tree    []byte
		objects []string
	}{
		{".git as a folder", entry(t, "40000", ".git", sub), []string{sub, blob}},
		{".GIT as a file", entry(t, "100644", ".GIT", blob), []string{blob}},
		{"git~1", entry(t, "100644", "git~1", blob), []string{blob}},
		{".g\u200cit", entry(t, "100644", ".g\u200cit", blob), []string{blob}},
		{"..", entry(t, "40000", "..", sub), []string{sub, blob}},
		{"a name with a slash", entry(t, "100644", "a/b", blob), []string{blob}},
		{"no name", entry(t, "100644", "", blob), []string{blob}},
		{".gitmodules as a link", entry(t, "120000", ".gitmodules", link), []string{link}},
		{".gitmodules with an option for a URL", entry(t, "100644", ".gitmodules", evil), []string{evil}},
		{"the same name twice", join(entry(t, "100644", "a", blob), entry(t, "100644", "a", blob)), []string{blob}},
		{"names out of order", join(entry(t, "100644", "b", blob), entry(t, "100644", "a", blob)), []string{blob}},
		{"mode 0", entry(t, "0", "a", blob), []string{blob}},
		{"an id of zeros", entry(t, "100644", "a", zeros), nil},
		{"a file that is not sent", entry(t, "100644", "a", strings.Repeat("1", 40)), nil},
		{"a folder that is a file", entry(t, "40000", "a", blob), []string{blob}},
		{"cut off", entry(t, "100644", "a", blob)[:15], []string{blob}},
	} {
		tree := object(t, dir, "tree", c.tree)
		id := commitOf(t, dir, tree, a.main)
		answer := a.push(zeros, id, "refs/heads/x", packOf(t, dir, append(c.objects, tree, id)...))
		if strings.Contains(answer, "ok refs/") || !strings.Contains(answer, "unpack ") && !strings.Contains(answer, "ng ") {
			t.Errorf("%s: %q", c.name, answer)
		}
		harmless(t, c.name, answer)
	}
	for name, text := range map[string]string{
		"no author":               "tree " + sub + "\ncommitter A <a@b> 1 +0000\n\nx\n",
		"NUL in the header":       "tree " + sub + "\nauthor A\x00 <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n",
		"a parent that is a tree": "tree " + sub + "\nparent " + sub + "\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n",
		"no tree":                 "author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n",
		"time that overflows":     "tree " + sub + "\nauthor A <a@b> 99999999999999999999 +0000\ncommitter A <a@b> 1 +0000\n\nx\n",
	} {
		id := object(t, dir, "commit", []byte(text))
		answer := a.push(zeros, id, "refs/heads/x", packOf(t, dir, sub, blob, id))
		if strings.Contains(answer, "ok refs/") {
			t.Errorf("commit with %s: %q", name, answer)
		}
		harmless(t, name, answer)
	}
	// Trees deeper than the limit.
	tree := object(t, dir, "tree", entry(t, "100644", "file", blob))
	deep := []string{blob, tree}
	for range 2100 {
		tree = object(t, dir, "tree", entry(t, "40000", "d", tree))
		deep = append(deep, tree)
	}
	id := commitOf(t, dir, tree)
	if answer := a.push(zeros, id, "refs/heads/x", packOf(t, dir, append(deep, id)...)); strings.Contains(answer, "ok refs/") || !strings.Contains(answer, "2048") {
		t.Errorf("deep trees: %q does not name the limit", answer)
	}
	a.unchanged(t)

	// What looks alike and is allowed: links to submodules that are nowhere, and folders
	// that are called like something of Git's.
	mark := filepath.Join(t.TempDir(), "annal-was-here")
	hooks := object(t, dir, "tree", entry(t, "100755", "post-receive", object(t, dir, "blob", []byte("#!/bin/sh\ntouch "+mark+"\n"))))
	tree = object(t, dir, "tree", join(entry(t, "40000", "hooks", hooks), entry(t, "160000", "module", strings.Repeat("2", 40))))
	id = commitOf(t, dir, tree, a.main)
	git(t, dir, "push", "-q", a.remote("demo"), id+":refs/heads/hooks")
	if _, err := os.Stat(mark); err == nil {
		t.Error("a pushed file was run")
	}
}

func TestPathsUnderAttack(t *testing.T) {
	t.Parallel()
	a := attack(t)
	for _, path := range []string{
		"config", "HEAD", "objects/info/packs", "objects/info/alternates", "objects/info/http-alternates", "hooks/post-receive",
		"objects/" + a.main[:2] + "/" + a.main[2:], "../demo.git/config", "objects/pack/", "packed-refs",
	} {
		for _, repository := range []string{"prj/demo.git", "prj/nowhere.git"} {
			if status, answer := a.raw(t, "GET /scm/"+repository+"/"+path+" HTTP/1.1\r\n", ""); status != 404 && status != 403 {
				t.Errorf("GET %s/%s: %d %.200s", repository, path, status, answer)
			}
		}
	}
	for _, path := range []string{
		"/scm/prj%2Fdemo.git/info/refs", "/scm/prj/../prj/demo.git/info/refs", "/scm/prj/%2e%2e/demo.git/info/refs", "/scm/prj/demo.git.git/info/refs",
		"/scm/prj/demo.git;x/info/refs", "/scm/prj/demo.git%00/info/refs", "/scm/prj//demo.git/info/refs", "/scm/prj/demo.git./info/refs", "/scm/./prj/demo.git/info/refs",
		"/rest/api/1.0/projects/PRJ/repos/demo/raw/..%2f..%2f..%2fetc%2fpasswd", "/rest/api/1.0/projects/PRJ/repos/demo/browse/../../../../etc", "/rest/api/1.0/projects/..%2f/repos/demo",
	} {
		status, answer := a.raw(t, "GET "+path+"?service=git-upload-pack HTTP/1.1\r\n", "")
		if status/100 == 2 || status >= 500 {
			t.Errorf("GET %s: %d %.200s", path, status, answer)
		}
		harmless(t, path, answer)
	}
	for _, method := range []string{"HEAD", "OPTIONS", "PUT", "TRACE", "CONNECT", "PROPFIND", "MKCOL", "DELETE", "LOCK"} {
		for _, path := range []string{"info/refs?service=git-upload-pack", "git-upload-pack", "git-receive-pack"} {
			if status, answer := a.raw(t, method+" /scm/prj/demo.git/"+path+" HTTP/1.1\r\n", ""); status != 405 && status != 400 && status != 404 {
				t.Errorf("%s %s: %d %.200s", method, path, status, answer)
			}
		}
	}
	a.unchanged(t)
}

// raw sends bytes as they are, with the administrator's credentials, and returns the answer.
func (a *target) raw(t *testing.T, line, body string) (int, string) {
	t.Helper()
	host := strings.TrimPrefix(a.url, "http://")
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	credentials := base64.StdEncoding.EncodeToString([]byte("admin:" + password))
	if _, err := io.WriteString(conn, line+"Host: "+host+"\r\nAuthorization: Basic "+credentials+"\r\nConnection: close\r\n"+body+"\r\n"); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(line, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body) // as far as it goes
	return response.StatusCode, string(text)
}

func TestBodiesUnderAttack(t *testing.T) {
	t.Parallel()
	a := attack(t)
	receive := "POST /scm/prj/demo.git/git-receive-pack HTTP/1.1\r\n"
	form := "Content-Type: application/x-git-receive-pack-request\r\n"
	line := fmt.Sprintf("%s %s refs/heads/x\x00report-status agent=test", zeros, a.main)
	command := fmt.Sprintf("%04x%s0000", len(line)+4, line)
	for name, body := range map[string]string{
		"a bad chunk":              form + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + command,
		"a chunk that is cut off":  form + "Transfer-Encoding: chunked\r\n\r\nff\r\n" + command[:20],
		"less than it says":        form + "Content-Length: 100000\r\n\r\n" + command[:50],
		"two lengths":              form + "Content-Length: 10\r\nContent-Length: 20\r\n\r\n" + command,
		"a negative length":        form + "Content-Length: -1\r\n\r\n" + command,
		"an unknown encoding":      form + "Transfer-Encoding: gzip\r\n\r\n" + command,
		"a folded header":          form + "Content-Length: 10\r\n X: y\r\n\r\n" + command,
		"a header without a colon": form + "Content-Length 10\r\n\r\n" + command,
		"a header of 2 MiB":        form + "Git-Protocol: " + strings.Repeat("x", 2<<20) + "\r\n\r\n",
	} {
		status, answer := a.rawCut(t, receive, body)
		if strings.Contains(answer, "ok refs/") || status/100 != 4 && status != http.StatusNotImplemented {
			t.Errorf("%s: %d %.200q", name, status, answer)
		}
		harmless(t, name, answer)
	}
	for _, version := range []string{"version=99", "version=2:version=0", strings.Repeat("x", 4096), "\x01", "version=2;x"} {
		status, answer := a.post(t, "git-upload-pack", []byte("0000"), map[string]string{"Git-Protocol": strings.ReplaceAll(version, "\x01", "?")})
		if status >= 500 {
			t.Errorf("Git-Protocol %.50q: %d %q", version, status, answer)
		}
	}
	for _, want := range []string{strings.Repeat("1", 40), strings.Repeat("g", 40), strings.Repeat("1", 64), ""} {
		line := "want " + want + "\n"
		body := fmt.Sprintf("0011command=fetch0001%04x%s0009done\n0000", len(line)+4, line)
		status, answer := a.post(t, "git-upload-pack", []byte(body), map[string]string{"Git-Protocol": "version=2"})
		if strings.Contains(answer, "packfile") || !strings.Contains(answer, "ERR") {
			t.Errorf("want %q: %d %q", want, status, answer)
		}
		harmless(t, want, answer)
	}
	// Ids of SHA-256 at a repository of SHA-1.
	sha256 := fmt.Sprintf("%s %s refs/heads/x\x00report-status object-format=sha256 agent=test", zeros, a.main)
	_, answer := a.post(t, "git-receive-pack", fmt.Appendf(nil, "%04x%s0000", len(sha256)+4, sha256), nil)
	if strings.Contains(answer, "ok refs/") {
		t.Errorf("object-format=sha256: %q", answer)
	}
	// A great many refs at once.
	var many bytes.Buffer
	for i := range 100_001 {
		text := fmt.Sprintf("%s %s refs/heads/many/%d", zeros, a.main, i)
		if i == 0 {
			text += "\x00report-status agent=test"
		}
		fmt.Fprintf(&many, "%04x%s", len(text)+4, text)
	}
	many.WriteString("0000")
	if _, answer := a.post(t, "git-receive-pack", many.Bytes(), nil); strings.Contains(answer, "ok refs/") || !strings.Contains(answer, "10000") {
		t.Errorf("100,001 refs: %.200q does not name the limit", answer)
	}
	a.unchanged(t)
}

// rawCut sends bytes and then no more: whoever waits for the rest learns that it never comes.
func (a *target) rawCut(t *testing.T, line, rest string) (int, string) {
	t.Helper()
	host := strings.TrimPrefix(a.url, "http://")
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	credentials := base64.StdEncoding.EncodeToString([]byte("admin:" + password))
	// The server may hang up before it has read all.
	_, _ = io.WriteString(conn, line+"Host: "+host+"\r\nAuthorization: Basic "+credentials+"\r\n"+rest)
	_ = conn.(*net.TCPConn).CloseWrite()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body) // as far as it goes
	return response.StatusCode, string(text)
}

func TestValuesUnderAttack(t *testing.T) {
	t.Parallel()
	a := attack(t)
	for _, value := range []string{"'", "$1", "$$", "\x00", "';drop table log.events;--", strings.Repeat("x", 1<<20), "\xff\xfe", "\\", "%", "_"} {
		for _, path := range []string{
			"/rest/api/1.0/projects?name=", "/rest/api/1.0/repos?name=", "/rest/api/1.0/users?filter=", "/rest/api/1.0/projects/PRJ/repos/demo/branches?filterText=",
			"/rest/annal/1.0/repositories?name=", "/rest/annal/1.0/events?after=", "/rest/api/1.0/projects/", "/rest/api/1.0/projects/PRJ/repos/demo/commits?path=",
		} {
			status, answer := a.request("admin", password, "GET", path+url.QueryEscape(value), nil)
			if status >= 500 {
				t.Errorf("GET %s%.20q: %d %.200s", path, value, status, answer)
			}
			harmless(t, path, answer)
		}
	}
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	for _, body := range []string{deep, `{"key":"K1","key":"K2","name":"x"}`, `{"key":1e400,"name":"x"}`, `{"key":"\ud800","name":"x"}`, `{"name":["x"]}`, "{", "\xff", strings.Repeat("[", 1<<20), `{"key":"A","name":"` + strings.Repeat("x", 11<<20) + `"}`} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+"/rest/api/1.0/projects", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.SetBasicAuth("admin", password)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			cancel()
			continue // it hung up on far too much
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		cancel()
		if response.StatusCode/100 != 4 {
			t.Errorf("%.40q: %d %.200s", body, response.StatusCode, text)
		}
		harmless(t, body, string(text))
	}
	a.unchanged(t)
}

// Somebody's many stalled requests do not keep others out.
func TestStalledClients(t *testing.T) {
	t.Parallel()
	a := attack(t)
	a.admin(204, "POST", "/rest/api/1.0/admin/users?name=bea&password=long-enough-for-all&displayName=Bea&emailAddress=bea@example.org", nil)
	a.admin(204, "PUT", "/rest/api/1.0/projects/PRJ/repos/demo/permissions/users?name=bea&permission=REPO_WRITE", nil)
	bea := strings.Replace(a.url, "http://", "http://bea:long-enough-for-all@", 1) + "/scm/prj/demo.git"
	host := strings.TrimPrefix(a.url, "http://")
	credentials := base64.StdEncoding.EncodeToString([]byte("admin:" + password))
	line := fmt.Sprintf("%s %s refs/heads/x\x00report-status agent=test", zeros, a.main)
	for i := range 300 {
		conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		switch i % 3 {
		case 0:
			_, _ = io.WriteString(conn, "GET /sta")
		case 1:
			_, _ = fmt.Fprintf(conn, "POST /scm/prj/demo.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nContent-Type: application/x-git-receive-pack-request\r\nContent-Length: 5000\r\n\r\n%04x%s0000PACK", credentials, len(line)+4, line)
		case 2:
			_, _ = fmt.Fprintf(conn, "POST /rest/api/1.0/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{", credentials)
		}
	}
	start := time.Now()
	git(t, a.work, "ls-remote", bea)
	git(t, a.work, "push", "-q", bea, "main:refs/heads/beside")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("a push beside stalled clients took %v", took)
	}
}
