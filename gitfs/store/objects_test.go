package store_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

const storage = "5f0c7a52-0000-4000-8000-000000000001"

// open opens a store in fresh folders; change may adjust its configuration.
func open(t testing.TB, change ...func(*store.Config)) (*store.Store, store.Config) {
	t.Helper()
	config := store.Config{SharedHome: t.TempDir(), LocalHome: t.TempDir()}
	for _, f := range change {
		f(&config)
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

func pin(t testing.TB, s *store.Store, packs ...git.Pack) *store.Objects {
	t.Helper()
	o, err := s.Objects(t.Context(), storage, packs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Release)
	return o
}

// listed is a line of git cat-file --batch-all-objects --batch-check.
type listed struct {
	id   git.ObjectID
	kind object.Type
	size int64
}

func allObjects(t testing.TB, repository string) []listed {
	t.Helper()
	out := gitfstest.Git(t, repository, "cat-file", "--batch-all-objects", "--batch-check")
	var all []listed
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		kind, err := object.ParseType(words[1])
		if err != nil {
			t.Fatal(err)
		}
		size, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, listed{git.MustParseObjectID(words[0]), kind, size})
	}
	return all
}

// compare reads each object in two ways and checks it against what git says.
func compare(t *testing.T, r store.Reader, all []listed) {
	t.Helper()
	for _, want := range all {
		if !r.Has(want.id) {
			t.Fatalf("%s is not there", want.id)
		}
		kind, size, err := r.Header(t.Context(), want.id)
		if err != nil || kind != want.kind || size != want.size {
			t.Fatalf("header of %s: %v, %d, %v; want %v, %d", want.id, kind, size, err, want.kind, want.size)
		}
		kind, data, err := r.Read(t.Context(), want.id)
		if err != nil || kind != want.kind || int64(len(data)) != want.size {
			t.Fatalf("%s: %v, %d bytes, %v; want %v, %d", want.id, kind, len(data), err, want.kind, want.size)
		}
		if id := object.Hash(kind, data); id != want.id {
			t.Fatalf("content of %s has the name %s", want.id, id)
		}
	}
}

func TestObjects_everyObjectAsGitSees(t *testing.T) {
	for _, name := range []string{"made", "go-git.bundle"} {
		t.Run(name, func(t *testing.T) {
			var repository string
			if name == "made" {
				repository = gitfstest.NewRepository(t, 300)
			} else {
				repository = gitfstest.Bundle(t, name)
			}
			s, config := open(t)
			info := gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository))
			o := pin(t, s, info)
			all := allObjects(t, repository)
			if o.Count() != len(all) || int64(len(all)) != info.Objects {
				t.Fatalf("%d objects, registered %d, git has %d", o.Count(), info.Objects, len(all))
			}
			compare(t, o, all)
		})
	}
}

func TestObjects_smallCaches(t *testing.T) {
	repository := gitfstest.NewRepository(t, 300)
	s, config := open(t, func(c *store.Config) { c.BlockCacheBytes, c.BaseCacheBytes = 1<<20, 1 })
	o := pin(t, s, gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository)))
	compare(t, o, allObjects(t, repository))
}

func TestObjects_manyReaders(t *testing.T) {
	repository := gitfstest.NewRepository(t, 100)
	s, config := open(t)
	info := gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository))
	all := allObjects(t, repository)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			o, err := s.Objects(t.Context(), storage, []git.Pack{info})
			if err != nil {
				t.Error(err)
				return
			}
			defer o.Release()
			compare(t, o, all)
		})
	}
	readers.Wait()
}

func TestObjects_severalPacks(t *testing.T) {
	one, two := gitfstest.NewRepository(t, 30), gitfstest.NewRepository(t, 60)
	s, config := open(t)
	o := pin(t, s,
		gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, one)),
		gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, two)))
	compare(t, o, allObjects(t, one))
	compare(t, o, allObjects(t, two))
	if n := len(o.Packs()); n != 2 {
		t.Fatalf("%d packs", n)
	}
	main := git.MustParseObjectID(gitfstest.Git(t, two, "rev-parse", "main"))
	if found := o.WithPrefix(main, 12, 5); len(found) != 1 || found[0] != main {
		t.Fatalf("prefix of %s finds %v", main, found)
	}
	if found := o.WithPrefix(main, 0, 5); len(found) != 5 {
		t.Fatalf("no prefix finds %v", found)
	}
}

