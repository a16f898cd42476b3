package uploadpack_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

func TestMain(m *testing.M) {
	// Each check starts git some hundred times. -rapid.checks overrides this.
	_ = flag.Set("rapid.checks", "5")
	goleak.VerifyTestMain(m)
}

// daemon serves one repository over git://, which is one duplex stream for each
// command, as SSH is.
type daemon struct {
	listener net.Listener
	store    *store.Store
	memory   *gitfstest.Memory
	upload   *uploadpack.Server
	receive  *receivepack.Server
}

func listen(t testing.TB, s *store.Store, memory *gitfstest.Memory) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	commits := revwalk.NewCache(1 << 20)
	d := &daemon{listener, s, memory, uploadpack.New(uploadpack.Config{Commits: commits}), receivepack.New(receivepack.Config{Store: s, Commits: commits})}
	var clients sync.WaitGroup
	clients.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				if err := errors.Join(d.serve(t.Context(), client), client.Close()); err != nil {
					t.Error(err)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		clients.Wait()
	})
	return "git://" + listener.Addr().String() + "/repo"
}

// serve reads "command /path\0host=...\0\0version=2\0" and runs the command.
func (d *daemon) serve(ctx context.Context, client net.Conn) error {
	var head [4]byte
	in := bufio.NewReader(client)
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscanf(string(head[:]), "%04x", &n); err != nil {
		return err
	}
	line := make([]byte, n-4)
	if _, err := io.ReadFull(in, line); err != nil {
		return err
	}
	version := protocol.V0
	if _, extra, ok := strings.Cut(string(line), "\x00\x00"); ok {
		version = protocol.ParseVersion(strings.TrimSuffix(extra, "\x00"))
	}
	snapshot, err := d.memory.Snapshot(ctx)
	if err != nil {
		return err
	}
	objects, err := d.store.Objects(ctx, snapshot.Storage, snapshot.Packs)
	if err != nil {
		return err
	}
	defer objects.Release()
	if strings.HasPrefix(string(line), "git-receive-pack ") {
		repo := &receivepack.Repository{Snapshot: snapshot, Objects: objects, Commit: d.memory.Commit}
		t := receivepack.Transport{Version: version}
		if err := d.receive.Advertise(ctx, client, repo, t); err != nil {
			return err
		}
		return d.receive.Serve(ctx, in, client, repo, t)
	}
	repo := &uploadpack.Repository{Snapshot: snapshot, Objects: objects}
	t := uploadpack.Transport{Version: version}
	if err := d.upload.Advertise(ctx, client, repo, t); err != nil {
		return err
	}
	err = d.upload.Serve(ctx, in, client, repo, t)
	var format *pktline.FormatError
	if errors.As(err, &format) {
		return err
	}
	return nil // clients hang up where they like
}

func TestDuplexStream(t *testing.T) {
	repository := gitfstest.NewRepository(t, 60)
	for _, version := range []string{"0", "1", "2"} {
		t.Run("v"+version, func(t *testing.T) {
			s, config := gitfstest.NewStore(t)
			url := listen(t, s, gitfstest.Serve(t, config, repository))
			run := func(dir string, args ...string) string {
				t.Helper()
				return gitfstest.Git(t, dir, append([]string{"-c", "protocol.version=" + version}, args...)...)
			}
			clone := filepath.Join(t.TempDir(), "clone")
			run("", "clone", "--quiet", "--branch=side", "--single-branch", url, clone)
			for i := range 40 {
				run(clone, "commit", "--quiet", "--allow-empty", "--message", fmt.Sprint(i))
			}
			run(clone, "fetch", "--quiet", "origin", "main:refs/heads/fetched")
			require.Equal(t, run(repository, "rev-parse", "main"), run(clone, "rev-parse", "fetched"))
			run(clone, "push", "--quiet", "origin", "HEAD:refs/heads/pushed")
			require.Contains(t, run("", "ls-remote", url), run(clone, "rev-parse", "HEAD")+"\trefs/heads/pushed")
			out, err := gitfstest.TryGit(t, clone, nil, "push", "origin", "HEAD:refs/heads/-x")
			require.Error(t, err)
			require.Contains(t, out, "invalid ref name")

			shallow := filepath.Join(t.TempDir(), "shallow")
			run("", "clone", "--quiet", "--depth=2", url, shallow)
			run(shallow, "fetch", "--quiet", "--deepen=3")
			run(shallow, "fetch", "--quiet", "--unshallow")
			run(shallow, "fsck", "--full", "--strict")
		})
	}
}
