package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/store"
)

// faultPoints are the steps of a push at which the program can be made to die, in
// their order.
func faultPoints() []string {
	return append(slices.Clone(store.FaultPoints), receivepack.FaultPoints...)
}

// A node that is killed at any step of a push leaves it wholly done or not at all,
// and takes the next one.
func TestKillAtEveryStepOfAPush(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home)
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	n.stop()
	for _, point := range faultPoints() {
		before := git(t, dir, "rev-parse", "HEAD")
		after := commit(t, dir, "at "+point)
		n = start(t, home, "ANNAL_FAULT="+point)
		pushed := len(n.pushes())
		if out, err := gitTry(t, dir, "push", n.remote("demo"), "main"); err == nil {
			t.Errorf("%s: the push went through, so the point was not reached: %s", point, out)
			n.stop()
			continue
		}
		n.awaitExit()

		n = start(t, home)
		at, _, _ := strings.Cut(git(t, dir, "ls-remote", n.remote("demo"), "refs/heads/main"), "\t")
		events := n.pushes()
		switch at {
		case before:
			if len(events) != pushed {
				t.Errorf("%s: there is an event, but the ref has not moved", point)
			}
		case after:
			if len(events) != pushed+1 || events[pushed].Body.Updates[0].New != after {
				t.Errorf("%s: the ref has moved without its event", point)
			}
		default:
			t.Errorf("%s: main is at %s", point, at)
		}
		copied := filepath.Join(t.TempDir(), "copy")
		git(t, dir, "clone", "-q", n.remote("demo"), copied)
		git(t, copied, "fsck", "--full", "--strict")
		if junk := quarantines(t, home); len(junk) > 0 {
			t.Errorf("%s: left in quarantine: %v", point, junk)
		}
		git(t, dir, "push", "-q", n.remote("demo"), "main")
		n.annal("projections", "verify", "refs")
		n.annal("audit", "verify")
		n.stop()
	}
}

// The embedded database outlives a killed node and is found again.
func TestKilledNodeFindsItsDatabase(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home)
	n.repository("demo")
	n.kill()
	running, err := os.ReadFile(filepath.Join(home, "postgres", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal("the database ended with the node: ", err)
	}
	n = start(t, home)
	again, err := os.ReadFile(filepath.Join(home, "postgres", "data", "postmaster.pid"))
	if err != nil || string(again) != string(running) {
		t.Errorf("the node started another database (%v)", err)
	}
	n.admin(200, "GET", "/rest/api/1.0/projects/PRJ/repos/demo", nil)
	n.stop()
	if _, err := os.Stat(filepath.Join(home, "postgres", "data", "postmaster.pid")); err == nil {
		t.Error("the node stopped and left its database running")
	}
}

// A database that is killed is started again; until then pushes are told what is wrong,
// and can be repeated.
func TestKilledDatabaseComesBack(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home)
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	text, err := os.ReadFile(filepath.Join(home, "postgres", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status, body := n.request("admin", password, "GET", "/rest/api/1.0/projects/PRJ", nil); status != 503 && status != 200 {
		t.Errorf("without a database: %d %s", status, body)
	}
	id := commit(t, dir, "second")
	eventually(t, func() bool {
		out, err := gitTry(t, dir, "push", "-q", n.remote("demo"), "main")
		if err != nil && !strings.Contains(out, "database") && !strings.Contains(out, "503") {
			t.Errorf("a push without a database: %s", out)
		}
		return err == nil
	})
	if at := git(t, dir, "ls-remote", n.remote("demo"), "refs/heads/main"); !strings.HasPrefix(at, id) {
		t.Errorf("main is at %s", at)
	}
	eventually(t, func() bool {
		_, body := n.request("", "", "GET", "/status", nil)
		return strings.Contains(body, "RUNNING")
	})
	n.annal("projections", "verify", "refs")
}