func TestObjects_absent(t *testing.T) {
	repository := gitfstest.NewRepository(t, 3)
	s, config := open(t)
	o := pin(t, s, gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository)))
	for _, id := range []git.ObjectID{{}, {0xff, 0xff}, {1}} {
		if o.Has(id) {
			t.Errorf("%s is there", id)
		}
		if _, _, err := o.Read(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("read %s: %v", id, err)
		}
		if _, _, err := o.Header(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("header of %s: %v", id, err)
		}
	}
}

func TestObjects_packEntries(t *testing.T) {
	repository := gitfstest.NewRepository(t, 100)
	s, config := open(t)
	packPath := gitfstest.PackFile(t, repository)
	o := pin(t, s, gitfstest.Install(t, config.SharedHome, storage, packPath))
	file, err := os.ReadFile(packPath)
	if err != nil {
		t.Fatal(err)
	}
	p := o.Packs()[0]
	offset := int64(12)
	for n := range p.Index().Len() {
		pos := p.Index().ByOffset(n)
		e, err := p.Entry(t.Context(), pos)
		if err != nil {
			t.Fatal(err)
		}
		if e.Offset != offset || e.DataOffset <= offset || e.End <= e.DataOffset {
			t.Fatalf("entry %d: %+v, the last ended at %d", n, e, offset)
		}
		offset = e.End
		stored, err := p.ReadStored(t.Context(), e.Offset, e.End-e.Offset)
		if err != nil || string(stored) != string(file[e.Offset:e.End]) {
			t.Fatalf("stored bytes of entry %d: %v", n, err)
		}
	}
	if offset != int64(len(file))-20 {
		t.Fatalf("entries end at %d of %d", offset, len(file))
	}
	var copied strings.Builder
	if err := p.CopyStored(t.Context(), &copied, 0, p.Bytes()); err != nil || copied.String() != string(file) {
		t.Fatalf("copy of the whole pack: %v", err)
	}
}

func TestObjects_openStreams(t *testing.T) {
	repository := gitfstest.NewRepository(t, 2)
	big := strings.Repeat("0123456789abcdef\n", 300_000)
	id := git.MustParseObjectID(gitfstest.GitInput(t, repository, []byte(big), "hash-object", "-w", "--stdin"))
	gitfstest.Git(t, repository, "tag", "big", id.String())
	s, config := open(t, func(c *store.Config) { c.Limits.MemoryObject = 1 << 20 })
	o := pin(t, s, gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository)))
	var tooLarge *store.TooLargeError
	if _, _, err := o.Read(t.Context(), id); !errors.As(err, &tooLarge) || tooLarge.Size != int64(len(big)) {
		t.Errorf("read into memory: %v", err)
	}
	kind, size, r, err := o.Open(t.Context(), id)
	if err != nil || kind != object.TypeBlob || size != int64(len(big)) {
		t.Fatalf("%v, %d, %v", kind, size, err)
	}
	defer func() { _ = r.Close() }()
	if content, err := io.ReadAll(bufio.NewReader(r)); err != nil || string(content) != big {
		t.Fatalf("%d bytes, %v", len(content), err)
	}
}

func TestObjects_missingPackIsUnavailable(t *testing.T) {
	repository := gitfstest.NewRepository(t, 3)
	s, config := open(t, func(c *store.Config) { c.RetryDelays = make([]time.Duration, 3) })
	info := gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository))
	dir := filepath.Join(config.SharedHome, "repos", storage[:2], storage, "objects", "pack")
	hidden := filepath.Join(t.TempDir(), "hidden")
	if err := os.Rename(dir, hidden); err != nil {
		t.Fatal(err)
	}
	var unavailable *store.UnavailableError
	if _, err := s.Objects(t.Context(), storage, []git.Pack{info}); !errors.As(err, &unavailable) {
		t.Fatalf("%v", err)
	}
	if err := os.Rename(hidden, dir); err != nil {
		t.Fatal(err)
	}
	compare(t, pin(t, s, info), allObjects(t, repository))
}

// Small indexes are read without a copy if the local home takes none, because it is full.
func TestObjects_noRoomForIndexes(t *testing.T) {
	repository := gitfstest.NewRepository(t, 3)
	s, config := open(t)
	info := gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository))
	// A file where the folder should be keeps out root, too.
	gitfstest.WriteFile(t, filepath.Join(config.LocalHome, "idx"), "in the way")
	compare(t, pin(t, s, info), allObjects(t, repository))
}

func TestObjects_cancelled(t *testing.T) {
	s, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Objects(ctx, storage, []git.Pack{{ID: git.ObjectID{1}, Bytes: 100}}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
