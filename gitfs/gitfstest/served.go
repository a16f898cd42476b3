package gitfstest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/store"
)

// Storage is the name of the one repository folder that tests use.
const Storage = "5f0c7a52-0000-4000-8000-000000000001"

// NewStore opens a store in fresh folders and closes it when the test ends.
func NewStore(t testing.TB, change ...func(*store.Config)) (*store.Store, store.Config) {
	t.Helper()
	config := store.Config{SharedHome: t.TempDir(), LocalHome: t.TempDir()}
	for _, change := range change {
		change(&config)
	}
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
		pack := packObjects(t, repository, revs.String(), "--thin")
		before = append(before, step...)
		if len(pack) <= emptyPack {
			continue
		}
		name := strings.TrimPrefix(GitInput(t, scratch, pack, "index-pack", "--stdin", "--fix-thin", "--rev-index"), "pack\t")
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
		GitInput(t, client, packObjects(t, repository, strings.Join(revisions, "\n")+"\n"), "index-pack", "--stdin")
	}
	return client
}

// emptyPack is the size of a pack without objects, in bytes.
const emptyPack = 32

func packObjects(t testing.TB, repository, revisions string, options ...string) []byte {
	t.Helper()
	args := append([]string{"pack-objects", "--quiet", "--revs", "--stdout", "--delta-base-offset"}, options...)
	pack, err := TryGit(t, repository, []byte(revisions), args...) // Git would trim it
	if err != nil {
		t.Fatalf("%v\n%s", err, pack)
	}
	return []byte(pack)
}

// RefsOf reads the refs of a repository on disk.
func RefsOf(t testing.TB, repository string) []git.Ref {
	t.Helper()
	var refs []git.Ref
	for line := range strings.Lines(Git(t, repository, "for-each-ref", "--format=%(objectname) %(*objectname) %(refname)")) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		peeled, name, _ := strings.Cut(rest, " ")
		ref := git.Ref{Name: name, ID: git.MustParseObjectID(id)}
		if peeled != "" {
			// For a tag of a tag, git 2.39 shows only the next one.
			ref.Peeled = git.MustParseObjectID(Git(t, repository, "rev-parse", id+"^{}"))
		}
		refs = append(refs, ref)
	}
	return refs
}

// WithGraphs lets packs of any size have commit-graphs.
func WithGraphs(c *store.Config) { c.GraphFrom = 1 }

// InstallGraph puts a commit-graph of everything that the refs of a repository reach beside a
// pack.
func InstallGraph(t testing.TB, sharedHome, repository string, pack git.Pack) {
	t.Helper()
	Git(t, repository, "commit-graph", "write", "--reachable", "--changed-paths")
	copyFile(t, filepath.Join(sharedHome, "repos", Storage[:2], Storage, "objects", "pack", "pack-"+pack.ID.String()+".graph"),
		filepath.Join(repository, "objects", "info", "commit-graph"))
}

// Serve installs a whole repository in a store and returns it with its refs.
func Serve(t testing.TB, config store.Config, repository string) *Memory {
	t.Helper()
	return NewMemory([]git.Pack{Install(t, config.SharedHome, Storage, PackFile(t, repository))}, RefsOf(t, repository)...)
}
