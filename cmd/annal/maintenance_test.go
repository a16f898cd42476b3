package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// hasty makes a node that maintains as often and removes as soon as it can.
var hasty = []string{
	"ANNAL_MAINTENANCE_EVERY=1s", "ANNAL_MAINTENANCE_PACKS=4", "ANNAL_MAINTENANCE_SWEEP_EVERY=1s",
	"ANNAL_KEEP_SUPERSEDED=1s", "ANNAL_KEEP_ORPHANS=2s", "ANNAL_KEEP_TRASH=1s",
}

// packFiles lists the packs of all repositories on the shared home.
func packFiles(t *testing.T, home string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(home, "shared", "repos", "*", "*", "objects", "pack", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Pushes, clones and maintenance of one repository at the same time: nothing fails and
// nothing is lost, and in the end there are few packs. ANNAL_MAINTAIN is for how long;
// 'go tool task test:maintain' says five minutes.
func TestMaintenanceUnderLoad(t *testing.T) {
	t.Parallel()
	duration := 8 * time.Second
	if text := os.Getenv("ANNAL_MAINTAIN"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	home := newHome(t)
	n := start(t, home, hasty...)
	n.repository("demo")
	until := time.Now().Add(duration)
	var all sync.WaitGroup
	const writers = 3
	heads := make([]string, writers)
	for i := range writers {
		dir := work(t)
		git(t, dir, "checkout", "-q", "-b", fmt.Sprint("branch-", i))
		all.Go(func() {
			for round := 0; time.Now().Before(until); round++ {
				id := commit(t, dir, fmt.Sprint("change ", round, " of ", i))
				if round%5 == 4 { // what was named is named no more, and stays
					git(t, dir, "commit", "-q", "--amend", "-m", fmt.Sprint("rewritten ", round))
					id = strings.TrimSpace(git(t, dir, "rev-parse", "HEAD"))
				}
				if out, err := gitTry(t, dir, "push", "-q", "-f", n.remote("demo"), "HEAD"); err != nil {
					t.Errorf("push: %s", out)
					return
				}
				heads[i] = id
			}
		})
	}
	all.Go(func() {
		for round := 0; time.Now().Before(until); round++ {
			copied := filepath.Join(t.TempDir(), strconv.Itoa(round))
			if out, err := gitTry(t, home, "clone", "-q", "--mirror", n.remote("demo"), copied); err != nil {
				t.Errorf("clone: %s", out)
				return
			}
			git(t, copied, "fsck", "--full", "--strict")
		}
	})
	all.Wait()
	eventually(t, func() bool { return len(packFiles(t, home)) <= 6 })
	n.annal("repo", "maintenance", "PRJ/demo", "--now")
	eventually(t, func() bool { return len(packFiles(t, home)) <= 2 })
	copied := filepath.Join(t.TempDir(), "last")
	git(t, home, "clone", "-q", "--mirror", n.remote("demo"), copied)
	git(t, copied, "fsck", "--full", "--strict")
	for i, head := range heads {
		if at := strings.TrimSpace(git(t, copied, "rev-parse", fmt.Sprint("refs/heads/branch-", i))); at != head {
			t.Errorf("branch-%d is at %s, pushed was %s", i, at, head)
		}
	}
	n.annal("projections", "verify", "refs")
	n.annal("audit", "verify")
	n.stop()
}

// An operator has packs combined, and sees it.
func TestMaintenanceOnRequest(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home, "ANNAL_MAINTENANCE_EVERY=1s")
	n.repository("demo")
	dir := work(t)
	for i := range 3 {
		commit(t, dir, fmt.Sprint(i))
		git(t, dir, "push", "-q", n.remote("demo"), "main")
	}
	out := n.annal("repo", "maintenance", "PRJ/demo", "--now", "--json")
	var state struct {
		Packs, Failures int
		Bitmap          bool
		Outcome         string
	}
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		t.Fatal(err)
	}
	if state.Packs != 1 || !state.Bitmap || state.Failures != 0 || state.Outcome != "3 packs were combined into 1." {
		t.Errorf("%s", out)
	}
	var answer struct {
		Packs, Unlisted int
		Full            time.Time
	}
	body := n.admin(200, "GET", "/rest/annal/1.0/projects/PRJ/repos/demo/maintenance", nil)
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Packs != 1 || answer.Unlisted != 3 || answer.Full.IsZero() {
		t.Errorf("%s, %v", body, err)
	}
	n.admin(202, "POST", "/rest/annal/1.0/projects/PRJ/repos/demo/maintenance", nil)
	if body := n.admin(200, "GET", "/metrics", nil); !strings.Contains(body, "annal_maintenance_packs_superseded_total 3") {
		t.Error("the metrics do not tell of it")
	}
	plainGitReads(t, n, "refs/heads/main", git(t, dir, "rev-parse", "HEAD"))
	n.stop()
}

// Packs that go at the same time go with one event, for each sends the pushes under way back
// to look for theirs. A repository that is deleted meanwhile keeps its files.
func TestManyPacksAreRemovedAtOnce(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home, append(slices.Clone(hasty), "ANNAL_MAINTENANCE_PACKS=100", "ANNAL_KEEP_SUPERSEDED=3s")...)
	n.repository("demo")
	dir := work(t)
	combine := func() {
		t.Helper()
		for i := range 12 {
			commit(t, dir, fmt.Sprint(i))
			git(t, dir, "push", "-q", n.remote("demo"), "main")
		}
		n.annal("repo", "maintenance", "PRJ/demo", "--now")
	}
	combine()
	eventually(t, func() bool { return len(packFiles(t, home)) == 1 })
	removals := 0
	for _, e := range n.events() {
		if e.Type == "repository.packs_removed.v1" {
			removals++
		}
	}
	if removals == 0 || removals > 2 { // the moment of one look may divide them
		t.Errorf("12 packs were removed with %d events", removals)
	}

	combine()
	id := between(n.admin(200, "GET", "/rest/api/1.0/projects/PRJ/repos/demo", nil), `"id":`, ",")
	n.admin(202, "DELETE", "/rest/api/1.0/projects/PRJ/repos/demo", nil)
	n.repository("other") // whose packs are due later
	for i := range 3 {
		commit(t, dir, fmt.Sprint("other ", i))
		git(t, dir, "push", "-q", n.remote("other"), "main")
	}
	n.annal("repo", "maintenance", "PRJ/other", "--now")
	eventually(t, func() bool { return len(packFiles(t, home)) == 14+1 })
	n.admin(201, "POST", "/rest/annal/1.0/deleted-repositories/"+id+"/restore", nil)
	git(t, dir, "clone", "-q", n.remote("demo"), filepath.Join(t.TempDir(), "copy"))
	if strings.Contains(n.log.String(), "level=ERROR") {
		t.Error("something was told as an error")
	}
	n.stop()
}

