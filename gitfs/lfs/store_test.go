package lfs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	domain "github.com/annal-git/annal/domain/lfs"
	"github.com/annal-git/annal/gitfs/lfs"
	"github.com/annal-git/annal/gitfs/store"
)

const storage = "0a1b2c3d-0000-0000-0000-000000000000"

// files lists what there is below a folder.
func files(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func content(n int) ([]byte, domain.OID) {
	b := bytes.Repeat([]byte("large "), n)
	return b, sha256.Sum256(b)
}

func TestPutAndOpen(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := lfs.Open(root, "node", nil)
	for _, n := range []int{0, 1, 100_000} {
		b, oid := content(n)
		var wg sync.WaitGroup
		for range 4 { // at once, and again
			wg.Go(func() {
				if err := s.Put(t.Context(), storage, oid, int64(len(b)), iotest.OneByteReader(bytes.NewReader(b[:len(b)/2]))); len(b) > 0 && err == nil {
					t.Error("half an object was taken")
				}
				if err := s.Put(t.Context(), storage, oid, int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		f, err := s.Open(storage, oid)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes come back, %v", len(got), err)
		}
		_ = f.Close()
	}
	if names := files(t, root); len(names) != 3 {
		t.Errorf("there are %q", names)
	}
}

func TestWhatIsNotTheObject(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := lfs.Open(root, "node", nil)
	b, oid := content(1000)
	for name, put := range map[string]func() error{
		"more":       func() error { return s.Put(t.Context(), storage, oid, int64(len(b)-1), bytes.NewReader(b)) },
		"less":       func() error { return s.Put(t.Context(), storage, oid, int64(len(b)+1), bytes.NewReader(b)) },
		"other":      func() error { return s.Put(t.Context(), storage, domain.OID{1}, int64(len(b)), bytes.NewReader(b)) },
		"of no size": func() error { return s.Put(t.Context(), storage, oid, 0, bytes.NewReader(b)) },
	} {
		var mismatch *lfs.MismatchError
		if err := put(); !errors.As(err, &mismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("the line is dead")
	if err := s.Put(t.Context(), storage, oid, int64(len(b)), io.MultiReader(bytes.NewReader(b[:9]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Error(err)
	}
	for _, bad := range []string{"", "a", "..", "../x", "a/b", ".hidden"} {
		if err := s.Put(t.Context(), bad, oid, int64(len(b)), bytes.NewReader(b)); err == nil {
			t.Errorf("%q names a folder", bad)
		}
		if _, err := s.Open(bad, oid); err == nil {
			t.Errorf("%q names a folder", bad)
		}
	}
	if names := files(t, root); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

// failing is a shared home whose n-th call fails.
type failing struct {
	store.Files
	n *int
}

func (f failing) fails() error {
	*f.n--
	if *f.n == 0 {
		return syscall.EIO
	}
	return nil
}

type failingFile struct {
	store.NewFile
	failing
}

func (f failing) Create(name string) (store.NewFile, error) {
	if err := f.fails(); err != nil {
		return nil, err
	}
	file, err := f.Files.Create(name)
	return failingFile{file, f}, err
}

func (f failing) Rename(from, to string) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Files.Rename(from, to)
}

func (f failing) Mkdir(name string) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Files.Mkdir(name)
}

func (f failing) SyncDir(name string) error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.Files.SyncDir(name)
}

func (f failingFile) Write(b []byte) (int, error) {
	if err := f.fails(); err != nil {
		return 0, err
	}
	return f.NewFile.Write(b)
}

func (f failingFile) Sync() error {
	if err := f.fails(); err != nil {
		return err
	}
	return f.NewFile.Sync()
}

func (f failingFile) Close() error {
	err := f.NewFile.Close()
	return errors.Join(f.fails(), err)
}

// Whichever call to the shared home fails, it is told, and the next attempt works.
func TestEveryCallMayFail(t *testing.T) {
	t.Parallel()
	b, oid := content(10)
	for n := 1; ; n++ {
		root := t.TempDir()
		left := n
		err := lfs.Open(root, "node", failing{store.DirFiles(root), &left}).Put(t.Context(), storage, oid, int64(len(b)), bytes.NewReader(b))
		if left > 0 {
			if n < 10 {
				t.Errorf("there are only %d calls", n-1)
			}
			break
		}
		var told *lfs.StoreError
		if !errors.As(err, &told) || !errors.Is(err, syscall.EIO) {
			t.Errorf("call %d: %v", n, err)
		}
		s := lfs.Open(root, "node", nil)
		if err := s.Put(t.Context(), storage, oid, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Errorf("after call %d failed: %v", n, err)
		}
		if names := files(t, root); len(names) != 1 {
			t.Errorf("after call %d failed there are %q", n, names)
		}
		if got, err := os.ReadFile(filepath.Join(root, files(t, root)[0])); err != nil || !bytes.Equal(got, b) {
			t.Errorf("after call %d failed: %q, %v", n, got, err)
		}
	}
}

// What an upload that was cut off leaves, the sweep finds and takes away.
func TestLeftoversAreSwept(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	packs, err := store.Open(store.Config{SharedHome: root, LocalHome: t.TempDir(), Node: "node"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packs.Close() }()
	b, oid := content(10)
	if err := lfs.Open(root, "node", nil).Put(t.Context(), storage, oid, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(root, "repos", storage[:2], storage, "lfs", "staging", "node", "left.lfs")
	if err := os.WriteFile(left, b[:5], 0o444); err != nil {
		t.Fatal(err)
	}
	_, staged, err := packs.Leftovers(t.Context(), storage)
	if err != nil || len(staged) != 1 || staged[0] != "lfs/staging/node/left.lfs" {
		t.Fatalf("the leftovers are %q, %v", staged, err)
	}
	if err := packs.Trash(t.Context(), storage, staged[0], "bin"); err != nil {
		t.Fatal(err)
	}
	if err := packs.EmptyTrash(t.Context(), storage, "bin"); err != nil {
		t.Fatal(err)
	}
	if names := files(t, root); len(names) != 1 || !strings.HasSuffix(names[0], oid.String()) {
		t.Errorf("there are %q", names)
	}
	if err := packs.Trash(t.Context(), storage, "lfs/00/00/"+oid.String(), "bin"); err == nil {
		t.Error("an object can be taken for a leftover")
	}
}
