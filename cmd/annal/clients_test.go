package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gogit "github.com/go-git/go-git/v5"
	gogitconfig "github.com/go-git/go-git/v5/config"
)

// gitClient is one implementation of Git's client side. What it cannot do it must not be
// asked for.
type gitClient struct {
	name    string
	install func(t *testing.T, cache string) func(args ...string) error // nil: nothing to install
	// Commands: clone|shallow URL DIR, fetch DIR, push DIR REFSPEC.
	run func(args ...string) error
}

// Versions of the clients that are installed by TestClients.
const (
	pygit2Version     = "1.21.0"
	dulwichVersion    = "1.2.21"
	isomorphicVersion = "1.44.17" // JGit's is in testdata/clients/pom.xml
)

// TestClients has every client clone, fetch, push, make a shallow clone and run into
// errors. Those that are not part of this module are installed from their registries if
// ANNAL_CLIENTS names a folder for them, as 'go tool task test:clients' does.
func TestClients(t *testing.T) {
	t.Parallel()
	clients := []gitClient{{name: "git", run: nativeClient}, {name: "go-git", run: goGitClient}}
	cache := os.Getenv("ANNAL_CLIENTS")
	if cache == "" {
		t.Log("libgit2, dulwich, isomorphic-git and JGit are NOT tested here: run 'go tool task test:clients'")
	} else {
		clients = append(clients,
			gitClient{name: "libgit2", install: python("pygit2", pygit2Version)},
			gitClient{name: "dulwich", install: python("dulwich", dulwichVersion)},
			gitClient{name: "isomorphic-git", install: isomorphic},
			gitClient{name: "jgit", install: jgit})
	}
	n := start(t, newHome(t))
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			if c.install != nil {
				c.run = c.install(t, cache)
			}
			useClient(t, n, c)
		})
	}
}

func useClient(t *testing.T, n *node, c gitClient) {
	n.repository(c.name)
	url := n.remote(c.name)
	source := work(t)
	for i := range 20 {
		commit(t, source, fmt.Sprint("line ", i))
	}
	git(t, source, "tag", "-a", "v1", "-m", "one")
	git(t, source, "push", "-q", url, "main", "v1")
	do := func(args ...string) {
		t.Helper()
		if err := c.run(args...); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		err := c.run(args...)
		if err == nil {
			t.Fatalf("%q went through", args)
		}
		for _, word := range strings.Split(want, "|") {
			if strings.Contains(strings.ToLower(err.Error()), word) {
				return
			}
		}
		t.Errorf("%q: %v does not speak of %q", args, err, want)
	}

	clone := filepath.Join(t.TempDir(), "clone")
	do("clone", url, clone)
	same := func() {
		t.Helper()
		if got, want := git(t, clone, "rev-parse", "refs/remotes/origin/main"), git(t, source, "rev-parse", "main"); got != want {
			t.Errorf("origin/main is %s, want %s", got, want)
		}
		git(t, clone, "fsck", "--full", "--strict")
	}
	same()
	if status := git(t, clone, "status", "--porcelain"); status != "" {
		t.Errorf("the files differ: %s", status)
	}

	commit(t, source, "more")
	git(t, source, "push", "-q", url, "main")
	do("fetch", clone)
	same()
	do("fetch", clone) // nothing new

	git(t, clone, "reset", "-q", "--hard", "origin/main")
	pushed := commit(t, clone, "by "+c.name)
	do("push", clone, "refs/heads/main:refs/heads/pushed")
	if got := git(t, source, "ls-remote", url, "refs/heads/pushed"); !strings.HasPrefix(got, pushed) {
		t.Errorf("pushed %s, the server has %q", pushed, got)
	}
	do("push", clone, "refs/heads/main:refs/heads/main")

	shallow := filepath.Join(t.TempDir(), "shallow")
	do("shallow", url, shallow)
	if got := git(t, shallow, "rev-list", "--count", "HEAD"); got != "1" {
		t.Errorf("a clone of depth 1 has %s commits", got)
	}

	git(t, source, "commit", "-q", "--allow-empty", "-m", "elsewhere")
	git(t, source, "push", "-q", "--force", url, "main")
	commit(t, clone, "late")
	refused("non-fast|not fast|cannot push|rejected|nonfast|refused|pushrejected|divergedbranches", "push", clone, "refs/heads/main:refs/heads/main")
	refused("401|auth|credential|unauthorized|not authorized", "clone", strings.Replace(url, neturl.UserPassword("admin", password).String(), "admin:wrong-password", 1), filepath.Join(t.TempDir(), "x"))
	refused("404|not found|notgit|no such|not exist", "clone", n.remote("nowhere"), filepath.Join(t.TempDir(), "x"))
	if got := git(t, source, "ls-remote", url, "refs/heads/main"); !strings.HasPrefix(got, git(t, source, "rev-parse", "main")) {
		t.Errorf("main was overwritten: %s", got)
	}
}

