package smarthttp_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/gitfs/gitfstest"
)

var versions = []string{"0", "1", "2"}

// eachVersion runs a test with each version of the protocol.
func eachVersion(t *testing.T, test func(t *testing.T, git func(dir string, args ...string) string)) {
	for _, version := range versions {
		t.Run("v"+version, func(t *testing.T) {
			test(t, func(dir string, args ...string) string {
				t.Helper()
				return gitfstest.Git(t, dir, append([]string{"-c", "protocol.version=" + version}, args...)...)
			})
		})
	}
}

func requireSameRefs(t *testing.T, want, have string) {
	t.Helper()
	require.Equal(t, gitfstest.Git(t, want, "for-each-ref"), gitfstest.Git(t, have, "for-each-ref"))
}

func TestClone(t *testing.T) {
	repository := gitfstest.NewRepository(t, 60)
	s := serve(t, repository)
	eachVersion(t, func(t *testing.T, git func(string, ...string) string) {
		clone := filepath.Join(t.TempDir(), "clone.git")
		git("", "clone", "--mirror", s.url(), clone)
		git(clone, "fsck", "--full", "--strict")
		requireSameRefs(t, repository, clone)
		require.Equal(t, "refs/heads/main", git(clone, "symbolic-ref", "HEAD"))

		work := filepath.Join(t.TempDir(), "work")
		git("", "clone", "--quiet", "--branch=side", "--single-branch", s.url(), work)
		require.Equal(t, "side", git(work, "branch", "--show-current"))
		require.Contains(t, git("", "ls-remote", "--symref", s.url()), "ref: refs/heads/main\tHEAD")
		require.Contains(t, git("", "ls-remote", s.url(), "refs/tags/*"), "refs/tags/v1-again^{}")
	})
}

func TestCloneOfRealHistory(t *testing.T) {
	repository := gitfstest.Bundle(t, "go-git.bundle")
	s := serve(t, repository)
	eachVersion(t, func(t *testing.T, git func(string, ...string) string) {
		clone := filepath.Join(t.TempDir(), "clone.git")
		git("", "clone", "--mirror", s.url(), clone)
		requireSameRefs(t, repository, clone)
		git(clone, "fsck", "--full")
	})
}

func TestCloneOfEmptyRepository(t *testing.T) {
	s := serve(t, "")
	eachVersion(t, func(t *testing.T, git func(string, ...string) string) {
		clone := filepath.Join(t.TempDir(), "clone")
		git("", "-c", "init.defaultBranch=other", "clone", s.url(), clone)
		if strings.HasSuffix(t.Name(), "v2") {
			require.Equal(t, "refs/heads/main", git(clone, "symbolic-ref", "HEAD"), "the unborn branch")
		}
	})
}

func TestFetch(t *testing.T) {
	repository := gitfstest.NewRepository(t, 80)
	eachVersion(t, func(t *testing.T, git func(string, ...string) string) {
		objects, config := gitfstest.NewStore(t)
		packs := gitfstest.InstallPushed(t, config.SharedHome, repository, []string{"main~30"}, []string{"main~10"}, []string{"main", "v1-again"})
		refs := gitfstest.RefsOf(t, repository)
		s := serveMemory(t, objects, gitfstest.NewMemory(packs, refs...))

		client := gitfstest.ClientWith(t, repository, []string{"main~30"})
		git(client, "update-ref", "refs/heads/main", git(repository, "rev-parse", "main~30"))
		git(client, "fetch", s.url(), "main:refs/heads/main")
		require.Equal(t, git(repository, "rev-parse", "main"), git(client, "rev-parse", "main"))
		require.Equal(t, git(repository, "rev-parse", "v1"), git(client, "rev-parse", "refs/tags/v1"), "the tag comes along")
		git(client, "fsck", "--full", "--strict")

		// What the client has beside makes it negotiate.
		other := filepath.Join(t.TempDir(), "other")
		git("", "clone", "--quiet", client, other)
		for i := range 40 {
			git(other, "commit", "--quiet", "--allow-empty", "--message", fmt.Sprint(i))
		}
		git(other, "reset", "--quiet", "--soft", "HEAD~10")
		git(other, "fetch", s.url(), "side:refs/heads/fetched")
		require.Equal(t, git(repository, "rev-parse", "side"), git(other, "rev-parse", "fetched"))
		git(other, "fsck", "--full", "--strict")

		unrelated := filepath.Join(t.TempDir(), "unrelated")
		git("", "init", "--quiet", unrelated)
		for i := range 60 {
			git(unrelated, "commit", "--quiet", "--allow-empty", "--message", fmt.Sprint(i))
		}
		git(unrelated, "fetch", s.url(), "main:refs/heads/fetched")
		git(unrelated, "fsck", "--full", "--strict")
	})
}

