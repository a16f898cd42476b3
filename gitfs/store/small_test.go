package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// A small pack lies on the shared home alone, and another node reads it. One that inflates
// to much has an index, whatever its size.
func TestSmallPacks(t *testing.T) {
	for name, c := range map[string]struct {
		fill  func(f *forger)
		files int
	}{
		"one blob":             {func(f *forger) { f.blob("x") }, 1},
		"as much as may":       {func(f *forger) { f.blob(strings.Repeat("x", store.SmallObjects)) }, 1},
		"inflates to too much": {func(f *forger) { f.blob(strings.Repeat("x", store.SmallObjects+1)) }, 2},
		"a delta counts as it is and as what it makes": {func(f *forger) {
			f.blob("base")
			f.refDelta(object.Hash(object.TypeBlob, []byte("base")), replaceDelta(4, strings.Repeat("x", store.SmallObjects/2)))
		}, 2},
		"large": {func(f *forger) { f.ballast() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, config := open(t)
			f := forge(t)
			c.fill(f)
			packs := push(t, s, nil, f.bytes())
			files, err := os.ReadDir(packFolder(config))
			if err != nil || len(files) != c.files {
				t.Errorf("%d files, want %d, %v", len(files), c.files, err)
			}
			compareExact(t, config, packs[0])
			compareIndexes(t, config, packs[0])
		})
	}
}

// The base that makes a thin pack whole counts, too.
func TestSmallPacksThin(t *testing.T) {
	content := strings.Repeat("x", store.SmallObjects)
	s, config := open(t)
	f := forge(t)
	f.blob(content)
	packs := push(t, s, nil, f.bytes())
	f = forge(t)
	f.refDelta(object.Hash(object.TypeBlob, []byte(content)), replaceDelta(len(content), "y"))
	packs = push(t, s, packs, f.bytes())
	if _, err := os.Stat(filepath.Join(packFolder(config), "pack-"+packs[1].ID.String()+".idx")); err != nil {
		t.Error(err)
	}
	compareExact(t, config, packs[1])
}

// Native git reads small packs where they were linked for it.
func TestLinkPacks(t *testing.T) {
	repository := gitfstest.NewRepository(t, 30)
	s, _ := open(t)
	packs := push(t, s, nil, packObjects(t, repository, "main~5\n"))
	f := forge(t)
	f.ballast()
	packs = push(t, s, packs, f.bytes())
	packs = push(t, s, packs, packObjects(t, repository, "main\n^main~5\n", "--thin"))
	bare := filepath.Join(t.TempDir(), "bare.git")
	gitfstest.Git(t, "", "init", "--quiet", "--bare", bare)
	if err := pin(t, s, packs...).LinkPacks(filepath.Join(bare, "objects", "pack")); err != nil {
		t.Fatal(err)
	}
	gitfstest.Git(t, bare, "update-ref", "refs/heads/main", gitfstest.Git(t, repository, "rev-parse", "main"))
	gitfstest.Git(t, bare, "fsck", "--full", "--strict")
}

// A small pack that was damaged is said to be, unless there is an index: then what is whole
// of it is still read.
func TestSmallPackDamaged(t *testing.T) {
	s, config := open(t)
	f := forge(t)
	f.blob("first")
	f.blob(strings.Repeat("second", 50))
	info := push(t, s, nil, f.bytes())[0]
	first := object.Hash(object.TypeBlob, []byte("first"))
	name := filepath.Join(packFolder(config), "pack-"+info.ID.String()+".pack")
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.WriteIndexes(t.Context(), storage, []git.Pack{info}); err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(content)
	damaged[len(damaged)-25] ^= 1
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	another := func() *store.Store {
		s, err := store.Open(store.Config{SharedHome: config.SharedHome, LocalHome: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	o, err := another().Objects(t.Context(), storage, []git.Pack{info})
	if err != nil {
		t.Fatal(err)
	}
	if _, got, err := o.Read(t.Context(), first); err != nil || string(got) != "first" {
		t.Errorf("%q, %v", got, err)
	}
	o.Release()
	if err := os.Remove(strings.TrimSuffix(name, ".pack") + ".idx"); err != nil {
		t.Fatal(err)
	}
	if _, err := another().Objects(t.Context(), storage, []git.Pack{info}); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("%v", err)
	}
}