// clientTimeout bounds one command of a client.
const clientTimeout = 2 * time.Minute

// program runs a client that is a program; its error is what it prints.
func program(env []string, dir string, command ...string) func(args ...string) error {
	return func(args ...string) error {
		ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], args...)...)
		cmd.Env, cmd.Dir = env, dir
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, out.String())
		}
		return nil
	}
}

func nativeClient(args ...string) error {
	run := program(environment(), "", "git")
	switch args[0] {
	case "clone":
		return run("clone", "-q", args[1], args[2])
	case "shallow":
		return run("clone", "-q", "--depth=1", args[1], args[2])
	case "fetch":
		return run("-C", args[1], "fetch", "-q", "origin")
	}
	return run("-C", args[1], "push", "-q", "origin", args[2])
}

func goGitClient(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), clientTimeout)
	defer cancel()
	switch args[0] {
	case "clone":
		_, err := gogit.PlainCloneContext(ctx, args[2], false, &gogit.CloneOptions{URL: args[1]})
		return err
	case "shallow":
		_, err := gogit.PlainCloneContext(ctx, args[2], false, &gogit.CloneOptions{URL: args[1], Depth: 1})
		return err
	}
	repository, err := gogit.PlainOpen(args[1])
	if err != nil {
		return err
	}
	if args[0] == "push" {
		return repository.PushContext(ctx, &gogit.PushOptions{RefSpecs: []gogitconfig.RefSpec{gogitconfig.RefSpec(args[2])}})
	}
	if err := repository.FetchContext(ctx, &gogit.FetchOptions{}); !errors.Is(err, gogit.NoErrAlreadyUpToDate) {
		return err
	}
	return nil
}

// installation runs a step of an installation in the environment of this test, which knows
// where packages come from.
func installation(t *testing.T, dir string, command ...string) {
	t.Helper()
	if err := program(os.Environ(), dir, command...)(); err != nil {
		t.Fatalf("NOT TESTED, it cannot be installed: %v", err)
	}
}

// script is the absolute path of a client in testdata.
func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "clients", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func python(module, version string) func(*testing.T, string) func(...string) error {
	return func(t *testing.T, cache string) func(...string) error {
		venv := filepath.Join(cache, module+"-"+version)
		interpreter := filepath.Join(venv, "bin", "python")
		if _, err := os.Stat(interpreter); err != nil {
			installation(t, cache, "python3", "-m", "venv", venv)
		}
		installation(t, cache, interpreter, "-m", "pip", "install", "-q", module+"=="+version)
		return program(environment("HOME="+t.TempDir()), "", interpreter, script(t, module+"_client.py"))
	}
}

func isomorphic(t *testing.T, cache string) func(...string) error {
	dir := filepath.Join(cache, "isomorphic-git-"+isomorphicVersion)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	installation(t, dir, "npm", "install", "--no-audit", "--no-fund", "--silent", "isomorphic-git@"+isomorphicVersion)
	// Modules are looked for beside the script.
	text, err := os.ReadFile(script(t, "isomorphic_client.mjs"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "client.mjs"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return program(environment(), "", "node", filepath.Join(dir, "client.mjs"))
}

func jgit(t *testing.T, cache string) func(...string) error {
	dir := filepath.Join(cache, "jgit")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	installation(t, dir, "mvn", "-q", "-B", "-f", script(t, "pom.xml"), "dependency:copy-dependencies", "-DoutputDirectory="+dir)
	installation(t, dir, "javac", "-cp", filepath.Join(dir, "*"), "-d", dir, script(t, "JGitClient.java"))
	return program(environment("HOME="+t.TempDir()), "", "java", "-cp", dir+":"+filepath.Join(dir, "*"), "JGitClient")
}
