package main_test

import (
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const rateLimit = "/rest/api/latest/admin/rate-limit"

// untilRefused asks for a path as a user until it is answered 429, and returns how often it was not.
func (n *node) untilRefused(t *testing.T, user, secret, path string) (served int, refusal *http.Response) {
	t.Helper()
	for served = range 1000 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, secret)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		switch answer.StatusCode {
		case http.StatusOK:
		case http.StatusTooManyRequests:
			return served, answer
		default:
			t.Fatalf("%s: %d", path, answer.StatusCode)
		}
	}
	t.Fatal("1000 requests are not too many")
	return 0, nil
}

// Somebody who makes too many requests is told so by whatever he comes, and is served again when
// he was told; two nodes count together.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	one := start(t, home)
	database := "postgres://annal@/annal?" + url.Values{"host": {filepath.Join(home, "postgres", "run")}}.Encode()
	two := start(t, newHome(t), "ANNAL_DATABASE_URL="+database, "ANNAL_SHARED_HOME="+filepath.Join(home, "shared"))
	one.repository("repo")
	dir := work(t)
	git(t, dir, "push", "-q", one.remote("repo"), "main")
	ssh := newSSHClient(t, one)
	ssh.add()
	token := between(one.admin(200, http.MethodPut, "/rest/access-tokens/latest/users/admin", map[string]any{"name": "ci", "permissions": []string{"REPO_READ"}}), `"token":"`, `"`)
	one.admin(204, http.MethodPost, "/rest/api/1.0/admin/users?name=bob&displayName=Bob&emailAddress=bob@example.com&password="+url.QueryEscape("bob's password"), nil)
	one.admin(204, http.MethodPut, "/rest/api/1.0/admin/permissions/users?name=bob&permission=SYS_ADMIN", nil)
	const path = "/rest/api/1.0/projects/PRJ/repos/repo"
	for range 100 { // it is off
		if status, body := one.request("admin", token, http.MethodGet, path, nil); status != 200 {
			t.Fatal(status, body)
		}
	}
	one.admin(200, http.MethodPut, rateLimit+"/settings", map[string]any{"enabled": true, "defaultSettings": map[string]any{"capacity": 20, "fillRate": 1}})

	began := time.Now()
	served, refusal := one.untilRefused(t, "admin", token, path)
	if most := 20 + int(time.Since(began).Seconds()) + 1; served < 19 || served > most { // the one that turned it on may have counted
		t.Errorf("%d requests were served, want 20", served)
	}
	wait, err := strconv.Atoi(refusal.Header.Get("Retry-After"))
	if err != nil || wait != 1 || refusal.Header.Get("X-RateLimit-Limit") != "20" {
		t.Errorf("%v", refusal.Header)
	}
	// Until a bucket of one is full again takes as long as the answer says.
	<-time.After(time.Duration(wait) * time.Second)
	if status, body := one.request("admin", token, http.MethodGet, path, nil); status != 200 {
		t.Errorf("after the wait: %d %s", status, body)
	}

	// A debt that takes long to make up for, so that what follows does not depend on how fast
	// this machine is. The node learns of it when it settles what it gives next.
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `update ratelimit.balances set tokens = -1000`); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, answer := one.untilRefused(t, "admin", token, path)
		return len(answer.Header.Get("Retry-After")) > 2
	})
	const sentence = "You have made too many requests"
	if out, err := gitTry(t, dir, "ls-remote", one.remote("repo")); err == nil || !strings.Contains(out, sentence) || !strings.Contains(out, "429") {
		t.Errorf("git over HTTP: %v %s", err, out)
	}
	if out, err := gitTry(t, dir, "push", one.remote("repo"), "main:more"); err == nil || !strings.Contains(out, sentence) {
		t.Errorf("a push over HTTP: %v %s", err, out)
	}
	ssh.refused(sentence, dir, "ls-remote", ssh.url+"/PRJ/repo.git")
	for _, command := range []string{"git-upload-pack /PRJ/repo.git", "git-receive-pack /PRJ/repo.git", "git-lfs-authenticate PRJ/repo.git download"} {
		if out, code := ssh.ssh(command); code != 75 || !strings.Contains(out, sentence) || !regexp.MustCompile(`Try again in \d+ seconds`).MatchString(out) {
			t.Errorf("%s: %d %s", command, code, out)
		}
	}
	status, body := one.request("admin", token, http.MethodPost, "/scm/PRJ/repo.git/info/lfs/objects/batch", map[string]any{"operation": "download", "objects": []any{}})
	if status != 429 || !strings.Contains(body, sentence) {
		t.Errorf("a batch of Git LFS: %d %s", status, body)
	}
	// The other node has given what it believed him to have, and learns of the rest.
	if served, _ := two.untilRefused(t, "admin", token, path); served > 25 {
		t.Errorf("the other node served %d requests", served)
	}
	eventually(t, func() bool {
		_, refusal := two.untilRefused(t, "admin", token, path)
		return len(refusal.Header.Get("Retry-After")) > 2
	})

	// Strangers have buckets of their own, by address; asking for a log-in takes nothing.
	for range 30 {
		if status, _ := one.request("", "", http.MethodGet, "/scm/PRJ/repo.git/info/refs?service=git-upload-pack", nil); status != 401 {
			t.Fatalf("a stranger is answered %d", status)
		}
	}
	if served, _ := one.untilRefused(t, "", "", "/rest/api/1.0/projects"); served < 20 {
		t.Errorf("a stranger was served %d times", served)
	}

	// Exempt on both nodes, with the bucket as empty as it is.
	if status, body := one.request("bob", "bob's password", http.MethodPut, rateLimit+"/settings/users/admin", map[string]any{"whitelisted": true}); status != 200 {
		t.Fatal(status, body)
	}
	for range 60 {
		one.admin(200, http.MethodGet, path, nil)
	}
	eventually(t, func() bool {
		status, _ := two.request("admin", token, http.MethodGet, path, nil)
		return status == 200
	})
	if out := git(t, dir, "ls-remote", two.remote("repo")); !strings.Contains(out, "refs/heads/main") {
		t.Error(out)
	}
	ssh.must(dir, "ls-remote", ssh.url+"/PRJ/repo.git")
	eventually(t, func() bool {
		return strings.Contains(one.admin(200, http.MethodGet, rateLimit+"/history", nil), `"name":"admin"`)
	})
	one.annal("projections", "verify", "ratelimit")
}