func TestShallow(t *testing.T) {
	repository := gitfstest.NewRepository(t, 80)
	s := serve(t, repository)
	eachVersion(t, func(t *testing.T, git func(string, ...string) string) {
		// The same commands against git's own server have to give the same.
		compare := func(args ...[]string) {
			t.Helper()
			state := func(url string) string {
				clone := filepath.Join(t.TempDir(), "clone.git")
				git("", "init", "--quiet", "--bare", clone)
				for _, a := range args {
					git(clone, append([]string{"fetch", "--quiet", url}, a...)...)
					git(clone, "fsck", "--full", "--connectivity-only")
				}
				objects := strings.Split(git(clone, "rev-list", "--all", "--objects"), "\n")
				slices.Sort(objects)
				return strings.Join(objects, "\n")
			}
			require.Equal(t, state("file://"+repository), state(s.url()), "%q", args)
		}
		main := "main:refs/heads/main"
		compare([]string{"--depth=1", main})
		compare([]string{"--depth=12", main})
		compare([]string{"--depth=1", main}, []string{"--depth=5", main})
		compare([]string{"--depth=3", main}, []string{"--deepen=4", main})
		compare([]string{"--depth=3", main}, []string{"--unshallow", main})
		compare([]string{"--depth=5", main}, []string{"--depth=2", main})
		compare([]string{"--depth=2", "side:refs/heads/side"}, []string{main})
		compare([]string{"--depth=2", main}, []string{"side:refs/heads/side"})
		compare([]string{"--shallow-since=1600003000", main})
		compare([]string{"--shallow-exclude=side", main})
		compare([]string{"--shallow-exclude=side", main}, []string{"--unshallow", main})
		compare([]string{"--depth=1", "refs/tags/v1-again:refs/tags/v1-again"})
	})
}

// Git's own server names commits as shallow that it does not send, if their
// children are cut off as well; such a clone can never be deepened.
func TestCutBehindCut(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	gitfstest.Git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", source)
	commit := func(when int, parents ...string) string {
		var b strings.Builder
		b.WriteString("tree " + strings.TrimSpace(gitfstest.Git(t, source, "hash-object", "-t", "tree", "-w", "/dev/null")) + "\n")
		for _, p := range parents {
			b.WriteString("parent " + p + "\n")
		}
		fmt.Fprintf(&b, "author A <a@b> %d +0000\ncommitter A <a@b> %d +0000\n\n%d\n", when, when, when)
		return strings.TrimSpace(gitfstest.GitInput(t, source, []byte(b.String()), "hash-object", "-t", "commit", "-w", "--stdin"))
	}
	old := commit(1600001000)
	young := commit(1600002000, old)
	merge := commit(1600003000, old, young)
	gitfstest.Git(t, source, "update-ref", "refs/heads/main", commit(1600004000, merge))
	s := serve(t, source)
	eachVersion(t, func(t *testing.T, git func(string, ...string) string) {
		clone := filepath.Join(t.TempDir(), "clone.git")
		git("", "init", "--quiet", "--bare", clone)
		git(clone, "fetch", "--quiet", "--shallow-since=1600001500", s.url(), "main:refs/heads/main")
		require.Equal(t, merge, strings.TrimSpace(gitfstest.ReadFile(t, filepath.Join(clone, "shallow"))))
		git(clone, "fetch", "--quiet", "--unshallow", s.url(), "main:refs/heads/main")
		require.Equal(t, "4", strings.TrimSpace(git(clone, "rev-list", "--count", "main")))
	})
}

func TestPartialClone(t *testing.T) {
	repository := gitfstest.NewRepository(t, 60)
	s := serve(t, repository)
	eachVersion(t, func(t *testing.T, git func(string, ...string) string) {
		for _, filter := range []string{"blob:none", "blob:limit=1k", "tree:0", "tree:2", "combine:blob:none+tree:3"} {
			clone := filepath.Join(t.TempDir(), "clone.git")
			git("", "clone", "--quiet", "--bare", "--filter="+filter, s.url(), clone)
			list := func(dir string) string {
				objects, err := gitfstest.TryGit(t, dir, nil, "rev-list", "--all", "--objects", "--no-object-names", "--missing=allow-any", "--filter="+filter, "--filter-provided-objects")
				require.NoError(t, err)
				return objects
			}
			require.Equal(t, list(repository), list(clone), filter)
			have := git(clone, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
			require.Len(t, strings.Fields(have), len(strings.Fields(list(repository))), filter)

			// Checking out fetches what is missing, by id.
			work := filepath.Join(t.TempDir(), "work")
			git("", "clone", "--quiet", "--filter="+filter, s.url(), work)
			git(work, "checkout", "--quiet", "main~40")
			require.Empty(t, git(work, "status", "--porcelain"))
			require.Equal(t, git(repository, "log", "--stat", "-2", "main"), git(work, "log", "--stat", "-2", "main"))
		}
	})
}
