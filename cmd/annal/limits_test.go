package main_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Limits are settings, and who runs into one is told which.
func TestLimitsAreNamed(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t), "ANNAL_MAX_PUSH_REFS=3", "ANNAL_MAX_OBJECT_SIZE=1", "ANNAL_MAX_PUSH_OBJECTS=50", "ANNAL_MAX_TREE_DEPTH=4", "ANNAL_MAX_PUSH_OPTIONS=2")
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	refused := func(says string, args ...string) {
		t.Helper()
		out, err := gitTry(t, dir, append([]string{"push", n.remote("demo")}, args...)...)
		if err == nil || !strings.Contains(out, says) {
			t.Errorf("push %q: %v %q does not say %q", args, err, out, says)
		}
	}
	refused("3", "main:a", "main:b", "main:c", "main:d")
	refused("2", "-o", "a", "-o", "b", "-o", "c", "main:a")
	large := make([]byte, 2<<20)
	_, _ = rand.Read(large)
	if err := os.WriteFile(filepath.Join(dir, "large"), large, 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, dir, "large")
	refused("1048576 bytes", "main:large")
	git(t, dir, "reset", "-q", "--hard", "HEAD~1")
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c/d/e/f"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a/b/c/d/e/f/file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	commit(t, dir, "deep")
	refused("4", "main:deep")
	git(t, dir, "reset", "-q", "--hard", "HEAD~1")
	for i := range 60 {
		git(t, dir, "commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
	}
	refused("50 objects", "main:many")
}

// What there is no room for waits; what there is no room for in the queue is asked to come
// back; and nobody loses anything.
func TestRequestsQueue(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t), "ANNAL_MAX_REQUESTS=1", "ANNAL_MAX_USER_REQUESTS=1", "ANNAL_MAX_WAITING=1", "ANNAL_PACK_CACHE_SIZE=0")
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")

	// A push that stalls takes the only place.
	main := git(t, dir, "rev-parse", "main")
	line := fmt.Sprintf("%s %s refs/heads/x\x00report-status agent=test", zeros, main)
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", strings.TrimPrefix(n.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	credentials := base64.StdEncoding.EncodeToString([]byte("admin:" + password))
	if _, err := fmt.Fprintf(conn, "POST /scm/prj/demo.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nContent-Type: application/x-git-receive-pack-request\r\nContent-Length: 5000\r\n\r\n%04x%s0000PACK", credentials, len(line)+4, line); err != nil {
		t.Fatal(err)
	}
	metric := func(name string) bool {
		return strings.Contains(n.admin(200, "GET", "/metrics", nil), "\n"+name+" 1\n")
	}
	eventually(t, func() bool { return metric("annal_git_requests_running") })

	var queued sync.WaitGroup
	first := filepath.Join(t.TempDir(), "first")
	queued.Go(func() {
		if out, err := gitTry(t, dir, "clone", "-q", n.remote("demo"), first); err != nil {
			t.Errorf("the clone that waits: %v %s", err, out)
		}
	})
	eventually(t, func() bool { return metric("annal_git_requests_waiting") })
	a := &target{node: n}
	status, answer := a.post(t, "git-upload-pack", []byte(fmt.Sprintf("0011command=fetch0001%04xwant %s\n0009done\n0000", 4+5+40+1, main)), map[string]string{"Git-Protocol": "version=2"})
	if status != 429 || !strings.Contains(answer, "try again in 10 seconds") {
		t.Errorf("beyond the queue: %d %q", status, answer)
	}
	out, err := gitTry(t, dir, "clone", "-q", n.remote("demo"), filepath.Join(t.TempDir(), "second"))
	if err == nil || !strings.Contains(out, "429") {
		t.Errorf("a clone beyond the queue: %v %s", err, out)
	}
	git(t, dir, "ls-remote", n.remote("demo")) // costs too little to queue
	_, _ = io.WriteString(conn, "x")
	_ = conn.Close()
	queued.Wait()
	if got := git(t, first, "rev-parse", "HEAD"); got != main {
		t.Errorf("the clone is at %s, want %s", got, main)
	}
}
