package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sshClient is somebody with a key, who uses the machine's own ssh and git.
type sshClient struct {
	t    *testing.T
	n    *node
	key  string // file of the private key
	text string // public key
	url  string // ssh://git@127.0.0.1:port
}

// newSSHClient makes a key, which nobody has been given yet.
func newSSHClient(t *testing.T, n *node) *sshClient {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Skip("SSH IS NOT TESTED WITH ITS REAL CLIENT: there is no ssh on this machine")
	}
	found := regexp.MustCompile(`Git over SSH is at ssh://git@\S+:(\d+) `).FindStringSubmatch(n.log.String())
	if found == nil {
		t.Fatal("the node does not say where SSH is")
	}
	c := &sshClient{t: t, n: n, key: filepath.Join(t.TempDir(), "key"), url: "ssh://git@127.0.0.1:" + found[1]}
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada@laptop", "-f", c.key).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	text, err := os.ReadFile(c.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	c.text = strings.TrimSpace(string(text))
	return c
}

// add gives the key to the administrator and returns its number.
func (c *sshClient) add() int {
	c.t.Helper()
	return keyNumber(c.t, c.n.admin(201, "POST", "/rest/ssh/1.0/keys", map[string]any{"text": c.text}))
}

func keyNumber(t *testing.T, answer string) int {
	t.Helper()
	var key struct {
		ID  int
		Key struct{ ID int }
	}
	if err := json.Unmarshal([]byte(answer), &key); err != nil {
		t.Fatal(err)
	}
	return max(key.ID, key.Key.ID)
}

func (c *sshClient) command() string {
	return "ssh -F none -i " + c.key + " -o IdentitiesOnly=yes -o IdentityAgent=none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
}

// git runs git with the key and returns its output and whether it worked.
func (c *sshClient) git(dir string, args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "init.defaultBranch=main"}, args...)...)
	command.Dir = dir
	command.Env = environment("GIT_SSH_COMMAND=" + c.command())
	out, err := command.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *sshClient) must(dir string, args ...string) string {
	c.t.Helper()
	out, err := c.git(dir, args...)
	if err != nil {
		c.t.Fatalf("git %q over ssh: %v\n%s", args, err, out)
	}
	return out
}

// refused expects that a command fails and says why.
func (c *sshClient) refused(want, dir string, args ...string) {
	c.t.Helper()
	if out, err := c.git(dir, args...); err == nil || !strings.Contains(out, want) {
		c.t.Errorf("git %q: %v\n%s\nwant %q", args, err, out, want)
	}
}

// ssh runs a command on the server and returns what it says and its exit code.
func (c *sshClient) ssh(args ...string) (string, int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(c.url, "ssh://git@"))
	words := strings.Fields(c.command() + " -p " + port + " git@" + host)
	command := exec.CommandContext(ctx, words[0], append(words[1:], args...)...)
	command.Env = environment()
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	} else if err != nil {
		c.t.Fatal(err)
	}
	return string(out), 0
}

