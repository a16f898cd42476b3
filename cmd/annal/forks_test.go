package main_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// emptyPack is a pack without objects.
func emptyPack() []byte {
	pack := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

// pushRaw sends one command and a pack as no git would, and returns the report.
func (n *node) pushRaw(slug, id, ref string, pack []byte) string {
	n.t.Helper()
	var body bytes.Buffer
	command := fmt.Sprintf("%s %s %s\x00report-status", strings.Repeat("0", 40), id, ref)
	fmt.Fprintf(&body, "%04x%s0000", len(command)+4, command)
	body.Write(pack)
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, n.url+"/scm/prj/"+slug+".git/git-receive-pack", &body)
	if err != nil {
		n.t.Fatal(err)
	}
	request.SetBasicAuth("admin", password)
	request.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// fetchRaw sends the lines of a fetch that does not end yet, and returns the answer.
func (n *node) fetchRaw(slug string, lines ...string) string {
	n.t.Helper()
	body := "0011command=fetch" + "0001"
	for _, line := range lines {
		body += fmt.Sprintf("%04x%s", len(line)+4, line)
	}
	request, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.url+"/scm/prj/"+slug+".git/git-upload-pack", strings.NewReader(body+"0000"))
	if err != nil {
		n.t.Fatal(err)
	}
	request.SetBasicAuth("admin", password)
	request.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	request.Header.Set("Git-Protocol", "version=2")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// A fork begins with what its origin shows and shares its packs, and nothing that either
// has alone is ever to be had through the other.
func TestForks(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("origin")
	dir := work(t)
	git(t, dir, "remote", "add", "origin", n.remote("origin"))
	git(t, dir, "tag", "-a", "v1", "-m", "one")
	git(t, dir, "push", "-q", "origin", "main", "v1")
	git(t, dir, "checkout", "-q", "-b", "secret")
	hidden := commit(t, dir, strings.Repeat("a secret of the origin\n", 20))
	hiddenBlob := git(t, dir, "rev-parse", "HEAD:file.txt")
	git(t, dir, "push", "-q", "origin", "secret")
	git(t, dir, "push", "-q", "origin", ":secret")
	git(t, dir, "checkout", "-q", "main")

	const rest = "/rest/api/1.0/projects/PRJ/repos/"
	made := n.admin(201, "POST", rest+"origin", map[string]any{"name": "fork", "project": map[string]any{"key": "PRJ"}})
	if !strings.Contains(made, `"slug":"fork"`) || !strings.Contains(made, `"origin":{"slug":"origin"`) {
		t.Errorf("the fork is %s", made)
	}
	n.admin(409, "POST", rest+"origin", map[string]any{"name": "fork", "project": map[string]any{"key": "PRJ"}})
	for list, want := range map[string]string{"origin/forks": "fork", "origin/related": "fork", "fork/related": "origin", "fork/forks": ""} {
		got := n.admin(200, "GET", rest+list, nil)
		if want == "" && !strings.Contains(got, `"size":0`) || !strings.Contains(got, want) {
			t.Errorf("%s: %s", list, got)
		}
	}
	if fork, origin := git(t, dir, "ls-remote", n.remote("fork")), git(t, dir, "ls-remote", n.remote("origin")); fork != origin {
		t.Errorf("the fork has\n%s\nthe origin\n%s", fork, origin)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	git(t, dir, "clone", "-q", n.remote("fork"), copied)
	git(t, copied, "fsck", "--full", "--strict")

	// What the fork gets later is its own.
	private := commit(t, copied, "a secret of the fork")
	privateBlob := git(t, copied, "rev-parse", "HEAD:file.txt")
	git(t, copied, "push", "-q", "origin", "main")
	packs := func(slug string) int {
		t.Helper()
		made, err := filepath.Glob(filepath.Join(n.home, "shared", "repos", "*", slug, "objects", "pack", "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		return len(made)
	}
	if total := packs("*"); total != 3 { // two of the origin's, one of the fork's
		t.Errorf("%d packs on the shared home, want 3", total)
	}

	for _, c := range []struct{ slug, id, blob string }{{"fork", hidden, hiddenBlob}, {"origin", private, privateBlob}} {
		for _, id := range []string{c.id, c.blob} {
			for _, version := range []string{"0", "2"} {
				empty := t.TempDir()
				git(t, empty, "init", "-q")
				if out, err := gitTry(t, empty, "-c", "protocol.version="+version, "fetch", n.remote(c.slug), id); err == nil {
					t.Errorf("%s of the other is fetched from %s: %s", id, c.slug, out)
				}
			}
		}
		// Nor is one who claims to have it told that it is there, or sent what is made of it.
		for _, line := range []string{"have " + c.id, "shallow " + c.id, "have " + c.blob} {
			if answer := n.fetchRaw(c.slug, "want "+git(t, dir, "rev-parse", "main"), line); strings.Contains(answer, line[len(line)-40:]) {
				t.Errorf("%s, asked with %q, answers %q", c.slug, line, answer)
			}
		}
		for _, path := range []string{
			"/commits/" + c.id, "/commits/" + c.id[:12], "/commits?until=" + c.id, "/archive?at=" + c.id, "/browse/file.txt?blame&at=" + c.id, "/raw/file.txt?at=" + c.id,
			"/commits/" + c.id + "/diff", "/commits/" + c.id + "/changes", "/compare/commits?from=" + c.id, "/last-modified?at=" + c.id, "/files?at=" + c.id, "/diff?until=" + c.id,
			"/commits/main/merge-base?otherCommitId=" + c.id,
		} {
			n.admin(404, "GET", rest+c.slug+path, nil)
		}
		n.admin(404, "POST", rest+c.slug+"/branches", map[string]any{"name": "stolen", "startPoint": c.id})
		if report := n.pushRaw(c.slug, c.id, "refs/heads/stolen", emptyPack()); !strings.Contains(report, "ng refs/heads/stolen missing necessary objects") {
			t.Errorf("a push of a ref to what %s does not have: %q", c.slug, report)
		}
		// A commit that builds on it, which the pack does not bring.
		thief := dir
		if c.slug == "origin" {
			thief = copied
		}
		stolen := git(t, thief, "commit-tree", "-p", c.id, "-m", "stolen", "main^{tree}")
		pack := packOf(t, thief, stolen)
		if report := n.pushRaw(c.slug, stolen, "refs/heads/stolen", pack); !strings.Contains(report, "ng refs/heads/stolen") {
			t.Errorf("a push of a commit on top of what %s does not have: %q", c.slug, report)
		}
	}
	if out := git(t, dir, "ls-remote", n.remote("fork"), "refs/heads/stolen"); out != "" {
		t.Error(out)
	}

	// Whoever has the objects may push them, and what the fork's own refs reach need not be sent.
	git(t, dir, "push", "-q", n.remote("fork"), "secret:refs/heads/mine")
	git(t, copied, "push", "-q", "origin", "main:refs/heads/again", "v1^{commit}:refs/heads/first")
	git(t, dir, "fetch", "-q", n.remote("fork"), "refs/heads/again")
	// A fork of the fork, in the past of the fork, after both have moved on.
	n.admin(201, "POST", rest+"fork", map[string]any{"name": "grandchild", "project": map[string]any{"key": "PRJ"}})
	if fork, child := git(t, dir, "ls-remote", n.remote("fork")), git(t, dir, "ls-remote", n.remote("grandchild")); fork != child {
		t.Errorf("the fork of the fork has\n%s\nthe fork\n%s", child, fork)
	}
	git(t, dir, "clone", "-q", "--mirror", n.remote("grandchild"), filepath.Join(t.TempDir(), "grandchild"))
	// Plain git reads the folders of all three, if nothing else is left.
	for _, slug := range []string{"origin", "fork", "grandchild"} {
		remote := git(t, dir, "ls-remote", n.remote(slug), "refs/*")
		eventually(t, func() bool {
			folders, err := filepath.Glob(filepath.Join(n.home, "shared", "repos", "*", "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, folder := range folders {
				if out, err := gitTry(t, dir, "ls-remote", folder, "refs/*"); err == nil && strings.TrimSpace(out) == remote {
					_, err := gitTry(t, dir, "--git-dir", folder, "rev-list", "--objects", "--all")
					return err == nil
				}
			}
			return false
		})
	}
	n.annal("fsck")
	for _, projection := range []string{"refs", "catalog", "activity", "refhistory"} {
		n.annal("projections", "verify", projection)
	}
	n.annal("projections", "rebuild", "refs")
	if said := n.annal("audit", "verify"); !strings.Contains(said, "nothing is wrong") {
		t.Errorf("verify of the database: %s", said)
	}
	git(t, dir, "clone", "-q", "--mirror", n.remote("fork"), filepath.Join(t.TempDir(), "fork"))
}
