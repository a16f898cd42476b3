package smarthttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/smarthttp"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/store"
)

// work makes a clone of a served repository with a work tree.
func work(t testing.TB, s *site) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "work")
	gitfstest.Git(t, "", "clone", "--quiet", s.url(), dir)
	return dir
}

// commit changes a file and returns the new commit.
func commit(t testing.TB, dir, file, content string) string {
	t.Helper()
	path := filepath.Join(dir, file)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	gitfstest.Git(t, dir, "add", ".")
	gitfstest.Git(t, dir, "commit", "--quiet", "--message", "Change "+file)
	return gitfstest.Git(t, dir, "rev-parse", "HEAD")
}

func (s *site) ref(t testing.TB, name string) string {
	t.Helper()
	snapshot, err := s.memory.Snapshot(t.Context())
	require.NoError(t, err)
	ref, _ := snapshot.Refs.Get(name)
	return ref.ID.String()
}

func (s *site) lastPush(t testing.TB) []git.RefUpdate {
	t.Helper()
	pushes := s.memory.Pushes()
	require.NotEmpty(t, pushes)
	return pushes[len(pushes)-1].Updates
}

func TestPushAndCloneBack(t *testing.T) {
	for _, name := range []string{"made", "go-git.bundle", "git-v1.8.0.bundle"} {
		t.Run(name, func(t *testing.T) {
			var repository string
			if name == "made" {
				repository = gitfstest.NewRepository(t, 60)
			} else {
				repository = gitfstest.Bundle(t, name)
			}
			s := serve(t, "")
			gitfstest.Git(t, repository, "push", "--quiet", "--mirror", s.url())
			clone := filepath.Join(t.TempDir(), "clone.git")
			gitfstest.Git(t, "", "clone", "--quiet", "--mirror", s.url(), clone)
			requireSameRefs(t, repository, clone)
			gitfstest.Git(t, clone, "fsck", "--full")
			require.Len(t, s.memory.Pushes(), 1)
		})
	}
}

func TestPush(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 30))
	for _, version := range versions {
		dir := work(t, s)
		run := func(args ...string) string {
			t.Helper()
			return gitfstest.Git(t, dir, append([]string{"-c", "protocol.version=" + version}, args...)...)
		}
		branch := "refs/heads/push" + version
		run("checkout", "--quiet", "-b", "push"+version)
		one := commit(t, dir, "a/file", "one "+version)
		run("push", "--quiet", "origin", "HEAD")
		require.Equal(t, one, s.ref(t, branch))
		require.False(t, s.lastPush(t)[0].Forced)

		two := commit(t, dir, "a/file", "two "+version)
		run("push", "--quiet", "origin", "HEAD")
		require.Equal(t, two, s.ref(t, branch))
		require.False(t, s.lastPush(t)[0].Forced)

		run("reset", "--quiet", "--hard", one)
		three := commit(t, dir, "a/file", "three "+version)
		out, err := gitfstest.TryGit(t, dir, nil, "push", "origin", "HEAD")
		require.Error(t, err, out)
		run("push", "--quiet", "--force", "origin", "HEAD")
		require.Equal(t, three, s.ref(t, branch))
		require.True(t, s.lastPush(t)[0].Forced)

		run("tag", "--annotate", "--message=tagged", "tag"+version)
		run("push", "--quiet", "origin", "tag"+version)
		require.Equal(t, three, s.lastPush(t)[0].Peeled.String())

		// A ref to something that is there needs no pack.
		run("push", "--quiet", "origin", one+":refs/heads/again"+version)
		require.Equal(t, one, s.ref(t, "refs/heads/again"+version))
		require.Nil(t, s.memory.Pushes()[len(s.memory.Pushes())-1].Pack)

		run("push", "--quiet", "origin", "--delete", "push"+version, "again"+version)
		require.Equal(t, git.ZeroID.String(), s.ref(t, branch))

		fresh := filepath.Join(t.TempDir(), "fresh.git")
		gitfstest.Git(t, "", "clone", "--quiet", "--mirror", s.url(), fresh)
		gitfstest.Git(t, fresh, "fsck", "--full", "--strict")
	}
}