// The whole cycle with a user's key: what is there and what is not, clone, fetch, push, archive
// in each version of the protocol, the past, and the end of the key.
func TestSSH(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("repo")
	c := newSSHClient(t, n)
	dir := work(t)
	url := c.url + "/PRJ/repo.git"
	c.refused("Permission denied (publickey)", dir, "ls-remote", url)
	id := c.add()

	out, code := c.ssh("-T")
	if code != 1 || !strings.Contains(out, "Your key works") || !strings.Contains(out, "Administrator") {
		t.Errorf("a greeting: %d %s", code, out)
	}
	first := git(t, dir, "rev-parse", "HEAD")
	c.must(dir, "push", "-q", url, "main")
	position := n.events()[len(n.events())-1].Position
	for i := range 50 {
		commit(t, dir, fmt.Sprint("line ", i))
	}
	c.must(dir, "push", "-q", url, "main")
	head := git(t, dir, "rev-parse", "HEAD")

	for _, version := range []string{"0", "1", "2"} {
		at := "protocol.version=" + version
		for _, path := range []string{"/PRJ/repo.git", "/prj/repo", "/scm/../PRJ/repo.git"} {
			clone := filepath.Join(t.TempDir(), "clone")
			if strings.Contains(path, "..") {
				c.refused("Repository not found", dir, "-c", at, "clone", "-q", c.url+path, clone)
				continue
			}
			c.must(dir, "-c", at, "clone", "-q", c.url+path, clone)
			if got := git(t, clone, "rev-parse", "HEAD"); got != head {
				t.Errorf("protocol %s: cloned %s, want %s", version, got, head)
			}
		}
		shallow := filepath.Join(t.TempDir(), "shallow")
		c.must(dir, "-c", at, "clone", "-q", "--depth=1", url, shallow)
		c.must(shallow, "-c", at, "fetch", "-q", "--depth=5")
		c.must(shallow, "-c", at, "fetch", "-q", "--unshallow")
		next := commit(t, dir, "by version "+version)
		c.must(dir, "-c", at, "push", "-q", url, "main")
		c.must(shallow, "-c", at, "fetch", "-q")
		if got := git(t, shallow, "rev-parse", "origin/main"); got != next {
			t.Errorf("protocol %s: fetched %s, want %s", version, got, next)
		}
		c.must(dir, "-c", at, "push", "-q", url, "main:refs/heads/gone")
		c.must(dir, "-c", at, "push", "-q", url, ":refs/heads/gone")
		if out := c.must(dir, "-c", at, "ls-remote", url, "refs/heads/gone"); out != "" {
			t.Errorf("protocol %s: a deleted branch is there: %s", version, out)
		}
		head = next
	}
	c.must(dir, "archive", "--remote="+url, "--output="+filepath.Join(t.TempDir(), "a.tar"), "main")

	past := fmt.Sprintf("%s/PRJ/repo@%d.git", c.url, position)
	if out := c.must(dir, "ls-remote", past, "refs/heads/main"); !strings.HasPrefix(out, first) {
		t.Errorf("at %d main is at %s, want %s", position, out, first)
	}
	c.refused("which nobody can change", dir, "push", past, "main")
	c.refused("Repository not found\r\n", dir, "ls-remote", c.url+"/PRJ/none.git")
	c.refused("you do not have permission to access it", dir, "ls-remote", c.url+"/NONE/repo.git")

	// Its use is known, and what it has done is told by whom.
	if key := n.admin(200, "GET", fmt.Sprint("/rest/ssh/1.0/keys/", id), nil); !strings.Contains(key, `"lastAuthenticated":"`) || !strings.Contains(key, `"label":"ada@laptop"`) {
		t.Errorf("the key is %s", key)
	}
	if feed := n.admin(200, "GET", "/rest/annal/1.0/events?after=0&limit=100", nil); !strings.Contains(feed, fmt.Sprintf("ssh-key:%d", id)) {
		t.Errorf("no event of the key in %s", feed)
	}
	if repository := n.admin(200, "GET", "/rest/api/1.0/projects/PRJ/repos/repo", nil); !strings.Contains(repository, strings.Replace(c.url, "127.0.0.1", "localhost", 1)+`/prj/repo.git","name":"ssh"`) {
		t.Errorf("no clone link in %s", repository)
	}

	// Within one connection: the next command is refused.
	control := []string{"-o", "ControlMaster=auto", "-o", "ControlPersist=30", "-o", "ControlPath=" + filepath.Join(t.TempDir(), "s")}
	if out, code := c.ssh(append(control, "git-upload-pack '/PRJ/none.git'")...); code != 1 || !strings.Contains(out, "Repository not found") {
		t.Errorf("%d %s", code, out)
	}
	n.admin(204, "DELETE", fmt.Sprint("/rest/ssh/1.0/keys/", id), nil)
	if out, code := c.ssh(append(control, "git-upload-pack '/PRJ/repo.git'")...); code != 1 || !strings.Contains(out, "Your SSH key has been removed") {
		t.Errorf("after the key was removed: %d %s", code, out)
	}
	_, _ = c.ssh(append(control, "-O", "exit")...)
	c.refused("Permission denied (publickey)", dir, "ls-remote", url)
	n.annal("projections", "verify", "access")
}

