package receivepack_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// listen serves one repository over HTTP with nothing around it.
func listen(t testing.TB, s *store.Store, memory *gitfstest.Memory) string {
	t.Helper()
	upload := uploadpack.New(uploadpack.Config{})
	receive := receivepack.New(receivepack.Config{Store: s})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		snapshot, err := memory.Snapshot(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		objects, err := s.Objects(r.Context(), snapshot.Storage, snapshot.Packs)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer objects.Release()
		from := &uploadpack.Repository{Snapshot: snapshot, Objects: objects}
		to := &receivepack.Repository{Snapshot: snapshot, Objects: objects, Commit: memory.Commit}
		switch service := r.URL.Query().Get("service"); {
		case service != "":
			w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
			lines := pktline.NewWriter(w)
			_ = lines.Printf("# service=%s\n", service)
			_ = lines.Flush()
			if service == "git-upload-pack" {
				err = upload.Advertise(r.Context(), w, from, uploadpack.Transport{Stateless: true})
			} else {
				err = receive.Advertise(r.Context(), w, to, receivepack.Transport{Stateless: true})
			}
		case strings.HasSuffix(r.URL.Path, "/git-upload-pack"):
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			err = upload.Serve(r.Context(), r.Body, w, from, uploadpack.Transport{Stateless: true})
		case strings.HasSuffix(r.URL.Path, "/git-receive-pack"):
			w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
			err = receive.Serve(r.Context(), r.Body, w, to, receivepack.Transport{Stateless: true})
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL + "/repo.git"
}

// TestGoGit uses a client that knows neither version 2, nor multi_ack, nor thin
// packs, as Flux, Argo CD and Terraform do.
func TestGoGit(t *testing.T) {
	repository := gitfstest.NewRepository(t, 40)
	s, settings := gitfstest.NewStore(t)
	memory := gitfstest.Serve(t, settings, repository)
	url := listen(t, s, memory)

	dir := filepath.Join(t.TempDir(), "clone")
	clone, err := gogit.PlainClone(dir, false, &gogit.CloneOptions{URL: url})
	require.NoError(t, err)
	head, err := clone.Head()
	require.NoError(t, err)
	require.Equal(t, gitfstest.Git(t, repository, "rev-parse", "main"), head.Hash().String())
	require.Equal(t, "refs/heads/main", head.Name().String())
	gitfstest.Git(t, dir, "fsck", "--full", "--strict")

	shallow, err := gogit.PlainClone(filepath.Join(t.TempDir(), "shallow"), true, &gogit.CloneOptions{URL: url, Depth: 3, SingleBranch: true})
	require.NoError(t, err)
	ends, err := shallow.Storer.Shallow()
	require.NoError(t, err)
	require.NotEmpty(t, ends)

	other, err := gogit.PlainClone(filepath.Join(t.TempDir(), "other"), false, &gogit.CloneOptions{URL: url})
	require.NoError(t, err)

	tree, err := clone.Worktree()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), []byte("new"), 0o666))
	_, err = tree.Add("new")
	require.NoError(t, err)
	made, err := tree.Commit("New", &gogit.CommitOptions{Author: &object.Signature{Name: "Ada", Email: "ada@example.com", When: time.Unix(1_700_000_000, 0)}})
	require.NoError(t, err)
	require.NoError(t, clone.Push(&gogit.PushOptions{RefSpecs: []config.RefSpec{"refs/heads/main:refs/heads/main", "refs/heads/main:refs/heads/other"}}))
	snapshot, err := memory.Snapshot(t.Context())
	require.NoError(t, err)
	for _, name := range []string{"refs/heads/main", "refs/heads/other"} {
		ref, ok := snapshot.Refs.Get(name)
		require.True(t, ok)
		require.Equal(t, made.String(), ref.ID.String())
	}
	require.ErrorContains(t, clone.Push(&gogit.PushOptions{RefSpecs: []config.RefSpec{"refs/heads/main:refs/pull-requests/1/from"}}), "deny updating a hidden ref")
	require.NoError(t, clone.Push(&gogit.PushOptions{RefSpecs: []config.RefSpec{":refs/heads/other"}}))

	require.NoError(t, other.Fetch(&gogit.FetchOptions{}))
	fetched, err := other.Reference(plumbing.NewRemoteReferenceName("origin", "main"), true)
	require.NoError(t, err)
	require.Equal(t, made, fetched.Hash())
}