// plainGitReads looks with plain git into the folder of the only repository, as after the
// loss of everything else. The node that serves it writes the refs a while after a push.
func plainGitReads(t *testing.T, n *node, ref, want string) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(n.home, "shared", "repos", "*", "*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%v, %v", folders, err)
	}
	eventually(t, func() bool {
		out, err := gitTry(t, folders[0], "rev-parse", ref)
		return err == nil && strings.TrimSpace(out) == want
	})
	git(t, folders[0], "fsck", "--full", "--strict")
	if out, err := gitTry(t, folders[0], "gc", "--prune=now"); err == nil && !strings.Contains(out, "precious") {
		if _, err := gitTry(t, folders[0], "prune"); err == nil {
			t.Error("plain git may remove objects")
		}
	}
}

// What is damaged is found, told and shown by the status of the program.
func TestFsck(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home)
	n.repository("demo")
	n.repository("empty")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	if out := n.annal("fsck"); !strings.Contains(out, "PRJ/demo: 1 packs and 1 refs are as they should be") || !strings.Contains(out, "PRJ/empty: 0 packs") {
		t.Error(out)
	}
	packs := packFiles(t, home)
	if len(packs) != 1 {
		t.Fatal(packs)
	}
	content, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.Chmod(packs[0], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packs[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, "fsck", "PRJ/demo", "--json", "--home", home)
	command.Env = environment()
	out, err := command.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), `"name":"PRJ/demo"`) || !strings.Contains(string(out), `"finding":"pack `) {
		t.Errorf("%v\n%s", err, out)
	}
	n.stop()
}
