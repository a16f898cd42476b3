package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// faultyFiles is a shared home one of whose calls fails.
type faultyFiles struct {
	store.Files
	mu     sync.Mutex
	err    error
	failAt int  // which call, from 1; 0: none
	after  bool // the call is done, only its answer is lost
	calls  int
	log    []string
}

// do makes a call, or fails.
func (f *faultyFiles) do(name string, call func() error) error {
	f.mu.Lock()
	f.calls++
	fail := f.calls == f.failAt
	f.log = append(f.log, name)
	f.mu.Unlock()
	if fail && !f.after {
		return f.err
	}
	err := call()
	if fail && err == nil {
		return f.err
	}
	return err
}

func (f *faultyFiles) arm(failAt int, after bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.log, f.failAt, f.after, f.err = 0, nil, failAt, after, err
}

func (f *faultyFiles) Open(name string) (file store.File, err error) {
	err = f.do("open", func() error { file, err = f.Files.Open(name); return err })
	if err != nil {
		if file != nil {
			_ = file.Close()
		}
		return nil, err
	}
	return faultyFile{file, f}, nil
}

func (f *faultyFiles) Create(name string) (file store.NewFile, err error) {
	err = f.do("create", func() error { file, err = f.Files.Create(name); return err })
	if err != nil {
		if file != nil {
			_ = file.Close()
		}
		return nil, err
	}
	return faultyNewFile{file, f}, nil
}

func (f *faultyFiles) Mkdir(name string) error {
	return f.do("mkdir", func() error { return f.Files.Mkdir(name) })
}

func (f *faultyFiles) Rename(from, to string) error {
	return f.do("rename", func() error { return f.Files.Rename(from, to) })
}

func (f *faultyFiles) Stat(name string) (size int64, err error) {
	err = f.do("stat", func() error { size, err = f.Files.Stat(name); return err })
	return size, err
}

func (f *faultyFiles) ReadDir(name string) (names []string, err error) {
	err = f.do("readdir", func() error { names, err = f.Files.ReadDir(name); return err })
	return names, err
}

func (f *faultyFiles) SyncDir(name string) error {
	return f.do("syncdir", func() error { return f.Files.SyncDir(name) })
}

func (f *faultyFiles) Remove(name string) error {
	return f.do("remove", func() error { return f.Files.Remove(name) })
}

type faultyFile struct {
	store.File
	files *faultyFiles
}

func (f faultyFile) ReadAt(p []byte, offset int64) (n int, err error) {
	err = f.files.do("read", func() error { n, err = f.File.ReadAt(p, offset); return err })
	if err != nil && errors.Is(err, f.files.err) {
		n = 0
	}
	return n, err
}

type faultyNewFile struct {
	store.NewFile
	files *faultyFiles
}

func (f faultyNewFile) Write(p []byte) (n int, err error) {
	err = f.files.do("write", func() error { n, err = f.NewFile.Write(p[:len(p)/2]); return err })
	if err != nil {
		return n, err // half of it is written
	}
	m, err := f.NewFile.Write(p[n:])
	return n + m, err
}

func (f faultyNewFile) Sync() error  { return f.files.do("sync", f.NewFile.Sync) }
func (f faultyNewFile) Close() error { return f.files.do("close", f.NewFile.Close) }

// openFaulty opens a store on a shared home that can be made to fail.
func openFaulty(t *testing.T) (*store.Store, store.Config, *faultyFiles) {
	files := &faultyFiles{}
	s, config := open(t, func(c *store.Config) {
		files.Files = store.DirFiles(c.SharedHome)
		c.Files = files
		c.RetryDelays = make([]time.Duration, 3)
	})
	return s, config, files
}

// TestPublish_everyCallFails lets each call of a publication fail in turn, in
// different ways.
func TestPublish_everyCallFails(t *testing.T) {
	small, large := forge(t), forge(t)
	small.blob("x")
	large.blob("x")
	large.ballast()
	next := forge(t)
	next.refDelta(object.Hash(object.TypeBlob, []byte("x")), replaceDelta(1, "y"))
	for _, way := range []struct {
		fault error
		after bool // the call is done, only its answer is lost
		least int  // calls that make a publication fail
		first []byte
	}{
		{syscall.EIO, false, 14, large.bytes()},
		{syscall.EIO, true, 0, large.bytes()},
		{syscall.ENOSPC, false, 14, large.bytes()},
		{syscall.ESTALE, false, 14, large.bytes()},
		{syscall.ENOENT, true, 0, large.bytes()},
		{syscall.EIO, false, 9, small.bytes()},
		{syscall.EIO, true, 0, small.bytes()},
		{syscall.ENOENT, true, 0, small.bytes()},
	} {
		fault, after, first := way.fault, way.after, way.first
		t.Run(fmt.Sprintf("%v, done %v, %d bytes", fault, after, len(first)), func(t *testing.T) {
			failures := 0
			for failAt := 1; ; failAt++ {
				s, config, files := openFaulty(t)
				q := receive(t, s, nil, first)
				files.arm(failAt, after, fault)
				err := q.Publish(t.Context())
				calls, called := files.calls, files.log
				files.arm(0, false, nil)
				if calls < failAt {
					if err != nil {
						t.Fatalf("nothing failed, but: %v", err)
					}
					break
				}
				what := called[failAt-1]
				var failed *store.PublishError
				if err != nil {
					failures++
					// The log says why, the user is not told where.
					if !errors.As(err, &failed) || !strings.Contains(err.Error(), failed.Err.Error()) || strings.Contains(failed.Text(), config.SharedHome) {
						t.Fatalf("%s %d: %T %v", what, failAt, err, err)
					}
				}
				filesAreWhole(t, config, q.Pack())
				if what != "remove" && what != "mkdir" {
					noStaging(t, config)
				}
				// The next attempt works, and so does the next push.
				if err := q.Publish(t.Context()); err != nil {
					t.Fatalf("%s %d failed, and then: %v", what, failAt, err)
				}
				for _, p := range push(t, s, []git.Pack{q.Pack()}, next.bytes()) {
					compareExact(t, config, p)
				}
			}
			if failures < way.least {
				t.Errorf("only %d calls made the publication fail", failures)
			}
		})
	}
}

