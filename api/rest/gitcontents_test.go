package rest_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/annal-git/annal/api/rest"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
)

// gitContents reads a repository with git itself.
type gitContents struct {
	t   *testing.T
	dir string
}

func (g gitContents) git(what string, args ...string) (string, error) {
	out, err := gitfstest.TryGit(g.t, g.dir, nil, args...)
	if err != nil {
		return "", domain.NotFound(what, "git: %s", out)
	}
	return out, nil
}

func (g gitContents) id(args ...string) (git.ObjectID, error) {
	out, err := g.git("commit", args...)
	if err != nil {
		return git.ZeroID, err
	}
	return git.ParseObjectID(strings.TrimSpace(out))
}

func (g gitContents) Find(_ context.Context, _ *gitfs.Snapshot, digits string) (git.ObjectID, error) {
	return g.id("rev-parse", "--verify", "--quiet", digits)
}

func (g gitContents) Peel(_ context.Context, _ *gitfs.Snapshot, id git.ObjectID) (git.ObjectID, error) {
	return g.id("rev-parse", "--verify", "--quiet", id.String()+"^{commit}")
}

func (g gitContents) Commit(_ context.Context, _ *gitfs.Snapshot, id git.ObjectID) (*object.Commit, error) {
	out, err := g.git("commit", "cat-file", "commit", id.String())
	if err != nil {
		return nil, err
	}
	return object.ParseCommit([]byte(out))
}

func (g gitContents) Log(ctx context.Context, s *gitfs.Snapshot, q rest.LogQuery) ([]rest.LoggedCommit, bool, error) {
	args := []string{"rev-list", "--date-order", fmt.Sprintf("--skip=%d", q.Start), fmt.Sprintf("--max-count=%d", q.Size+1)}
	args = append(args, map[rest.Merges][]string{rest.ExcludeMerges: {"--no-merges"}, rest.OnlyMerges: {"--merges"}}[q.Merges]...)
	args = append(args, q.Until.String())
	if !q.Since.IsZero() {
		args = append(args, "^"+q.Since.String())
	}
	if args = append(args, "--"); q.Path != "" {
		args = append(args, q.Path)
	}
	out, err := g.git("commit", args...)
	if err != nil {
		return nil, false, err
	}
	var list []rest.LoggedCommit
	for line := range strings.FieldsSeq(out) {
		id := git.MustParseObjectID(line)
		commit, err := g.Commit(ctx, s, id)
		if err != nil {
			return nil, false, err
		}
		list = append(list, rest.LoggedCommit{ID: id, Commit: commit})
	}
	if len(list) > q.Size {
		return list[:q.Size], true, nil
	}
	return list, false, nil
}

func (g gitContents) Entry(ctx context.Context, s *gitfs.Snapshot, commit git.ObjectID, path string) (object.TreeEntry, error) {
	c, err := g.Commit(ctx, s, commit)
	if err != nil {
		return object.TreeEntry{}, err
	}
	found := object.TreeEntry{Mode: object.ModeTree, ID: c.Tree}
	for name := range strings.SplitSeq(path, "/") {
		if path == "" {
			break
		}
		if !found.Mode.IsTree() {
			return object.TreeEntry{}, domain.NotFound("path", "")
		}
		entries, err := g.Tree(ctx, s, found.ID)
		if err != nil {
			return object.TreeEntry{}, err
		}
		found = object.TreeEntry{}
		for _, e := range entries {
			if e.Name == name {
				found = e
			}
		}
		if found.Mode == 0 {
			return object.TreeEntry{}, domain.NotFound("path", "")
		}
	}
	return found, nil
}

func (g gitContents) Tree(_ context.Context, _ *gitfs.Snapshot, tree git.ObjectID) ([]object.TreeEntry, error) {
	out, err := g.git("path", "cat-file", "tree", tree.String())
	if err != nil {
		return nil, err
	}
	var list []object.TreeEntry
	for entry, err := range object.Tree([]byte(out)) {
		if err != nil {
			return nil, err
		}
		list = append(list, entry)
	}
	return list, nil
}

