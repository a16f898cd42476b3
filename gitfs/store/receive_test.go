package store_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// packObjects lets git make a pack of what revs (lines as for git rev-list) select.
func packObjects(t testing.TB, repository string, revs string, args ...string) []byte {
	t.Helper()
	args = append([]string{"pack-objects", "--quiet", "--stdout", "--revs"}, args...)
	out, err := gitfstest.TryGit(t, repository, []byte(revs), args...)
	if err != nil {
		t.Fatalf("git pack-objects: %v\n%s", err, out)
	}
	return []byte(out)
}

// receive receives a pack that must be right.
func receive(t testing.TB, s *store.Store, base *store.Objects, packed []byte) *store.Quarantine {
	t.Helper()
	q, err := s.Receive(t.Context(), storage, base, bytes.NewReader(packed), store.ReceiveOptions{ToEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Discard(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// push receives and publishes a pack, and pins it with those that were there.
func push(t testing.TB, s *store.Store, packs []git.Pack, packed []byte) []git.Pack {
	t.Helper()
	q := receive(t, s, pin(t, s, packs...), packed)
	if err := q.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Discard(); err != nil {
		t.Fatal(err)
	}
	return append(packs, q.Pack())
}

func packFolder(config store.Config) string {
	return filepath.Join(config.SharedHome, "repos", storage[:2], storage, "objects", "pack")
}

// compareIndexes checks that the published files are those that git makes of the
// published pack, byte for byte. Those of a small pack are written first.
func compareIndexes(t *testing.T, config store.Config, info git.Pack) {
	t.Helper()
	another, err := store.Open(store.Config{SharedHome: config.SharedHome, LocalHome: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = another.Close() }()
	if err := another.WriteIndexes(t.Context(), storage, []git.Pack{info}); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(packFolder(config), "pack-"+info.ID.String())
	dir := t.TempDir()
	packed, err := os.ReadFile(base + ".pack")
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(packed)) != info.Bytes {
		t.Fatalf("pack has %d bytes, registered are %d", len(packed), info.Bytes)
	}
	copied := filepath.Join(dir, "p.pack")
	if err := os.WriteFile(copied, packed, 0o600); err != nil {
		t.Fatal(err)
	}
	// git chmods what it indexes; strict would ask for a repository.
	gitfstest.Git(t, dir, "index-pack", "--rev-index", copied)
	suffixes := []string{".idx"}
	if info.Objects >= store.ReverseFrom && info.Bytes > store.SmallPack {
		suffixes = append(suffixes, ".rev")
	} else if _, err := os.Stat(base + ".rev"); !os.IsNotExist(err) {
		t.Errorf("a .rev of %d objects, %v", info.Objects, err)
	}
	for _, suffix := range suffixes {
		ours, err := os.ReadFile(base + suffix)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.ReadFile(filepath.Join(dir, "p"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Errorf("%s differs from that of git index-pack", suffix)
		}
	}
}

func noJunk(t *testing.T, config store.Config) {
	t.Helper()
	for _, pattern := range []string{
		filepath.Join(config.LocalHome, "quarantine", "*"),
		filepath.Join(config.SharedHome, "repos", storage[:2], storage, "staging", "*", "*"),
	} {
		left, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			t.Errorf("%s is left", left[0])
		}
	}
}

func TestReceive_wholeRepositoryAndBack(t *testing.T) {
	for _, name := range []string{"made", "go-git.bundle", "git-v1.8.0.bundle"} {
		t.Run(name, func(t *testing.T) {
			var repository string
			if name == "made" {
				repository = gitfstest.NewRepository(t, 300)
			} else {
				repository = gitfstest.Bundle(t, name)
			}
			packed, err := os.Open(gitfstest.PackFile(t, repository))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = packed.Close() }()
			s, config := open(t)
			q, err := s.Receive(t.Context(), storage, nil, packed, store.ReceiveOptions{ToEnd: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = q.Discard() }()
			all := allObjects(t, repository)
			i := 0
			for id, kind := range q.New() {
				if i == len(all) || all[i].id != id || all[i].kind != kind {
					t.Fatalf("new object %d is %s %s", i, kind, id)
				}
				i++
			}
			if i != len(all) {
				t.Fatalf("%d new objects, %d expected", i, len(all))
			}
			if err := q.Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			info := q.Pack()
			if err := q.Discard(); err != nil {
				t.Fatal(err)
			}
			compareIndexes(t, config, info)
			noJunk(t, config)
			// Another node, which knows nothing but what is registered.
			other, err := store.Open(store.Config{SharedHome: config.SharedHome, LocalHome: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			o := pin(t, other, info)
			defer o.Release()
			index := o.Packs()[0].Index()
			slices.SortFunc(all, func(a, b listed) int { // as they lie there, for that is faster
				i, _ := index.Find(a.id)
				j, _ := index.Find(b.id)
				return cmp.Compare(index.Offset(i), index.Offset(j))
			})
			compare(t, o, all)
		})
	}
}

func TestReceive_pushAfterPush(t *testing.T) {
	repository := gitfstest.NewRepository(t, 120)
	s, config := open(t)
	var packs []git.Pack
	last := ""
	for _, n := range []int{100, 60, 59, 20, 1, 0} {
		revs := fmt.Sprintf("main~%d\n", n)
		packed := packObjects(t, repository, revs+last, "--thin", "--delta-base-offset")
		last += "^" + revs
		packs = push(t, s, packs, packed)
		compareIndexes(t, config, packs[len(packs)-1])
	}
	packs = push(t, s, packs, packObjects(t, repository, "v1\nv1-again\n"+last, "--thin"))
	compare(t, pin(t, s, packs...), allObjects(t, repository))
	noJunk(t, config)

	// What lies on the shared home is what git understands, too.
	check := filepath.Join(t.TempDir(), "check.git")
	gitfstest.Git(t, "", "init", "--quiet", "--bare", check)
	alternates := filepath.Join(check, "objects", "info", "alternates")
	if err := os.WriteFile(alternates, []byte(filepath.Dir(packFolder(config))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gitfstest.Git(t, check, "update-ref", "refs/heads/main", gitfstest.Git(t, repository, "rev-parse", "main"))
	gitfstest.Git(t, check, "fsck", "--full", "--strict")
}

func TestReceive_viewHasBoth(t *testing.T) {
	repository := gitfstest.NewRepository(t, 50)
	s, config := open(t)
	packs := push(t, s, nil, packObjects(t, repository, "main~10\n"))
	q := receive(t, s, pin(t, s, packs...), packObjects(t, repository, "main\n^main~10\n", "--thin"))
	gitfstest.Git(t, repository, "update-ref", "-d", "refs/tags/v1")
	gitfstest.Git(t, repository, "update-ref", "-d", "refs/tags/v1-again")
	gitfstest.Git(t, repository, "repack", "-a", "-d", "--quiet")
	compare(t, q.View(), allObjects(t, repository))
	if err := q.Discard(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(packFolder(config))
	if err != nil || len(files) != 1 { // the pack is small
		t.Fatalf("%d files of the first pack, %v", len(files), err)
	}
}

func TestReceive_noObjects(t *testing.T) {
	s, config := open(t)
	repository := gitfstest.NewRepository(t, 1)
	q := receive(t, s, nil, packObjects(t, repository, "main\n^main\n"))
	if q.Pack() != (git.Pack{}) {
		t.Fatalf("%+v", q.Pack())
	}
	for id := range q.New() {
		t.Errorf("new object %s", id)
	}
	if err := q.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(packFolder(config)); !os.IsNotExist(err) {
		t.Fatal("something was published")
	}
}

func TestReceive_samePackTwice(t *testing.T) {
	s, config := open(t)
	repository := gitfstest.NewRepository(t, 20)
	packed := packObjects(t, repository, "main\n")
	packs := push(t, s, nil, packed)
	again := push(t, s, nil, packed)
	if packs[0] != again[0] {
		t.Fatalf("%v and %v", packs, again)
	}
	q := receive(t, s, pin(t, s, packs...), packed) // all of it is there
	if err := q.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	noJunk(t, config)
}

func TestReceive_progress(t *testing.T) {
	s, _ := open(t)
	repository := gitfstest.NewRepository(t, 400)
	var last string
	q, err := s.Receive(t.Context(), storage, nil, bytes.NewReader(packObjects(t, repository, "main\n")), store.ReceiveOptions{
		Progress: func(phase string, done, total int64) { last = fmt.Sprint(phase, done >= total) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Discard() }()
	if last != "resolvingtrue" {
		t.Fatal(last)
	}
}

func TestReceive_cancelled(t *testing.T) {
	s, config := open(t)
	repository := gitfstest.NewRepository(t, 50)
	packed := packObjects(t, repository, "main\n")
	for _, at := range []string{"receiving", "resolving"} {
		ctx, cancel := context.WithCancel(t.Context())
		in := &notifyingReader{from: bytes.NewReader(packed), left: len(packed)}
		if at == "receiving" {
			in.left /= 2
		}
		in.then = cancel
		if _, err := s.Receive(ctx, storage, nil, in, store.ReceiveOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("while %s: %v", at, err)
		}
		noJunk(t, config)
	}
}

// notifyingReader calls then once so many bytes were read.
type notifyingReader struct {
	from io.Reader
	left int
	then func()
}

func (r *notifyingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p[:min(len(p), 1000)])
	if r.left -= n; r.left <= 0 {
		r.then()
	}
	return n, err
}

// TestReceive_manyPacks: a repository before anything has put its packs together.
func TestReceive_manyPacks(t *testing.T) {
	s, _ := open(t, func(c *store.Config) { c.IdleFiles, c.IdleIndexBytes = 10, 50<<10 })
	var packs []git.Pack
	for i := range 200 {
		f := forge(t)
		f.blob(fmt.Sprintf("blob %d", i))
		q := receive(t, s, nil, f.bytes())
		if err := q.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		packs = append(packs, q.Pack())
	}
	for range 2 {
		o := pin(t, s, packs...)
		for i := range packs {
			content := fmt.Sprintf("blob %d", i)
			if _, data, err := o.Read(t.Context(), object.Hash(object.TypeBlob, []byte(content))); err != nil || string(data) != content {
				t.Fatalf("%q, %v", data, err)
			}
		}
		o.Release()
		o.Release() // does nothing
	}
}