func TestPushOfThousandRefs(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 30))
	dir := work(t, s)
	head := gitfstest.Git(t, dir, "rev-parse", "HEAD")
	var input strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&input, "create refs/heads/many/%d %s\n", i, head)
	}
	gitfstest.GitInput(t, dir, []byte(input.String()), "update-ref", "--stdin")
	gitfstest.Git(t, dir, "push", "--quiet", "origin", "refs/heads/many/*:refs/heads/many/*")
	require.Len(t, s.lastPush(t), 1000)

	// An atomic push with one bad ref moves none and answers for each.
	version := len(s.memory.Pushes())
	out, err := gitfstest.TryGit(t, dir, nil, "push", "--atomic", "--porcelain", "origin", "refs/heads/many/*:refs/heads/more/*", head+"^{tree}:refs/heads/more/bad")
	require.Error(t, err)
	require.Len(t, s.memory.Pushes(), version)
	_ = out
	require.Equal(t, git.ZeroID.String(), s.ref(t, "refs/heads/more/1"))
}

func TestPushOptions(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	dir := work(t, s)
	commit(t, dir, "f", "1")
	gitfstest.Git(t, dir, "push", "--quiet", "-o", "a;b=c", "-o", "repo.private=false", "origin", "HEAD")
	pushes := s.memory.Pushes()
	require.Equal(t, []string{"a;b=c", "repo.private=false"}, pushes[len(pushes)-1].Options)

	commit(t, dir, "f", "2")
	long := []string{"push", "origin", "HEAD", "-o", strings.Repeat("x", 1025)}
	many := []string{"push", "origin", "HEAD"}
	for i := range 101 {
		many = append(many, "-o", fmt.Sprint(i))
	}
	for message, args := range map[string][]string{
		"push option is longer than 1024 bytes": long,
		"more than 100 push options":            many,
		"is not plain text":                     {"push", "origin", "HEAD", "-o", "x\ty"},
	} {
		out, err := gitfstest.TryGit(t, dir, nil, args...)
		require.Error(t, err)
		require.Contains(t, out, message)
	}
	require.Len(t, s.memory.Pushes(), len(pushes))
}

func TestRefusedPushes(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 30))
	s.allow(func(a *gitserver.Access) {
		a.Allow = func(_ context.Context, u git.RefUpdate) string {
			if u.Name == "refs/heads/protected" {
				return "the branch is protected"
			}
			return ""
		}
	})
	dir := work(t, s)
	before := s.memory.Pushes()
	head := commit(t, dir, "file", "new")
	big := make([]byte, 4<<20) // more than any buffer on the way holds
	_, err := rand.NewChaCha8([32]byte{}).Read(big)
	require.NoError(t, err)
	commit(t, dir, "big", string(big))
	for _, tt := range []struct {
		name    string
		args    []string
		message string
	}{
		{"dash", []string{"HEAD:refs/heads/-h"}, "invalid ref name"},
		{"option", []string{"HEAD:refs/heads/--exec=touch"}, "invalid ref name"},
		{"pull request", []string{"HEAD:refs/pull-requests/1/from"}, "deny updating a hidden ref"},
		{"protected", []string{"HEAD:refs/heads/protected"}, "the branch is protected"},
		{"below a branch", []string{"HEAD:refs/heads/main/below"}, `"refs/heads/main" exists`},
		{"tree", []string{"HEAD^{tree}:refs/heads/tree"}, "not a commit"},
		{"tag as branch", []string{"v1:refs/heads/tag"}, "not a commit"},
		{"blob", []string{"HEAD:file:refs/heads/blob"}, "not a commit"},
		{"current branch", []string{":refs/heads/main"}, "deletion of the current branch prohibited"},
		{"long name", []string{"HEAD:refs/heads/" + strings.Repeat("x/", 600) + "x"}, "longer than 1024 bytes"},
		{"long component", []string{"HEAD:refs/heads/" + strings.Repeat("x", 256)}, "component longer than 255 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := gitfstest.TryGit(t, dir, nil, append([]string{"push", "origin"}, tt.args...)...)
			require.Error(t, err)
			require.Contains(t, out, tt.message)
			require.NotContains(t, out, "broken pipe")
			require.Equal(t, before, s.memory.Pushes())
		})
	}
	t.Run("one of two", func(t *testing.T) {
		out, err := gitfstest.TryGit(t, dir, nil, "push", "origin", head+":refs/heads/fine", "HEAD:refs/heads/protected")
		require.Error(t, err)
		require.Contains(t, out, "the branch is protected")
		require.Contains(t, out, "[new branch]")
		require.Equal(t, head, s.ref(t, "refs/heads/fine"))
		require.Len(t, s.lastPush(t), 1)
	})
	t.Run("atomic, one of two", func(t *testing.T) {
		count := len(s.memory.Pushes())
		out, err := gitfstest.TryGit(t, dir, nil, "push", "--atomic", "origin", "HEAD:refs/heads/other", "HEAD:refs/heads/protected")
		require.Error(t, err)
		require.Contains(t, out, "the branch is protected")
		require.Contains(t, out, "atomic push failed")
		require.Len(t, s.memory.Pushes(), count)
	})
	t.Run("delete of a missing ref", func(t *testing.T) {
		count := len(s.memory.Pushes())
		out, err := gitfstest.TryGit(t, dir, nil, "push", "origin", ":refs/heads/nothing")
		require.NoError(t, err, out)
		require.Len(t, s.memory.Pushes(), count)
	})
	t.Run("folder made way for", func(t *testing.T) {
		gitfstest.Git(t, dir, "push", "--quiet", "origin", "HEAD:refs/heads/x")
		gitfstest.Git(t, dir, "push", "--quiet", "origin", ":refs/heads/x", "HEAD:refs/heads/x/below")
	})
}

