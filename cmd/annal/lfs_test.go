package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annal-git/annal/api/lfs"
	objects "github.com/annal-git/annal/gitfs/lfs"
)

// gitLFSVersion is the client that 'go tool task test:clients' builds.
const gitLFSVersion = "v3.7.1"

// gitLFS returns the folder of the real client: the machine's own, or if ANNAL_CLIENTS names a
// folder for clients one that is built there.
func gitLFS(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("ANNAL_CLIENTS")
	if cache == "" {
		if path, err := exec.LookPath("git-lfs"); err == nil {
			return filepath.Dir(path)
		}
		t.Skip("GIT LFS IS NOT TESTED WITH ITS REAL CLIENT: there is no git-lfs on this machine; run 'go tool task test:clients'")
	}
	bin := filepath.Join(cache, "git-lfs-"+gitLFSVersion)
	if _, err := os.Stat(filepath.Join(bin, "git-lfs")); err == nil {
		return bin
	}
	install := exec.CommandContext(t.Context(), "go", "install", "github.com/git-lfs/git-lfs/v3@"+gitLFSVersion)
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("git-lfs cannot be built: %v\n%s", err, out)
	}
	return bin
}

// lfsClient is somebody who works with large files.
type lfsClient struct {
	t    *testing.T
	path string   // PATH with the client in it
	env  []string // more of the environment
}

func (c lfsClient) try(dir string, args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "init.defaultBranch=main"}, args...)...)
	command.Dir = dir
	command.Env = append(environment("PATH="+c.path, "HOME="+filepath.Join(filepath.Dir(dir), "nobody")), c.env...)
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c lfsClient) git(dir string, args ...string) string {
	c.t.Helper()
	out, err := c.try(dir, args...)
	if err != nil {
		c.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return out
}

func (c lfsClient) refused(want, dir string, args ...string) {
	c.t.Helper()
	if out, err := c.try(dir, args...); err == nil || !strings.Contains(out, want) {
		c.t.Errorf("git %q: %v\n%s\nwant %q", args, err, out, want)
	}
}

// large writes a file that Git LFS is to keep, commits it and returns its content.
func (c lfsClient) large(dir, name string, size int) []byte {
	c.t.Helper()
	content := make([]byte, size)
	_, _ = rand.Read(content)
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.git(dir, "add", "-A")
	c.git(dir, "commit", "-q", "-m", name)
	return content
}

func (c lfsClient) clone(url, dir string) {
	c.t.Helper()
	c.git(filepath.Dir(dir), "clone", "-q", "-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.process=git-lfs filter-process",
		"-c", "filter.lfs.clean=git-lfs clean -- %f", "-c", "filter.lfs.required=true", url, dir)
}

func (c lfsClient) holds(dir, name string, want []byte) {
	c.t.Helper()
	if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
		c.t.Errorf("%s has %d bytes, want %d (%v)", name, len(got), len(want), err)
	}
}

// The whole cycle of the real client: push, clone, pull, lock, unlock, and the past.
func useLFS(t *testing.T, n *node, c lfsClient, url string) {
	root := t.TempDir()
	dir := filepath.Join(root, "work")
	c.git(root, "init", "-q", dir)
	c.git(dir, "lfs", "install", "--local")
	c.git(dir, "lfs", "track", "*.bin", "--lockable")
	first := c.large(dir, "a.bin", 3<<20)
	c.git(dir, "remote", "add", "origin", url)
	c.git(dir, "push", "-q", "origin", "main")
	clone := filepath.Join(root, "clone")
	c.clone(url, clone)
	c.holds(clone, "a.bin", first)

	for _, name := range []string{"b.bin", "c.bin", "empty.bin"} {
		first = c.large(dir, name, len(name)*1000)
	}
	c.git(dir, "push", "-q", "origin", "main")
	c.git(clone, "pull", "-q")
	c.holds(clone, "empty.bin", first)
	c.git(clone, "lfs", "fsck")

	c.git(dir, "lfs", "lock", "a.bin")
	if locks := c.git(clone, "lfs", "locks"); !strings.Contains(locks, "a.bin") || !strings.Contains(locks, "Administrator") {
		t.Errorf("the locks are %q", locks)
	}
	c.refused("locked", clone, "lfs", "lock", "a.bin")
	c.large(dir, "d.bin", 10) // one's own lock does not keep one from pushing
	c.git(dir, "push", "-q", "origin", "main")
	c.git(dir, "lfs", "unlock", "a.bin")
	if locks := c.git(clone, "lfs", "locks"); locks != "" {
		t.Errorf("the locks are %q", locks)
	}
}

