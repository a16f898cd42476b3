package gitfstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/store"
)

// Storage is the name of the one repository folder that tests use.
const Storage = "5f0c7a52-0000-4000-8000-000000000001"

// NewStore opens a store in fresh folders and closes it when the test ends.
func NewStore(t testing.TB) (*store.Store, store.Config) {
	t.Helper()
	config := store.Config{SharedHome: t.TempDir(), LocalHome: t.TempDir()}
	s, err := store.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, config
}

// Pin opens packs of the repository Storage until the test ends.
func Pin(t testing.TB, s *store.Store, packs ...git.Pack) *store.Objects {
	t.Helper()
	objects, err := s.Objects(t.Context(), Storage, packs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(objects.Release)
	return objects
}

// InstallPushed installs the history of a repository as a series of pushes would
// leave it: for each step, the packed objects that were not there before, completed
// by the bases of their deltas. A step is a list of revisions.
func InstallPushed(t testing.TB, sharedHome, repository string, steps ...[]string) []git.Pack {
	t.Helper()
	var packs []git.Pack
	scratch := filepath.Join(t.TempDir(), "pushed.git")
	Git(t, "", "init", "--quiet", "--bare", scratch)
	var before []string
	for _, step := range steps {
		var revs strings.Builder
		for _, rev := range step {
			revs.WriteString(rev + "\n")
		}
		for _, rev := range before {
			revs.WriteString("^" + rev + "\n")
		}
		out := GitInput(t, repository, []byte(revs.String()), "pack-objects", "--quiet", "--revs", "--thin", "--stdout", "--delta-base-offset")
		before = append(before, step...)
		pack := []byte(out)
		if len(pack) < 33 {
			continue // nothing new
		}
		name := strings.TrimPrefix(GitInput(t, scratch, []byte(out), "index-pack", "--stdin", "--fix-thin", "--rev-index"), "pack\t")
		packs = append(packs, Install(t, sharedHome, Storage, filepath.Join(scratch, "objects", "pack", "pack-"+name+".pack")))
	}
	return packs
}

// ClientWith makes a repository that has what the revisions reach and nothing else.
func ClientWith(t testing.TB, repository string, revisions []string) string {
	t.Helper()
	client := filepath.Join(t.TempDir(), "client.git")
	Git(t, "", "init", "--quiet", "--bare", client)
	if len(revisions) > 0 {
		pack := GitInput(t, repository, []byte(strings.Join(revisions, "\n")+"\n"), "pack-objects", "--quiet", "--revs", "--stdout")
		GitInput(t, client, []byte(pack), "index-pack", "--stdin")
	}
	return client
}

// Remove deletes a file or folder.
func Remove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