func TestStalePush(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 10))
	one, two := work(t, s), work(t, s)
	first := commit(t, one, "f", "one")
	commit(t, two, "f", "two")
	old := gitfstest.Git(t, two, "rev-parse", "origin/main")
	gitfstest.Git(t, one, "push", "--quiet", "origin", "HEAD:main")
	// The lease makes the client send the old value that it knew.
	out, err := gitfstest.TryGit(t, two, nil, "push", "--force-with-lease=main:"+old, "origin", "HEAD:main")
	require.Error(t, err)
	require.Contains(t, out, "stale info")
	require.Equal(t, first, s.ref(t, "refs/heads/main"))
}

func TestPushFromShallowClone(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 30))
	dir := filepath.Join(t.TempDir(), "shallow")
	gitfstest.Git(t, "", "clone", "--quiet", "--depth=1", s.url(), dir)
	head := commit(t, dir, "f", "from a shallow clone")
	gitfstest.Git(t, dir, "push", "--quiet", "origin", "HEAD")
	require.Equal(t, head, s.ref(t, "refs/heads/main"))
}

func TestPushWithoutPermission(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	dir := work(t, s)
	commit(t, dir, "f", "x")
	for credentials, message := range map[string]string{
		"reader:secret@": "You are not permitted to do this.",
		"writer:wrong@":  "Authentication failed",
	} {
		url := strings.Replace(s.URL, "http://", "http://"+credentials, 1) + "/scm/PRJ/repo"
		out, err := gitfstest.TryGit(t, dir, nil, "push", url, "HEAD:refs/heads/x")
		require.Error(t, err)
		require.Contains(t, out, message)
	}
	out, err := gitfstest.TryGit(t, dir, nil, "push", s.URL+"/scm/PRJ/other", "HEAD:refs/heads/x")
	require.Error(t, err)
	require.Contains(t, out, "not found")
}

func TestPushOfLargeFiles(t *testing.T) {
	// 34 MiB is more than the store holds of one object in memory. The second
	// version of each file differs little, so git sends it as a delta.
	s := serve(t, gitfstest.NewRepository(t, 3))
	dir := work(t, s)
	random := rand.NewChaCha8([32]byte{})
	for _, size := range []int{3 << 20, 34 << 20} {
		content := make([]byte, size)
		_, err := random.Read(content)
		require.NoError(t, err)
		name := fmt.Sprint("file", size)
		commit(t, dir, name, string(content))
		content[size/2]++
		commit(t, dir, name, string(content))
		gitfstest.Git(t, dir, "push", "--quiet", "origin", "HEAD")
	}
	clone := filepath.Join(t.TempDir(), "clone")
	gitfstest.Git(t, "", "clone", "--quiet", s.url(), clone)
	require.Equal(t, gitfstest.Git(t, dir, "rev-parse", "HEAD"), gitfstest.Git(t, clone, "rev-parse", "HEAD"))
	gitfstest.Git(t, clone, "fsck", "--full", "--strict")
	// Without its base the delta has to be made whole again.
	shallow := filepath.Join(t.TempDir(), "shallow")
	gitfstest.Git(t, "", "clone", "--quiet", "--depth=1", s.url(), shallow)
	gitfstest.Git(t, shallow, "fsck", "--full", "--strict")
	// They can be asked for by name, and tagged, too.
	gitfstest.Git(t, dir, "push", "--quiet", "origin", fmt.Sprintf("HEAD:file%d:refs/tags/large", 34<<20))
	partial := filepath.Join(t.TempDir(), "partial")
	gitfstest.Git(t, "", "clone", "--quiet", "--filter=blob:none", s.url(), partial)
	require.Equal(t, gitfstest.Git(t, dir, "rev-parse", "HEAD^{tree}"), gitfstest.Git(t, partial, "write-tree"))
	require.Empty(t, gitfstest.Git(t, partial, "status", "--porcelain"))
}

