package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a newcomer does: push, clone, push again in every way, look at the events.
func TestPushAndClone(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	dir := work(t)
	first := git(t, dir, "rev-parse", "HEAD")
	git(t, dir, "tag", "-a", "v1", "-m", "one")
	git(t, dir, "remote", "add", "origin", n.remote("demo"))
	git(t, dir, "push", "-q", "origin", "main", "v1")
	second := commit(t, dir, "second")
	git(t, dir, "push", "-q", "origin", "main")

	copied := filepath.Join(t.TempDir(), "copy")
	git(t, dir, "clone", "-q", n.remote("DEMO"), copied) // case-insensitive
	if got := git(t, copied, "rev-parse", "HEAD"); got != second {
		t.Errorf("the clone is at %s, want %s", got, second)
	}
	git(t, copied, "fsck", "--full", "--strict")

	git(t, dir, "commit", "-q", "--amend", "-m", "rewritten")
	rewritten := git(t, dir, "rev-parse", "HEAD")
	if out, err := gitTry(t, dir, "push", "-q", "origin", "main"); err == nil {
		t.Errorf("a push that loses a commit went through unforced: %s", out)
	}
	git(t, dir, "push", "-q", "--force", "origin", "main")
	git(t, dir, "push", "-q", "origin", ":v1")
	if got := git(t, dir, "ls-remote", "origin"); got != rewritten+"\tHEAD\n"+rewritten+"\trefs/heads/main" {
		t.Errorf("refs after force and delete:\n%s", got)
	}

	pushes := n.pushes()
	if len(pushes) != 4 {
		t.Fatalf("%d push events, want 4: %+v", len(pushes), pushes)
	}
	if u := pushes[0].Body.Updates; len(u) != 2 || u[0].New != first || pushes[0].Body.Pack == nil || pushes[0].Body.Pack.Objects != 4 {
		t.Errorf("first push: %+v", pushes[0])
	}
	if u := pushes[1].Body.Updates; len(u) != 1 || u[0].Old != first || u[0].New != second || u[0].Forced {
		t.Errorf("second push: %+v", pushes[1])
	}
	if u := pushes[2].Body.Updates; len(u) != 1 || u[0].Old != second || u[0].New != rewritten || !u[0].Forced {
		t.Errorf("forced push: %+v", pushes[2])
	}
	if u := pushes[3].Body.Updates; len(u) != 1 || u[0].Name != "refs/tags/v1" || strings.Trim(u[0].New, "0") != "" || pushes[3].Body.Pack != nil {
		t.Errorf("delete: %+v", pushes[3])
	}
	for _, projection := range []string{"refs", "catalog", "access", "activity", "reposearch"} {
		n.annal("projections", "verify", projection)
	}
	n.annal("projections", "rebuild", "refs")
	n.annal("projections", "verify", "refs")
	if got := git(t, dir, "ls-remote", "origin", "main"); !strings.HasPrefix(got, rewritten) {
		t.Errorf("after a rebuild main is at %s", got)
	}
}

