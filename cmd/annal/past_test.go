package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The past of a repository is cloned as the repository itself is, from each position and
// time, whatever has become of its refs.
func TestPast(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	dir := work(t)
	git(t, dir, "remote", "add", "origin", n.remote("demo"))
	first := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "tag", "-a", "v1", "-m", "one")
	git(t, dir, "push", "-q", "origin", "main", "v1")
	second := commit(t, dir, "second")
	git(t, dir, "push", "-q", "origin", "main", "main:side")
	git(t, dir, "reset", "-q", "--hard", "HEAD~1")
	third := commit(t, dir, "third")
	git(t, dir, "push", "-q", "--force", "origin", "main", ":v1", ":side")

	pushes := n.pushes()
	if len(pushes) != 3 {
		t.Fatalf("%d pushes", len(pushes))
	}
	at := func(moment any) string {
		return strings.Replace(n.remote("demo"), ".git", fmt.Sprintf("@%v.git", moment), 1)
	}
	listed := func(position int64) string {
		t.Helper()
		if got := git(t, dir, "-c", "protocol.version=0", "ls-remote", at(position)); got != git(t, dir, "ls-remote", at(position)) {
			t.Errorf("version 0 lists\n%s", got)
		}
		out := git(t, dir, "ls-remote", "--symref", at(position))
		if option := git(t, dir, "ls-remote", "--symref", fmt.Sprintf("--server-option=at=%d", position), "origin"); option != out {
			t.Errorf("at %d the URL lists\n%s\nand the server option\n%s", position, out, option)
		}
		return out
	}
	tag := git(t, dir, "rev-parse", "v1")
	for i, want := range []string{
		"HEAD " + first + " main " + first + " v1 " + tag, "HEAD " + second + " main " + second + " side " + second + " v1 " + tag, "HEAD " + third + " main " + third,
	} {
		out := listed(pushes[i].Position)
		var names []string
		for line := range strings.Lines(out) {
			id, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if !strings.HasPrefix(id, "ref:") && !strings.HasSuffix(name, "^{}") {
				names = append(names, name[strings.LastIndex(name, "/")+1:]+" "+id)
			}
		}
		if got := strings.Join(names, " "); got != want || !strings.HasPrefix(out, "ref: refs/heads/main\tHEAD\n") {
			t.Errorf("at push %d:\n%s\nwant %s", i+1, out, want)
		}
	}

	clone := func(name string, args ...string) string {
		t.Helper()
		copied := filepath.Join(t.TempDir(), name)
		git(t, dir, append(append([]string{"clone", "-q"}, args...), copied)...)
		git(t, copied, "fsck", "--full", "--strict")
		return copied
	}
	for _, version := range []string{"0", "2"} {
		copied := clone("past", "-c", "protocol.version="+version, at(pushes[1].Position))
		if got := git(t, copied, "rev-parse", "HEAD", "origin/side", "v1"); got != second+"\n"+second+"\n"+tag {
			t.Errorf("the clone with version %s is at\n%s", version, got)
		}
		// What is not reachable from the refs of then is not to be had there.
		if out, err := gitTry(t, copied, "-c", "protocol.version="+version, "fetch", "origin", third); err == nil || !strings.Contains(out, "not our ref") && !strings.Contains(out, "unadvertised") {
			t.Errorf("a commit of later in the past: %v %s", err, out)
		}
		if out := git(t, copied, "fetch", "origin"); out != "" {
			t.Errorf("the past has moved: %s", out)
		}
	}
	shallow := clone("shallow", "--depth=1", at(pushes[1].Position))
	if got := git(t, shallow, "rev-list", "--count", "HEAD"); got != "1" {
		t.Errorf("%s commits in a shallow clone", got)
	}
	git(t, shallow, "fetch", "-q", "--unshallow")
	option := clone("option", fmt.Sprintf("--server-option=at=%d", pushes[1].Position), n.remote("demo"))
	if got := git(t, option, "rev-parse", "HEAD"); got != second {
		t.Errorf("a clone with the server option is at %s, want %s", got, second)
	}
	if out, err := gitTry(t, dir, "fetch", "--server-option=at=1", "origin", second); err == nil {
		t.Errorf("at a position before the repository: %s", out)
	}

	now := time.Now().UTC()
	for _, moment := range []string{now.Format("2006-01-02T15:04:05.999999999Z"), now.Add(time.Hour).Format("2006-01-02T15:04:05.999999999") + "+01:00"} {
		if got := git(t, dir, "ls-remote", at(moment), "refs/heads/main"); !strings.HasPrefix(got, third) {
			t.Errorf("at %s: %s", moment, got)
		}
	}
	last := int64(len(n.events()))
	for _, c := range []struct {
		moment any
		says   string
	}{
		{last + 1, fmt.Sprintf("The log ends at position %d", last)}, {1, "did not exist yet at position 1"}, {"yesterday", "neither a position"},
		{now.Add(48 * time.Hour).Format("2006-01-02T15:04:05Z"), "yet"}, {"2001-01-01", "did not exist yet"},
	} {
		if out, err := gitTry(t, dir, "ls-remote", at(c.moment)); err == nil || !strings.Contains(out, c.says) || !strings.Contains(out, "not found") {
			t.Errorf("at %v: %v, does not say %q: %s", c.moment, err, c.says, out)
		}
		if out, err := gitTry(t, dir, "ls-remote", "--server-option=at="+fmt.Sprint(c.moment), "origin"); err == nil || !strings.Contains(out, c.says) {
			t.Errorf("with the option at=%v: %v, does not say %q: %s", c.moment, err, c.says, out)
		}
	}
	if out, err := gitTry(t, dir, "push", at(pushes[0].Position), "main:new"); err == nil || !strings.Contains(out, "403") || !strings.Contains(out, "nobody can change") {
		t.Errorf("a push to the past: %v %s", err, out)
	}
	if status, body := n.request("", "", "GET", fmt.Sprintf("/scm/PRJ/demo@%d.git/info/refs?service=git-upload-pack", pushes[0].Position), nil); status != 401 {
		t.Errorf("a stranger gets %d %s", status, body)
	}
	if status, body := n.request("", "", "GET", "/scm/PRJ/demo@1.git/info/refs?service=git-receive-pack", nil); status != 401 {
		t.Errorf("a stranger who pushes gets %d %s", status, body)
	}
	for _, odd := range []string{"demo@", "@1", "demo@1@2", "demo@%2e%2e%2fx"} {
		if status, body := n.request("admin", password, "GET", "/scm/PRJ/"+odd+".git/info/refs?service=git-upload-pack", nil); status != 404 {
			t.Errorf("%s: %d %s", odd, status, body)
		}
	}

	// And brought back, by the command, on the side of the running node.
	position := fmt.Sprint(pushes[1].Position)
	if out := n.annal("repo", "restore", "PRJ/demo", "--at", position, "--dry-run"); !strings.Contains(out, "refs/heads/side  made at "+second) || !strings.Contains(out, "dry run") {
		t.Errorf("a dry run says\n%s", out)
	}
	if got := git(t, dir, "ls-remote", "origin", "main"); !strings.HasPrefix(got, third) {
		t.Errorf("after a dry run main is %s", got)
	}
	if out := n.annal("repo", "restore", "PRJ/demo", "--at", position, "--ref", "refs/heads/main"); !strings.Contains(out, "refs/heads/main  from "+third+" to "+second) {
		t.Errorf("a restore of one ref says\n%s", out)
	}
	n.annal("repo", "restore", "prj/demo", "--at", position)
	if got, want := git(t, dir, "ls-remote", "origin"), git(t, dir, "ls-remote", at(position)); got != want {
		t.Errorf("after the restore\n%s\nwant\n%s", got, want)
	}
	restored := n.pushes()
	if len(restored) != 5 || !restored[3].Body.Updates[0].Forced {
		t.Errorf("the pushes are %+v", restored)
	}
	if out := n.annal("repo", "restore", "PRJ/demo", "--at", position); !strings.Contains(out, "already") {
		t.Errorf("a restore of what is says\n%s", out)
	}
	clone("before", at(pushes[2].Position))
	n.annal("audit", "verify") // nobody pushed: an operator's restore is in order all the same
	if out, err := gitTry(t, dir, "push", "-o", "annal.restore=1", "origin", "main:refs/heads/forged"); err == nil || !strings.Contains(out, "the server's own") {
		t.Errorf("a push that says it is a restore: %v %s", err, out)
	}
}