func TestEveryRefOfARefusedAtomicPushIsReported(t *testing.T) {
	source := gitfstest.NewRepository(t, 3)
	s := serve(t, source)
	head, tree := s.ref(t, "refs/heads/main"), gitfstest.Git(t, source, "rev-parse", "main^{tree}")
	empty, err := gitfstest.TryGit(t, source, nil, "pack-objects", "--stdout", "--quiet")
	require.NoError(t, err)
	post := func(capabilities string, news ...string) string {
		var body strings.Builder
		for i, id := range news {
			line := fmt.Sprintf("%s %s refs/heads/%d", git.ZeroID, id, i)
			if i == 0 {
				line += "\x00report-status " + capabilities
			}
			body.WriteString(pkt(line))
		}
		_, answer := s.do(t, "POST", "/scm/PRJ/repo.git/git-receive-pack", body.String()+"0000"+empty, "Content-Type", receiveRequest)
		return answer
	}
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = head
	}
	ids[500] = tree
	answer := post("atomic", ids...)
	require.Equal(t, 999, strings.Count(answer, "atomic push failed: another ref was refused"))
	require.Equal(t, 1, strings.Count(answer, "ng refs/heads/500 not a commit"))
	require.Empty(t, s.memory.Pushes())

	// Of a push that names what is not here, the rest is taken.
	answer = post("", strings.Repeat("1", 40), head)
	require.Contains(t, answer, "ng refs/heads/0 missing necessary objects")
	require.Contains(t, answer, "ok refs/heads/1")
}

func TestCommitThatFails(t *testing.T) {
	s := serve(t, gitfstest.NewRepository(t, 3))
	dir := work(t, s)
	commit(t, dir, "f", "x")
	for want, err := range map[string]error{
		"internal error":                   errors.New("relation \"refs\" does not exist"),
		"The repository was archived.":     domain.Conflict("", "The repository was archived."),
		"could not be stored: sync failed": &store.PublishError{Step: "sync", Err: errors.New("relation")},
	} {
		s.allow(func(a *gitserver.Access) {
			a.Commit = func(context.Context, repository.PushRefs) ([]git.RefResult, error) { return nil, err }
		})
		out, failed := gitfstest.TryGit(t, dir, nil, "push", "origin", "HEAD")
		require.Error(t, failed)
		require.Contains(t, out, want)
		require.NotContains(t, out, "relation")
	}
}

func TestStalledPushLeavesNothing(t *testing.T) {
	source := gitfstest.NewRepository(t, 30)
	objects, config := gitfstest.NewStore(t)
	s := serveMemory(t, objects, gitfstest.NewMemory(nil), func(c *smarthttp.Config) { c.Idle = 200 * time.Millisecond })
	pack, err := gitfstest.TryGit(t, source, nil, "pack-objects", "--all", "--stdout", "--quiet")
	require.NoError(t, err)
	body := pkt(git.ZeroID.String()+" "+gitfstest.Git(t, source, "rev-parse", "main")+" refs/heads/main\x00report-status") + "0000" + pack
	connection, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close()) }()
	_, err = fmt.Fprintf(connection, "POST /scm/PRJ/repo.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic d3JpdGVyOnNlY3JldA==\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		receiveRequest, len(body), body[:len(body)*99/100])
	require.NoError(t, err)
	answer, _ := io.ReadAll(connection) // ends when the server has had enough
	require.Contains(t, string(answer), "ng refs/heads/main unpacker error")
	left, err := os.ReadDir(filepath.Join(config.LocalHome, "quarantine"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.Empty(t, s.memory.Pushes())
}
