package fsck_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/fsck"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/store"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	native := gitfstest.NewRepository(t, 250)
	path := gitfstest.PackFile(t, native)
	main, err := git.ParseObjectID(gitfstest.Git(t, native, "rev-parse", "main"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func(base string) error
		ref    git.ObjectID
		want   string // in a finding; "" for none
	}{
		"whole":           {want: ""},
		"no pack":         {damage: func(base string) error { return os.Remove(base + ".pack") }, want: "no such file"},
		"no index":        {damage: func(base string) error { return os.Remove(base + ".idx") }, want: "index cannot be read"},
		"cut":             {damage: func(base string) error { return os.Truncate(base+".pack", 5000) }, want: "shorter"},
		"a byte of pack":  {damage: func(base string) error { return flip(base+".pack", 5000) }, want: "pack"},
		"a byte of index": {damage: func(base string) error { return flip(base+".idx", 3000) }, want: "index"},
		"a ref":           {ref: git.ObjectID{1, 2, 3}, want: "is in no pack"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := t.TempDir()
			info := gitfstest.Install(t, shared, gitfstest.Storage, path)
			base := filepath.Join(shared, "repos", gitfstest.Storage[:2], gitfstest.Storage, "objects", "pack", "pack-"+info.ID.String())
			if c.damage != nil {
				if err := c.damage(base); err != nil {
					t.Fatal(err)
				}
			}
			s, err := store.Open(store.Config{SharedHome: shared, LocalHome: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			ref := git.Ref{Name: "refs/heads/main", ID: main}
			if !c.ref.IsZero() {
				ref.ID = c.ref
			}
			var found []string
			checker := fsck.Checker{Store: s, Found: func(f fsck.Finding) { found = append(found, f.String()) }}
			err = checker.Check(t.Context(), &gitfs.Snapshot{Storage: gitfstest.Storage, Packs: []git.Pack{info}, Refs: gitfstest.NewRefs(ref)})
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Join(found, "\n")
			if (c.want == "") != (len(found) == 0) || !strings.Contains(text, c.want) {
				t.Errorf("found %q, want %q", text, c.want)
			}
		})
	}
}

// A link into a pack that is not listed leads nowhere.
func TestCheckMissingLink(t *testing.T) {
	t.Parallel()
	native := gitfstest.NewRepository(t, 20)
	packed, err := gitfstest.TryGit(t, native, []byte("main\n^main~5\n"), "pack-objects", "--quiet", "--revs", filepath.Join(t.TempDir(), "p"))
	if err != nil {
		t.Fatal(packed)
	}
	dir := t.TempDir()
	id, err := gitfstest.TryGit(t, native, []byte("main\n^main~5\n"), "-c", "pack.writeReverseIndex=true", "pack-objects", "--quiet", "--revs", filepath.Join(dir, "pack"))
	if err != nil {
		t.Fatal(id)
	}
	shared := t.TempDir()
	info := gitfstest.Install(t, shared, gitfstest.Storage, filepath.Join(dir, "pack-"+strings.TrimSpace(id)+".pack"))
	s, err := store.Open(store.Config{SharedHome: shared, LocalHome: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var found []fsck.Finding
	checker := fsck.Checker{Store: s, Found: func(f fsck.Finding) { found = append(found, f) }}
	if err := checker.Check(t.Context(), &gitfs.Snapshot{Storage: gitfstest.Storage, Packs: []git.Pack{info}, Refs: gitfstest.NewRefs()}); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || !strings.Contains(found[0].Detail, "missing necessary objects") {
		t.Errorf("%v", found)
	}
}

func flip(path string, at int64) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 0x55
	_, err = f.WriteAt(b[:], at)
	return err
}