func TestLFSOverHTTP(t *testing.T) {
	t.Parallel()
	client := lfsClient{t: t, path: gitLFS(t) + ":" + os.Getenv("PATH")}
	n := start(t, newHome(t))
	n.repository("repo")
	useLFS(t, n, client, n.remote("repo"))

	// The past has its large files, for anybody if the repository is public, and nobody changes it.
	events := n.events()
	n.admin(201, "PUT", "/rest/api/1.0/projects/PRJ/repos/repo", map[string]any{"public": true})
	past := fmt.Sprintf("%s/scm/prj/repo@%d.git", n.url, events[len(events)-1].Position)
	then := filepath.Join(t.TempDir(), "then")
	client.clone(past, then)
	if info, err := os.Stat(filepath.Join(then, "a.bin")); err != nil || info.Size() != 3<<20 {
		t.Errorf("a.bin of the past is %+v, %v", info, err)
	}
	if status, text := n.request("admin", password, "POST", strings.TrimPrefix(past, n.url)+"/info/lfs/objects/batch", map[string]any{"operation": "upload"}); status != 403 || !strings.Contains(text, "nobody can change") {
		t.Errorf("an upload to the past: %d %s", status, text)
	}
	n.annal("projections", "verify", "lfs")
	n.annal("projections", "rebuild", "lfs")
	n.annal("audit", "verify")
	_, metrics := n.request("", "", "GET", "/metrics", nil)
	if !strings.Contains(metrics, `annal_lfs_transfers_total{direction="upload",outcome="done"} 5`) {
		t.Error("the uploads are not counted")
	}
}

func TestLFSOverSSH(t *testing.T) {
	t.Parallel()
	client := lfsClient{t: t, path: gitLFS(t) + ":" + os.Getenv("PATH")}
	n := start(t, newHome(t))
	n.repository("repo")
	ssh := newSSHClient(t, n)
	ssh.add()
	client.env = []string{"GIT_SSH_COMMAND=" + ssh.command()}
	useLFS(t, n, client, ssh.url+"/prj/repo.git")

	// A key that only reads is given what is for reading, for as long as it is there.
	reading := newSSHClient(t, n)
	const keys = "/rest/keys/1.0/projects/PRJ/repos/repo/ssh"
	id := keyNumber(t, n.admin(201, "POST", keys, map[string]any{"key": map[string]any{"text": reading.text}, "permission": "REPO_READ"}))
	if out, code := reading.ssh("git-lfs-authenticate", "prj/repo.git", "upload"); code != 1 || !strings.Contains(out, "You may read this repository and not write to it") {
		t.Errorf("%d %s", code, out)
	}
	for _, wrong := range []string{"git-lfs-authenticate prj/repo.git download; id", "git-lfs-authenticate prj/repo.git", "git-lfs-authenticate prj/repo.git delete", "git-lfs-authenticate ../repo.git download", "git-lfs-authenticate -x download", "git-lfs-authenticate 'prj/repo.git' $(id)"} {
		if out, code := reading.ssh(wrong); code != 1 || strings.Contains(out, "uid=") || strings.Contains(out, "href") {
			t.Errorf("%s: %d %s", wrong, code, out)
		}
	}
	out, code := reading.ssh("git-lfs-authenticate", "/prj/repo.git", "download")
	var given lfsLink
	if err := json.Unmarshal([]byte(out), &given); err != nil || code != 0 || !strings.HasSuffix(given.Href, "/scm/prj/repo.git/info/lfs") {
		t.Fatalf("%d %s", code, out)
	}
	locks := lfsLink{Href: given.Href + "/locks", Header: given.Header}
	if status, text, err := n.follow(locks, "GET", nil); err != nil || status != 200 {
		t.Errorf("%d %s %v", status, text, err)
	}
	n.admin(204, "DELETE", fmt.Sprint(keys, "/", id), nil)
	if status, text, err := n.follow(locks, "GET", nil); err != nil || status != 403 {
		t.Errorf("after the key was removed: %d %s %v", status, text, err)
	}
}