// An access key reads what it was given to read, and no more.
func TestAccessKeys(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("one")
	n.repository("two")
	c := newSSHClient(t, n)
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("one"), "main")
	git(t, dir, "push", "-q", n.remote("two"), "main")
	one, two := c.url+"/prj/one.git", c.url+"/prj/two.git"

	const keys = "/rest/keys/1.0/projects/PRJ"
	id := keyNumber(t, n.admin(201, "POST", keys+"/repos/one/ssh", map[string]any{"key": map[string]any{"text": c.text}, "permission": "REPO_READ"}))
	c.must(dir, "ls-remote", one)
	c.refused("Repository not found", dir, "ls-remote", two)
	commit(t, dir, "more")
	c.refused("You may read this repository and not write to it", dir, "push", one, "main")
	n.admin(200, "PUT", fmt.Sprintf("%s/repos/one/ssh/%d/permission/REPO_WRITE", keys, id), nil)
	c.must(dir, "push", "-q", one, "main")

	// The same key, for the whole project: writing to a project writes to what is in it.
	if again := keyNumber(t, n.admin(201, "POST", keys+"/ssh", map[string]any{"key": map[string]any{"text": c.text}, "permission": "PROJECT_WRITE"})); again != id {
		t.Errorf("the key has the numbers %d and %d", id, again)
	}
	c.must(dir, "push", "-q", two, "main")
	n.admin(409, "POST", "/rest/ssh/1.0/keys", map[string]any{"text": c.text})
	if users := n.admin(200, "GET", "/rest/api/1.0/users", nil); strings.Contains(users, "access-key") {
		t.Errorf("among the users: %s", users)
	}
	n.admin(204, "DELETE", fmt.Sprintf("%s/ssh/%d", keys, id), nil)
	c.refused("Repository not found", dir, "ls-remote", two)
	c.must(dir, "ls-remote", one)
	n.admin(204, "DELETE", fmt.Sprintf("%s/repos/one/ssh/%d", keys, id), nil)
	c.refused("Permission denied (publickey)", dir, "ls-remote", one)
	n.admin(201, "POST", "/rest/ssh/1.0/keys", map[string]any{"text": c.text})
	c.must(dir, "ls-remote", two)
	n.annal("projections", "rebuild", "access")
	n.annal("projections", "verify", "access")
	c.must(dir, "ls-remote", two)
}

// A connection that breaks in a push leaves nothing.
func TestSSHPushBrokenOff(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("repo")
	c := newSSHClient(t, n)
	c.add()
	dir := work(t)
	url := c.url + "/prj/repo.git"
	c.must(dir, "push", "-q", url, "main")
	head, before := git(t, dir, "rev-parse", "HEAD"), len(n.events())

	host, port, _ := net.SplitHostPort(strings.TrimPrefix(c.url, "ssh://git@"))
	client := exec.CommandContext(t.Context(), "ssh", append(strings.Fields(c.command())[1:], "-p", port, "git@"+host, "git-receive-pack '/prj/repo.git'")...)
	client.Env = environment()
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	command := strings.Repeat("0", 40) + " " + head + " refs/heads/broken\x00 report-status"
	_, err = fmt.Fprintf(in, "%04x%s0000PACK\x00\x00\x00\x02\x00\x00\x00\x09", len(command)+4, command)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 4)); err != nil { // it is being served
		t.Fatal(err)
	}
	_ = client.Process.Kill()
	_ = client.Wait()
	eventually(t, func() bool {
		_, metrics := n.request("", "", "GET", "/metrics", nil)
		return strings.Contains(metrics, "annal_ssh_connections 0\n") && strings.Contains(metrics, `command="git-receive-pack",exit="1"`)
	})
	if after := len(n.events()); after != before {
		t.Errorf("%d events, and %d before", after, before)
	}
	if junk := quarantines(t, n.home); len(junk) > 0 {
		t.Errorf("left in quarantine: %v", junk)
	}
	if out := c.must(dir, "ls-remote", url, "refs/heads/broken"); out != "" {
		t.Errorf("the branch is there: %s", out)
	}
	c.must(dir, "push", "-q", url, "main:refs/heads/broken")
}