func (g gitContents) Files(_ context.Context, _ *gitfs.Snapshot, tree git.ObjectID, start, limit int) ([]string, bool, error) {
	out, err := g.git("path", "ls-tree", "-r", "-z", "--name-only", tree.String())
	if err != nil {
		return nil, false, err
	}
	list := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	list = list[min(start, len(list)):]
	return list[:min(limit, len(list))], len(list) > limit, nil
}

func (g gitContents) Blob(_ context.Context, _ *gitfs.Snapshot, id git.ObjectID) (int64, io.ReadCloser, error) {
	out, err := g.git("path", "cat-file", "blob", id.String())
	return int64(len(out)), io.NopCloser(strings.NewReader(out)), err
}

func (g gitContents) Size(_ context.Context, _ *gitfs.Snapshot, id git.ObjectID) (int64, error) {
	out, err := g.git("path", "cat-file", "-s", id.String())
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(out), 10, 64)
}

// history is what PRJ/repo holds once it has been pushed to.
const history = `commit refs/heads/main
mark :1
author Ada <ada@example.com> 1700000000 +0100
committer Cleo <cleo@example.com> 1700000100 -0330
data 12
First

Why.

M 100644 inline README.md
data 14
# Title
Text

M 100644 inline docs/a b.txt
data 3
one
M 100644 inline docs/deep/er.html
data 25
<script>alert(1)</script>
M 100644 inline image.png
data 8
` + "\x89PNG\x00\x01\x02\x03" + `
M 120000 inline link
data 9
README.md
M 160000 1111111111111111111111111111111111111111 vendor/other

commit refs/heads/feature/one
mark :2
author Ada <ada@example.com> 1700001000 +0100
committer Cleo <cleo@example.com> 1700001100 -0330
data 7
Second
from :1
M 100644 inline docs/a b.txt
data 3
two

commit refs/heads/side
mark :3
author Ada <ada@example.com> 1700000500 +0000
committer Ada <ada@example.com> 1700000500 +0000
encoding ISO-8859-1
data 6
` + "caf\xe9\n" + `
from :1
M 100644 inline side.txt
data 4
side

commit refs/heads/main
mark :4
author Ada <ada@example.com> 1700002000 +0000
committer Ada <ada@example.com> 1700002000 +0000
data 6
Merge
from :1
merge :2

tag v1.0
from :1
tagger Ada <ada@example.com> 1700000200 +0000
data 4
One

reset refs/tags/release/light
from :4

done
`

// push fills PRJ/repo with the history above, read by git, and returns where it is
// and the ids of its refs.
func (w *world) push() (dir string, ids map[string]string) {
	w.t.Helper()
	dir = filepath.Join(w.t.TempDir(), "repository.git")
	gitfstest.Git(w.t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	gitfstest.GitInput(w.t, dir, []byte(history), "fast-import", "--quiet")
	w.api.Contents = gitContents{w.t, dir}
	ids = map[string]string{}
	var push repository.PushRefs
	for line := range strings.Lines(gitfstest.Git(w.t, dir, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)")) {
		fields := strings.Fields(line)
		u := git.RefUpdate{Name: fields[0], New: git.MustParseObjectID(fields[1])}
		if len(fields) > 2 {
			u.Peeled = git.MustParseObjectID(fields[2])
		}
		ids[git.ShortName(u.Name)] = fields[1]
		push.Updates = append(push.Updates, u)
	}
	ids["first"] = gitfstest.Git(w.t, dir, "rev-parse", "v1.0^{commit}")
	_, err := w.log.Append(w.t.Context(), eventstore.Proposal{Stream: domain.RepositoryStream(1), Expect: eventstore.Any, Claim: push})
	if err != nil {
		w.t.Fatal(err)
	}
	return dir, ids
}