// lfsLink is where a batch sends a client.
type lfsLink struct {
	Href   string
	Header map[string]string
}

// lfsBatch asks a node about one object of a repository, and returns the links it gives.
func (n *node) lfsBatch(operation, oid string, size int) map[string]lfsLink {
	n.t.Helper()
	var answer struct {
		Objects []struct{ Actions map[string]lfsLink }
	}
	text := n.admin(200, "POST", "/scm/prj/repo.git/info/lfs/objects/batch", map[string]any{
		"operation": operation, "objects": []any{map[string]any{"oid": oid, "size": size}},
	})
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Objects) != 1 {
		n.t.Fatal(err, text)
	}
	return answer.Objects[0].Actions
}

// follow uses a link at this node, whichever gave it.
func (n *node) follow(link lfsLink, method string, body []byte) (status int, text []byte, err error) {
	n.t.Helper()
	to, err := url.Parse(link.Href)
	if err != nil {
		n.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(n.t.Context(), method, n.url+to.Path, bytes.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Authorization", link.Header["Authorization"])
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err = io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

// Two nodes, of which one is killed at each step of an upload: the object is whole or absent,
// at the other at once, which takes it from the client who comes again.
func TestKillAtEveryStepOfAnUpload(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	one := start(t, home)
	one.repository("repo")
	shared := []string{"ANNAL_DATABASE_URL=postgres://annal@/annal?" + url.Values{"host": {filepath.Join(home, "postgres", "run")}}.Encode(), "ANNAL_SHARED_HOME=" + filepath.Join(home, "shared")}
	second := newHome(t)
	for i, point := range append(append([]string{}, objects.FaultPoints...), lfs.Registered) {
		content := bytes.Repeat([]byte(point), 100_000)
		oid := fmt.Sprintf("%x", sha256.Sum256(content))
		link := one.lfsBatch("upload", oid, len(content))["upload"]
		two := start(t, second, append(shared, "ANNAL_FAULT="+point)...)
		if status, text, err := two.follow(link, "PUT", content); err == nil {
			t.Errorf("%s: the upload went through, so the point was not reached: %d %s", point, status, text)
			two.stop()
			continue
		}
		two.awaitExit()
		download, there := one.lfsBatch("download", oid, len(content))["download"]
		if want := point == lfs.Registered; there != want {
			t.Errorf("%s: the object is there: %t", point, there)
		}
		if !there {
			if status, text, err := one.follow(link, "PUT", content); err != nil || status != 200 {
				t.Errorf("%s: the next upload: %d %s %v", point, status, text, err)
			}
			download = one.lfsBatch("download", oid, len(content))["download"]
		}
		if status, text, err := one.follow(download, "GET", nil); err != nil || status != 200 || !bytes.Equal(text, content) {
			t.Errorf("%s: downloaded %d bytes, status %d, %v", point, len(text), status, err)
		}
		added := 0
		for _, e := range one.events() {
			if e.Type == "lfs.object_added.v1" {
				added++
			}
		}
		if added != i+1 {
			t.Errorf("%s: %d events of %d objects", point, added, i+1)
		}
	}
	one.annal("projections", "verify", "lfs")
}