// filesAreWhole checks that whatever has a final name has all of its content.
func filesAreWhole(t *testing.T, config store.Config, info git.Pack) {
	t.Helper()
	path := filepath.Join(packFolder(config), "pack-"+info.ID.String()+".pack")
	switch size, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		for _, suffix := range []string{".rev", ".idx"} {
			if _, err := os.Stat(strings.TrimSuffix(path, ".pack") + suffix); err == nil {
				t.Errorf("%s without a pack", suffix)
			}
		}
	case err != nil:
		t.Fatal(err)
	case size.Size() != info.Bytes:
		t.Errorf("pack of %d instead of %d bytes", size.Size(), info.Bytes)
	}
}

func noStaging(t *testing.T, config store.Config) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(config.SharedHome, "repos", storage[:2], storage, "staging", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%s is left in staging, %v", left, err)
	}
}

// compareExact reads every object of a published pack.
func compareExact(t *testing.T, config store.Config, info git.Pack) {
	t.Helper()
	s, err := store.Open(store.Config{SharedHome: config.SharedHome, LocalHome: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	o := pin(t, s, info)
	defer o.Release()
	for pos := range o.Count() {
		if _, _, err := o.Read(t.Context(), o.Packs()[0].Index().ID(pos)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPublish_lostRenameAnswer(t *testing.T) {
	s, config, files := openFaulty(t)
	f := forge(t)
	f.blob("x")
	q := receive(t, s, nil, f.bytes())
	// The first rename is done, and then said to have found nothing.
	for failAt := 1; ; failAt++ {
		files.arm(failAt, true, syscall.ENOENT)
		err := q.Publish(t.Context())
		if files.calls < failAt {
			t.Fatal("no rename")
		}
		if files.log[failAt-1] == "rename" {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if err := os.RemoveAll(filepath.Join(config.SharedHome, "repos")); err != nil {
			t.Fatal(err)
		}
	}
	compareExact(t, config, q.Pack())
}

// TestPublish_neverOverwrites: a file with the name of a pack but other content
// stays, and the push fails.
func TestPublish_neverOverwrites(t *testing.T) {
	for _, suffix := range []string{".pack", ".idx", ".rev"} {
		small := suffix == ".pack"
		objects := 1
		if suffix == ".rev" {
			objects = store.ReverseFrom
		}
		for _, size := range []string{"same", "other"} {
			t.Run(suffix+" of "+size+" size", func(t *testing.T) {
				s, config := open(t)
				f := forge(t)
				for i := range objects {
					f.blob(fmt.Sprint("x", i))
				}
				if !small {
					f.ballast()
				}
				q := receive(t, s, nil, f.bytes())
				if err := q.Publish(t.Context()); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(packFolder(config), "pack-"+q.Pack().ID.String()+suffix)
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				content[len(content)/2] ^= 1
				if size == "other" {
					content = append(content, 'x')
				}
				if err := errors.Join(os.Remove(path), os.WriteFile(path, content, 0o600)); err != nil {
					t.Fatal(err)
				}
				var failed *store.PublishError
				if err := q.Publish(t.Context()); !errors.As(err, &failed) {
					t.Fatal(err)
				}
				if after, err := os.ReadFile(path); err != nil || string(after) != string(content) {
					t.Errorf("it was changed, %v", err)
				}
			})
		}
	}
}

// TestPublish_cost counts what a push asks of the shared home.
func TestPublish_cost(t *testing.T) {
	s, _, files := openFaulty(t)
	f := forge(t)
	f.blob("x")
	push(t, s, nil, f.bytes())
	f = forge(t)
	f.blob("y")
	files.arm(0, false, nil)
	packs := push(t, s, nil, f.bytes())
	published := files.calls
	// stat, create, write, sync, close, rename, syncdir, open, read
	if published > 9 {
		t.Errorf("%d calls: %v", published, files.log)
	}
	o := pin(t, s, packs...)
	if _, _, err := o.Read(t.Context(), o.Packs()[0].Index().ID(0)); err != nil {
		t.Fatal(err)
	}
	if reads := files.calls - published; reads != 0 { // what has just been pushed is in memory
		t.Errorf("%d calls to read: %v", reads, files.log[published:])
	}
}

// TestObjects_everyCallFails: whatever fails, an object that is there is never
// said not to be.
func TestObjects_everyCallFails(t *testing.T) {
	repository := gitfstest.NewRepository(t, 5)
	path := gitfstest.PackFile(t, repository)
	all := allObjects(t, repository)
	for _, fault := range []error{syscall.EIO, syscall.ESTALE, syscall.ENOENT} {
		for failAt := 1; ; failAt++ {
			s, config, files := openFaulty(t)
			info := gitfstest.Install(t, config.SharedHome, storage, path)
			files.arm(failAt, false, fault)
			err := func() error {
				o, err := s.Objects(t.Context(), storage, []git.Pack{info})
				if err != nil {
					return err
				}
				defer o.Release()
				_, _, err = o.Read(t.Context(), all[0].id)
				return err
			}()
			if files.calls < failAt {
				break
			}
			var unavailable *store.UnavailableError
			if err != nil && !errors.As(err, &unavailable) {
				t.Errorf("%v in call %d: %v", fault, failAt, err)
			}
			if gone := !errors.Is(fault, syscall.EIO); gone && err != nil {
				t.Errorf("%v in call %d was not tried again: %v", fault, failAt, err)
			}
			files.arm(0, false, nil)
			compare(t, pin(t, s, info), all)
		}
	}
}

// TestObjects_staleWhileReading: another host replaced the file behind our handle.
func TestObjects_staleWhileReading(t *testing.T) {
	repository := gitfstest.NewRepository(t, 5)
	s, config, files := openFaulty(t)
	o := pin(t, s, gitfstest.Install(t, config.SharedHome, storage, gitfstest.PackFile(t, repository)))
	all := allObjects(t, repository)
	if _, _, err := o.Header(t.Context(), all[0].id); err != nil {
		t.Fatal(err)
	}
	p := o.Packs()[0]
	files.arm(1, false, syscall.ESTALE)
	if err := p.CopyStored(t.Context(), nopWriter{}, 0, p.Bytes()); err != nil {
		t.Fatal(err)
	}
}

type nopWriter struct{}

func (nopWriter) Write(p []byte) (int, error) { return len(p), nil }

func TestOpen_removesOldQuarantine(t *testing.T) {
	config := store.Config{SharedHome: t.TempDir(), LocalHome: t.TempDir()}
	left := filepath.Join(config.LocalHome, "quarantine", "01OLD")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "body-1"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestOpen_validates(t *testing.T) {
	dir := t.TempDir()
	for name, config := range map[string]store.Config{
		"no shared home": {LocalHome: dir},
		"no local home":  {SharedHome: dir},
		"node name":      {SharedHome: dir, LocalHome: dir, Node: "../x"},
		"block cache":    {SharedHome: dir, LocalHome: dir, BlockCacheBytes: 5},
		"workers":        {SharedHome: dir, LocalHome: dir, Workers: -1},
		"limits":         {SharedHome: dir, LocalHome: dir, Limits: store.Limits{MemoryObject: 1 << 40}},
	} {
		if _, err := store.Open(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	s, _ := open(t)
	for _, bad := range []string{"", "x", "../../etc", "a/b", ".hidden", "-option", strings.Repeat("a", 65)} {
		if _, err := s.Objects(t.Context(), bad, nil); err == nil {
			t.Errorf("storage %q: accepted", bad)
		}
	}
}

// TestObjects_damagedLocalCopy: the local home may be lost, or left half written
// by a crash.
func TestObjects_damagedLocalCopy(t *testing.T) {
	repository := gitfstest.NewRepository(t, 250) // so many that there is a .rev
	path := gitfstest.PackFile(t, repository)
	for name, damage := range map[string]func(path string) error{
		"gone":     os.Remove,
		"empty":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"cut":      func(path string) error { return os.Truncate(path, 100) },
		"of zeros": func(path string) error { return os.WriteFile(path, make([]byte, 2000), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			s, config := open(t)
			info := gitfstest.Install(t, config.SharedHome, storage, path)
			pin(t, s, info).Release()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			copies, err := filepath.Glob(filepath.Join(config.LocalHome, "idx", storage, "*"))
			if err != nil || len(copies) != 2 {
				t.Fatalf("%v, %v", copies, err)
			}
			for _, c := range copies {
				if err := damage(c); err != nil {
					t.Fatal(err)
				}
			}
			s, err = store.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			o := pin(t, s, info)
			defer o.Release()
			compare(t, o, allObjects(t, repository))
		})
	}
}
