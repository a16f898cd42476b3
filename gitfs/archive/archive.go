package archive

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// Format is how the files are put together.
type Format string

// The formats.
const (
	Zip   Format = "zip"
	Tar   Format = "tar"
	TarGz Format = "tar.gz"
)

// ParseFormat reads a format's name; tgz is another one of tar.gz.
func ParseFormat(name string) (Format, bool) {
	switch name {
	case "zip", "tar", "tar.gz":
		return Format(name), true
	case "tgz":
		return TarGz, true
	}
	return "", false
}

// Request says what to put into an archive.
type Request struct {
	Commit git.ObjectID // zero if only a tree is asked for
	Tree   git.ObjectID // zero: that of Commit
	Paths  []string     // files, folders or wildcard patterns; none means everything
	Prefix string       // put before every name
	Format Format
	Level  int       // of compression, 1 to 9; 0 is the usual
	Time   time.Time // of the entries if there is no commit
}

// Limits of a request.
const (
	MaxPaths  = 1000
	MaxPrefix = 4096 // bytes
)

// Archiver makes archives. It is safe for concurrent use.
type Archiver struct {
	store *store.Store
	turns chan struct{} // a token for each archive being written
}

// NewArchiver makes an Archiver that writes twice as many archives at a time as there are
// processors; others wait.
func NewArchiver(s *store.Store) *Archiver {
	return &Archiver{store: s, turns: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
}

// Archive is one that is ready to be written.
type Archive struct {
	archiver *Archiver
	request  Request
	snapshot *gitfs.Snapshot
	objects  *store.Objects
	commit   *object.Commit // nil without one
	paths    pathspec
	release  bool // objects are the archive's own
}

// Prepare checks a request before the first byte is written. The caller must Close what it
// returns. The commit or tree is one that the caller may see. Errors:
// *domain.NotFoundError about the "path" that matches nothing, *domain.InvalidError, and
// those of the store.
func (a *Archiver) Prepare(ctx context.Context, s *gitfs.Snapshot, r Request) (*Archive, error) {
	objects, err := a.store.Objects(ctx, s.Storage, s.Packs)
	if err != nil {
		return nil, err
	}
	prepared, err := a.prepare(ctx, s, objects, r)
	if err != nil {
		objects.Release()
		return nil, err
	}
	prepared.release = true
	return prepared, nil
}

func (a *Archiver) prepare(ctx context.Context, s *gitfs.Snapshot, objects *store.Objects, r Request) (*Archive, error) {
	prepared := &Archive{archiver: a, request: r, snapshot: s, objects: objects}
	switch {
	case len(r.Paths) > MaxPaths:
		return nil, domain.Invalid("path", "An archive can be of at most %d paths.", MaxPaths)
	case len(r.Prefix) > MaxPrefix:
		return nil, domain.Invalid("prefix", "The prefix can have at most %d bytes.", MaxPrefix)
	}
	if !r.Commit.IsZero() {
		t, data, err := objects.Read(ctx, r.Commit)
		if err != nil {
			return nil, err
		}
		if t != object.TypeCommit {
			return nil, domain.NotFound("commit", "%s is a %s and no commit.", r.Commit, t)
		}
		if prepared.commit, err = object.ParseCommit(data); err != nil {
			return nil, err
		}
		prepared.request.Time = prepared.commit.Committer.When
		if r.Tree.IsZero() {
			prepared.request.Tree = prepared.commit.Tree
		}
	}
	var err error
	if prepared.paths, err = parsePathspec(r.Paths); err != nil {
		return nil, err
	}
	for _, one := range prepared.paths {
		found, err := prepared.exists(ctx, one)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, domain.NotFound("path", "The path %q does not match any file.", one.text)
		}
	}
	return prepared, nil
}

// Close ends the use of the archive.
func (a *Archive) Close() {
	if a.release {
		a.objects.Release()
	}
}

// entry is what a format writes: a folder (content is nil), a file, a symbolic link (its
// content is its target) or a gitlink.
type entry struct {
	name    string // with the prefix; a slash at its end for folders and gitlinks
	mode    object.FileMode
	id      git.ObjectID
	size    int64
	content io.Reader
}

// writer is a format.
type writer interface {
	write(e entry) error
	close() error
}

// Write writes the archive. An error leaves it broken off.
func (a *Archive) Write(ctx context.Context, w io.Writer) error {
	select {
	case a.archiver.turns <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-a.archiver.turns }()
	w = &cancelled{ctx, w}
	switch a.request.Format {
	case Tar:
		return a.write(ctx, newTar(w, a.request.Commit, a.request.Time))
	case TarGz:
		level := a.request.Level
		if level == 0 {
			level = gzip.DefaultCompression
		}
		packed, err := gzip.NewWriterLevel(w, level)
		if err != nil {
			return err
		}
		if err := a.write(ctx, newTar(packed, a.request.Commit, a.request.Time)); err != nil {
			return err
		}
		return packed.Close()
	case Zip:
		return a.write(ctx, newZip(w, a.request))
	}
	return fmt.Errorf("archive: unknown format %q", a.request.Format)
}

func (a *Archive) write(ctx context.Context, w writer) error {
	if err := a.walk(ctx, w); err != nil {
		return err
	}
	return w.close()
}

// cancelled writes until its context ends.
type cancelled struct {
	ctx context.Context
	w   io.Writer
}

func (c *cancelled) Write(b []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