func TestPushOfManyRefs(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("many")
	dir := work(t)
	head := git(t, dir, "rev-parse", "HEAD")
	var packed strings.Builder
	packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for i := range 1000 {
		fmt.Fprintf(&packed, "%s refs/heads/b%04d\n", head, i)
	}
	if err := os.WriteFile(filepath.Join(dir, ".git", "packed-refs"), []byte(packed.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "push", "-q", n.remote("many"), "refs/heads/*:refs/heads/*")
	if lines := strings.Split(git(t, dir, "ls-remote", "--heads", n.remote("many")), "\n"); len(lines) != 1001 {
		t.Errorf("%d branches, want 1001", len(lines))
	}
	if pushes := n.pushes(); len(pushes) != 1 || len(pushes[0].Body.Updates) != 1001 {
		t.Errorf("%d events for one push", len(pushes))
	}

	// One bad ref in an atomic push moves none.
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "next")
	before := git(t, dir, "ls-remote", n.remote("many"))
	out, err := gitTry(t, dir, "push", "--atomic", n.remote("many"), "main:refs/heads/b0000", "main:refs/heads/b0001/below", "main:refs/heads/new")
	if err == nil {
		t.Errorf("an atomic push with a bad ref went through: %s", out)
	}
	if after := git(t, dir, "ls-remote", n.remote("many")); after != before {
		t.Error("an atomic push with a bad ref moved some refs")
	}
	if pushes := n.pushes(); len(pushes) != 1 {
		t.Errorf("a refused push left an event: %d", len(pushes))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	n.admin(204, "POST", "/rest/api/1.0/admin/users?name=eve&password=eve-has-a-password&displayName=Eve&emailAddress=eve@example.org", nil)
	commit(t, dir, "second")
	before := n.events()

	as := func(user, secret, slug string) string {
		return strings.Replace(n.url, "http://", "http://"+user+":"+secret+"@", 1) + "/scm/prj/" + slug + ".git"
	}
	for _, c := range []struct {
		name, remote string
		args         []string
		says         string
	}{
		{"wrong password", as("admin", "wrong", "demo"), []string{"main"}, "Authentication failed"},
		{"nobody", n.url + "/scm/prj/demo.git", []string{"main"}, "could not read Username"},
		{"no permission is as if it were not there", as("eve", "eve-has-a-password", "demo"), []string{"main"}, "not found"},
		{"unknown repository", n.remote("none"), []string{"main"}, "not found"},
		{"ref name like an option", n.remote("demo"), []string{"main:refs/heads/-option"}, "dash"},
		{"ref outside of refs/heads and refs/tags that is ours", n.remote("demo"), []string{"main:refs/pull-requests/1/from"}, "refs/pull-requests"},
		{"branch that is no commit", n.remote("demo"), []string{"main^{tree}:refs/heads/tree"}, "commit"},
	} {
		out, err := gitTry(t, dir, append([]string{"push", c.remote}, c.args...)...)
		if err == nil || !strings.Contains(out, c.says) {
			t.Errorf("%s: %v, does not say %q:\n%s", c.name, err, c.says, out)
		}
		if strings.Contains(out, n.home) || strings.Contains(out, "goroutine") {
			t.Errorf("%s: the answer shows the inside: %s", c.name, out)
		}
	}
	// What is no valid history is refused whole.
	evil := work(t)
	blob := git(t, evil, "hash-object", "-w", "file.txt")
	tree := gitInput(t, evil, fmt.Sprintf("100644 blob %s\t.git\n", blob), "mktree")
	bad := git(t, evil, "commit-tree", tree, "-m", "x")
	if out, err := gitTry(t, evil, "push", n.remote("demo"), bad+":refs/heads/evil"); err == nil || !strings.Contains(out, ".git") {
		t.Errorf("a tree with .git in it: %v\n%s", err, out)
	}
	if after := n.events(); len(after) != len(before) {
		t.Errorf("refused pushes left %d events", len(after)-len(before))
	}
	if junk := quarantines(t, n.home); len(junk) > 0 {
		t.Errorf("refused pushes left %v", junk)
	}
	// And the next one works.
	git(t, dir, "push", "-q", n.remote("demo"), "main")
}

// quarantines lists what is left of pushes in the local home.
func quarantines(t *testing.T, home string) []string {
	t.Helper()
	var left []string
	_ = filepath.WalkDir(home, func(path string, entry os.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "quarantine") && !entry.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	return left
}

// The real repositories: pushed as a mirror, cloned back, every object and ref there.
func TestRealRepository(t *testing.T) {
	t.Parallel()
	bundle := filepath.Join("..", "..", "..", "shared", "repos", "go-git.bundle")
	if _, err := os.Stat(bundle); err != nil {
		t.Skipf("SKIPPED, the real repository is not beside the project: %v", err)
	}
	bundle, _ = filepath.Abs(bundle)
	n := start(t, newHome(t))
	mirror(t, n, bundle, "go-git")
}

func mirror(t *testing.T, n *node, bundle, slug string) {
	n.repository(slug)
	dir := t.TempDir()
	source, copied := filepath.Join(dir, "source.git"), filepath.Join(dir, "copy.git")
	git(t, dir, "clone", "-q", "--mirror", bundle, source)
	git(t, source, "push", "-q", "--mirror", n.remote(slug))
	git(t, dir, "clone", "-q", "--mirror", n.remote(slug), copied)
	git(t, copied, "fsck", "--full")
	refs := func(dir string) []string {
		return strings.Split(git(t, dir, "for-each-ref", "--format=%(refname) %(objectname)"), "\n")
	}
	if want, got := refs(source), refs(copied); !slices.Equal(want, got) {
		t.Errorf("%d refs came back of %d", len(got), len(want))
	}
}

// A repository whose branch is not called as ours would be is cloned onto it.
func TestFirstPushOfAnotherBranch(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("trunk")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("trunk"), "main:trunk")
	copied := filepath.Join(t.TempDir(), "copy")
	git(t, dir, "clone", "-q", n.remote("trunk"), copied)
	if got := git(t, copied, "branch", "--show-current"); got != "trunk" {
		t.Errorf("the clone is on %q", got)
	}
	if body := n.admin(200, "GET", "/rest/api/1.0/projects/PRJ/repos/trunk/branches/default", nil); !strings.Contains(body, `"displayId":"trunk"`) {
		t.Errorf("default branch: %s", body)
	}
	for _, projection := range []string{"refs", "catalog"} {
		n.annal("projections", "verify", projection)
	}
}
