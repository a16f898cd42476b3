package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// receivePack sends a push by hand: one command and a pack.
func (n *node) receivePack(slug, old, id, ref string, pack []byte) (int, string) {
	n.t.Helper()
	line := fmt.Sprintf("%s %s %s\x00report-status atomic agent=test", old, id, ref)
	body := fmt.Sprintf("%04x%s0000", len(line)+4, line) + string(pack)
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url+"/scm/prj/"+slug+".git/git-receive-pack", strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	request.SetBasicAuth("admin", password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestBadPacks(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	old := git(t, dir, "rev-parse", "HEAD")
	id := commit(t, dir, "second")
	command := exec.CommandContext(t.Context(), "git", "pack-objects", "--revs", "--stdout", "-q")
	command.Dir, command.Env, command.Stdin = dir, environment(), strings.NewReader(id+"\n^"+old+"\n")
	pack, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(pack)
	flipped[len(flipped)/2] ^= 0x40
	zero, none := strings.Repeat("0", 40), strings.Repeat("1", 40)
	empty := gitEmptyPack(t, dir)
	before := n.events()
	for _, c := range []struct {
		name         string
		old, id, ref string
		pack         []byte
		says         string
	}{
		{"truncated", old, id, "refs/heads/main", pack[:len(pack)-30], "unpack"},
		{"cut to its header", old, id, "refs/heads/main", pack[:12], "unpack"},
		{"one bit flipped", old, id, "refs/heads/main", flipped, "unpack"},
		{"followed by something", old, id, "refs/heads/main", append(bytes.Clone(pack), "more"...), "unpack"},
		{"no pack at all", old, id, "refs/heads/main", nil, "unpack"},
		{"object that is not sent", zero, none, "refs/heads/new", empty, "ng refs/heads/new"},
		{"stale old id", none, id, "refs/heads/main", pack, "ng refs/heads/main expected " + none + " is at " + old},
		{"exists already", zero, id, "refs/heads/main", pack, "ng refs/heads/main"},
		{"bad name", zero, id, "refs/heads/a..b", pack, "ng refs/heads/a..b invalid ref name"},
	} {
		status, answer := n.receivePack("demo", c.old, c.id, c.ref, c.pack)
		if status != 200 || !strings.Contains(answer, c.says) || strings.Contains(answer, "ok refs/") {
			t.Errorf("%s: %d %q does not say %q", c.name, status, answer, c.says)
		}
	}
	if after := n.events(); len(after) != len(before) {
		t.Errorf("bad packs left %d events", len(after)-len(before))
	}
	if junk := quarantines(t, n.home); len(junk) > 0 {
		t.Errorf("bad packs left %v", junk)
	}
	if status, answer := n.receivePack("demo", old, id, "refs/heads/main", pack); status != 200 || !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("the same pack unharmed: %d %q", status, answer)
	}
}

func gitEmptyPack(t *testing.T, dir string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", "pack-objects", "--stdout", "-q")
	command.Dir, command.Env, command.Stdin = dir, environment(), strings.NewReader("")
	pack, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return pack
}

func TestPackOverTheLimit(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t), "ANNAL_MAX_PACK_SIZE=1")
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	large := make([]byte, 3<<20)
	_, _ = rand.Read(large)
	if err := os.WriteFile(filepath.Join(dir, "large.bin"), large, 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "large")
	out, err := gitTry(t, dir, "push", n.remote("demo"), "main")
	if err == nil || !strings.Contains(out, "limit of 1048576 bytes") {
		t.Errorf("a push of 3 MiB at a limit of 1 MiB: %v\n%s", err, out)
	}
	if junk := quarantines(t, n.home); len(junk) > 0 {
		t.Errorf("it left %v", junk)
	}
	git(t, dir, "reset", "-q", "--hard", "HEAD~1")
	commit(t, dir, "small")
	git(t, dir, "push", "-q", n.remote("demo"), "main")
}
