package smarthttp_test

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/gitfstest"
)

// hide leaves refs/hidden/ out of what callers see.
func hide(a *gitserver.Access) {
	whole := a.Snapshot
	a.Hides = true
	a.Snapshot = func(ctx context.Context) (*gitfs.Snapshot, error) {
		s, err := whole(ctx)
		if err != nil {
			return nil, err
		}
		var visible []git.Ref
		for ref := range s.Refs.Prefixed("") {
			if !strings.HasPrefix(ref.Name, "refs/hidden/") {
				visible = append(visible, ref)
			}
		}
		s.Refs = gitfstest.NewRefs(visible...)
		return s, nil
	}
}

func TestOnlyWhatVisibleRefsReach(t *testing.T) {
	repository := gitfstest.NewRepository(t, 20)
	run := func(args ...string) string { return gitfstest.Git(t, repository, args...) }
	blob := gitfstest.GitInput(t, repository, []byte("a secret"), "hash-object", "-w", "--stdin")
	tree := gitfstest.GitInput(t, repository, []byte("100644 blob "+blob+"\tsecret\n"), "mktree")
	hidden := run("commit-tree", "-p", "main", "-m", "hidden", tree)
	run("update-ref", "refs/hidden/one", hidden)
	run("tag", "-a", "-m", "hidden", "hidden", hidden)
	tag := run("rev-parse", "refs/tags/hidden")
	run("update-ref", "refs/hidden/tag", tag)
	run("tag", "-d", "hidden")

	s := serve(t, repository)
	s.allow(hide)
	fetch := func(version string, args ...string) string {
		body := pkt("command=fetch") + "0001"
		if version != "2" {
			body = ""
		}
		for _, a := range args {
			if version != "2" && a == "done" {
				body += "0000"
			}
			body += pkt(a)
		}
		if version == "2" {
			body += "0000"
		}
		status, answer := s.do(t, http.MethodPost, "/scm/PRJ/repo.git/git-upload-pack", body, "Content-Type", uploadRequest, "Git-Protocol", "version="+version)
		require.Equal(t, 200, status)
		return answer
	}
	for _, version := range []string{"0", "2"} {
		for _, id := range []string{blob, tree, hidden, tag, strings.Repeat("1", 40), git.ZeroID.String()} {
			require.Equal(t, pkt("ERR upload-pack: not our ref "+id), fetch(version, "want "+id, "done"))
		}
		for _, rev := range []string{"main", "main~7", "v1", "v1-again", "main:build.sh", "main~9^{tree}", "main~15:docs"} {
			require.Contains(t, fetch(version, "want "+run("rev-parse", rev), "done"), "PACK", rev)
		}
	}
	// What is hidden is not admitted to be there.
	require.Contains(t, fetch("2", "want "+run("rev-parse", "main"), "have "+hidden), "NAK\n")
	require.Contains(t, fetch("2", "want "+run("rev-parse", "main"), "have "+run("rev-parse", "main~3")), "ACK ")
	require.NotContains(t, fetch("2", "want "+run("rev-parse", "main"), "shallow "+hidden, "deepen 2147483647", "done"), "unshallow")
}

func TestTipThatJustMoved(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 20))
	dir := work(t, s)
	moved := commit(t, dir, "f", "x")
	gitfstest.Git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/moving")
	gitfstest.Git(t, dir, "push", "--quiet", "--force", "origin", "HEAD~1:refs/heads/moving")
	fetch := func() error {
		client := filepath.Join(t.TempDir(), "client.git")
		gitfstest.Git(t, "", "init", "--quiet", "--bare", client)
		_, err := gitfstest.TryGit(t, client, nil, "fetch", s.url(), moved)
		return err
	}
	require.Error(t, fetch())
	s.allow(func(a *gitserver.Access) {
		a.RecentTips = func(context.Context) ([]git.ObjectID, error) {
			return []git.ObjectID{git.MustParseObjectID(strings.Repeat("5", 40)), git.MustParseObjectID(moved)}, nil
		}
	})
	require.NoError(t, fetch())
}

func TestLsRefsListsEachRefOnce(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	body := pkt("command=ls-refs") + "0001" + pkt("peel") + pkt("symrefs") + pkt("ref-prefix refs/tags/") + pkt("ref-prefix HEAD") + pkt("ref-prefix refs/tags/v1") + "0000"
	_, whole := s.do(t, http.MethodPost, "/scm/PRJ/repo.git/git-upload-pack", body, "Content-Type", uploadRequest, "Git-Protocol", "version=2")
	require.Equal(t, 1, strings.Count(whole, " refs/tags/v1 "))
	require.Equal(t, 1, strings.Count(whole, " HEAD symref-target:refs/heads/main"))
	require.NotContains(t, whole, "refs/heads/side")
}
