package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/annal-git/annal/gitfs/faultpoint"
)

// PublishError says that a pack could not be made durable on the shared home. What
// is left of it there is in no repository and harms nobody.
type PublishError struct {
	Step string // such as "sync pack-<id>.pack"
	Err  error  // for the log: it may name paths
}

func (e *PublishError) Error() string { return "the pack could not be stored: " + e.Step + " failed" }

func (e *PublishError) Unwrap() error { return e.Err }

// Publish puts the pack where every node finds it. When it returns nil, the pack
// and its indexes are durable under their final names. It does so as the rules of
// network file systems ask: files are written under a name that nobody else uses,
// synced and closed with all errors looked at, and renamed, the .idx last; then the
// folder is synced. Errors are *PublishError; the quarantine is as it was, and
// Publish may be tried again.
//
// If the same pack is there already, it is compared and kept.
func (q *Quarantine) Publish(ctx context.Context) error {
	if q.pack == nil {
		return nil
	}
	p := &publication{q: q, ctx: ctx, files: q.store.files}
	if err := p.run(); err != nil {
		return err
	}
	q.keepIndexes()
	return nil
}

// publication is one Publish under way.
type publication struct {
	q       *Quarantine
	ctx     context.Context // of the call to Publish
	files   Files
	staging string   // our folder
	staged  []string // files in it
}

// packPart is one of the three files of a pack.
type packPart struct {
	suffix                   string
	spool                    *spool
	written, synced, renamed string // fault points
}

func (q *Quarantine) parts() []packPart {
	return []packPart{
		{"pack", &q.spool, PackWritten, PackSynced, PackRenamed},
		{"rev", &q.rev, RevWritten, RevSynced, RevRenamed},
		{"idx", &q.idx, IdxWritten, IdxSynced, IdxRenamed},
	}
}

func (p *publication) run() error {
	if err := p.makeStaging(); err != nil {
		return err
	}
	defer p.cleanUp()
	parts := p.q.parts()
	for _, part := range parts {
		if err := p.stage(part); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if err := p.place(part); err != nil {
			return err
		}
		faultpoint.Reach(part.renamed)
	}
	if err := p.do("sync the folder of packs", func() error { return p.files.SyncDir(packDir(p.q.storage)) }); err != nil {
		return err
	}
	faultpoint.Reach(FolderSynced)
	return p.verify()
}

// do makes one call to the shared home.
func (p *publication) do(step string, call func() error) error {
	err := p.q.store.useShared(p.ctx, call)
	if err != nil && !isCancelled(err) {
		return &PublishError{Step: step, Err: err}
	}
	return err
}

// makeStaging makes our folder, and for the first pack of a repository all others.
// The folder of staging folders comes last, when the others are durable: if it is
// there, they are.
func (p *publication) makeStaging() error {
	parent := stagingDir(p.q.storage)
	p.staging = path.Join(parent, p.q.store.config.Node+"-"+newName())
	mkdir := func() error { return p.mkdir(p.staging) }
	err := p.do("make a folder", mkdir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var made []string
	for dir := packDir(p.q.storage); dir != "."; dir = path.Dir(dir) {
		made = append(made, dir)
	}
	for i := len(made) - 1; i >= 0; i-- {
		if err := p.do("make a folder", func() error { return p.mkdir(made[i]) }); err != nil {
			return err
		}
		if err := p.do("sync a folder", func() error { return p.files.SyncDir(path.Dir(made[i])) }); err != nil {
			return err
		}
	}
	if err := p.do("make a folder", func() error { return p.mkdir(parent) }); err != nil {
		return err
	}
	return p.do("make a folder", mkdir)
}

// mkdir takes a folder that is there for made: by another node, or by this call,
// repeated by the network after its answer was lost.
func (p *publication) mkdir(name string) error {
	if err := p.files.Mkdir(name); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// stage writes a file to our folder and makes it durable.
func (p *publication) stage(part packPart) error {
	name := path.Join(p.staging, packFile(p.q.info.ID, part.suffix))
	file := path.Base(name)
	var f NewFile
	err := p.do("create "+file, func() (err error) { f, err = p.files.Create(name); return err })
	p.staged = append(p.staged, name) // it may be there even after an error
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			_ = f.Close()
		}
	}()
	from := part.spool.reader()
	chunk := make([]byte, min(from.Size(), 1<<20))
	for from.Size() > 0 {
		n, err := io.ReadFull(from, chunk)
		if err == io.EOF {
			break
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return &PublishError{Step: "read " + file, Err: err}
		}
		if err := p.do("write "+file, func() error { _, err := f.Write(chunk[:n]); return err }); err != nil {
			return err
		}
	}
	faultpoint.Reach(part.written)
	// After a failed sync the content is gone, whatever a second one says.
	if err := p.do("sync "+file, f.Sync); err != nil {
		return err
	}
	closed = true
	if err := p.do("close "+file, f.Close); err != nil {
		return err
	}
	faultpoint.Reach(part.synced)
	return nil
}

// place renames a file to its final name. A name that is taken is never renamed
// over: it must hold the same, from another push of the same pack.
func (p *publication) place(part packPart) error {
	from := path.Join(p.staging, packFile(p.q.info.ID, part.suffix))
	to := path.Join(packDir(p.q.storage), path.Base(from))
	size, err := p.stat(to)
	if err == nil {
		return p.compare(to, size, part.spool)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	renameErr := p.do("rename "+path.Base(to), func() error { return p.files.Rename(from, to) })
	if renameErr == nil {
		p.staged = slices.DeleteFunc(p.staged, func(name string) bool { return name == from })
	}
	if renameErr == nil || isCancelled(renameErr) {
		return renameErr
	}
	// The answer to a rename that has worked may have been lost, and the repeated
	// call then finds nothing to rename.
	if size, err := p.stat(to); err == nil && size == part.spool.size {
		return nil
	}
	return renameErr
}

func (p *publication) stat(name string) (size int64, err error) {
	err = p.do("look at "+path.Base(name), func() (err error) { size, err = p.files.Stat(name); return err })
	return size, err
}

var errOtherPack = errors.New("another pack has the same name")

// compare reads a file that is there and compares it with ours.
func (p *publication) compare(name string, size int64, ours *spool) error {
	step := "compare " + path.Base(name)
	if size != ours.size {
		return &PublishError{Step: step, Err: errOtherPack}
	}
	var f File
	if err := p.do(step, func() (err error) { f, err = p.files.Open(name); return err }); err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	const chunk = 1 << 20
	theirs, mine := make([]byte, min(size, chunk)), make([]byte, min(size, chunk))
	for at := int64(0); at < size; at += chunk {
		theirs, mine = theirs[:min(chunk, size-at)], mine[:min(chunk, size-at)]
		if err := p.do(step, func() error { return readFull(f, theirs, at) }); err != nil {
			return err
		}
		if err := readFull(ours, mine, at); err != nil {
			return &PublishError{Step: step, Err: err}
		}
		if !bytes.Equal(theirs, mine) {
			return &PublishError{Step: step, Err: errOtherPack}
		}
	}
	return nil
}

// verify looks at the end of the .idx under its final name, which shows that the
// server has kept what it promised.
func (p *publication) verify() error {
	name := path.Join(packDir(p.q.storage), packFile(p.q.info.ID, "idx"))
	const n = 40 // checksums of pack and index
	got, want := make([]byte, n), make([]byte, n)
	if err := readFull(&p.q.idx, want, p.q.idx.size-n); err != nil {
		return &PublishError{Step: "verify " + path.Base(name), Err: err}
	}
	return p.do("verify "+path.Base(name), func() error {
		f, err := p.files.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := readFull(f, got, p.q.idx.size-n); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s does not hold what was written", name)
		}
		return nil
	})
}

func readFull(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	return err
}

// cleanUp removes what is left of the staging folder. If that fails it stays, and
// nobody reads it.
func (p *publication) cleanUp() {
	for _, name := range p.staged {
		_ = p.files.Remove(name)
	}
	_ = p.files.Remove(p.staging)
}

// keepIndexes puts copies of the indexes where the first reader on this node looks
// for them. If that fails, the reader gets them from the shared home.
func (q *Quarantine) keepIndexes() {
	dir := filepath.Join(q.store.config.LocalHome, localIndexes, q.storage)
	if os.MkdirAll(dir, 0o777) != nil {
		return
	}
	for _, part := range q.parts()[1:] {
		content, err := part.spool.bytes()
		if err == nil {
			_ = writeLocal(dir, packFile(q.info.ID, part.suffix), content)
		}
	}
}
