package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/faultpoint"
	"github.com/annal-git/annal/gitfs/pack"
)

// PublishError says that a pack could not be made durable on the shared home. What
// is left of it there is in no repository and harms nobody.
type PublishError struct {
	Step string // such as "sync pack-<id>.pack"
	Err  error  // for the log: it may name paths
}

func (e *PublishError) Error() string { return fmt.Sprintf("%s: %v", e.Text(), e.Err) }

// Text is what a user may be told of it: Error says why, too, which may name a path.
func (e *PublishError) Text() string { return "the pack could not be stored: " + e.Step + " failed" }

func (e *PublishError) Unwrap() error { return e.Err }

// Publish puts the pack where every node finds it. When it returns nil, the pack
// and its indexes, which a small one has not, are durable under their final names. It does so as the rules of
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
	parts := []packPart{{"pack", &q.spool, q.spool.size, PackWritten, PackSynced, PackRenamed}}
	if !q.pack.small {
		if q.info.Objects >= reverseFrom {
			parts = append(parts, packPart{"rev", &q.rev, q.rev.size, RevWritten, RevSynced, RevRenamed})
		}
		parts = append(parts, packPart{"idx", &q.idx, q.idx.size, IdxWritten, IdxSynced, IdxRenamed})
	}
	if err := q.store.publish(ctx, q.storage, q.info.ID, parts); err != nil {
		return err
	}
	q.keep()
	return nil
}

// packPart is one of the files of a pack.
type packPart struct {
	suffix                   string
	content                  io.ReaderAt
	size                     int64  // bytes
	written, synced, renamed string // fault points
}

// publish makes the files of a pack durable. The first of them is the .pack, the last
// the .idx if there is one.
func (s *Store) publish(ctx context.Context, storage string, id git.ObjectID, parts []packPart) error {
	p := &publication{store: s, ctx: ctx, storage: storage, id: id, parts: parts, staged: make([]string, len(parts))}
	return p.run()
}

// publication is one pack on its way to the shared home.
type publication struct {
	store   *Store
	ctx     context.Context // of the call to publish
	storage string
	id      git.ObjectID
	parts   []packPart
	staged  []string // files in the staging folder, of each part; "" once it is renamed
}

func (p *publication) run() error {
	defer p.cleanUp()
	unique := newName()
	for i, part := range p.parts {
		p.staged[i] = path.Join(p.stagingDir(), unique+"."+part.suffix)
	}
	// The first makes the folders, if need be.
	first, err := p.create(0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := p.makeFolders(); err != nil {
			return err
		}
		first, err = p.create(0)
	}
	if err != nil {
		return err
	}
	var group errgroup.Group // syncs take their time, and side by side not more than one
	group.Go(func() error { return p.write(0, first) })
	for i := 1; i < len(p.parts); i++ {
		group.Go(func() error {
			f, err := p.create(i)
			if err != nil {
				return err
			}
			return p.write(i, f)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := p.place(); err != nil {
		return err
	}
	if err := p.do("sync the folder of packs", func() error { return p.store.files.SyncDir(packDir(p.storage)) }); err != nil {
		return err
	}
	faultpoint.Reach(FolderSynced)
	return p.verify()
}

// do makes one call to the shared home.
func (p *publication) do(step string, call func() error) error {
	err := p.store.useShared(p.ctx, call)
	if err != nil && !isCancelled(err) {
		return &PublishError{Step: step, Err: err}
	}
	return err
}

// stagingDir is where this node writes files before they get their names. It stays, so
// that it need not be made for each push.
func (p *publication) stagingDir() string {
	return path.Join(stagingDir(p.storage), p.store.config.Node)
}

// makeFolders makes the folders of a repository. The staging folder comes last, when the
// others are durable: if it is there, they are.
func (p *publication) makeFolders() error {
	var missing []string
	for dir := packDir(p.storage); dir != "."; dir = path.Dir(dir) {
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	for _, dir := range missing {
		if err := p.mkdir(dir); err != nil {
			return err
		}
		if err := p.do("sync a folder", func() error { return p.store.files.SyncDir(path.Dir(dir)) }); err != nil {
			return err
		}
	}
	if err := p.mkdir(stagingDir(p.storage)); err != nil {
		return err
	}
	return p.mkdir(p.stagingDir())
}

// mkdir takes a folder that is there for made: by another node, or by this call,
// repeated by the network after its answer was lost.
func (p *publication) mkdir(name string) error {
	err := p.do("make a folder", func() error { return p.store.files.Mkdir(name) })
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (p *publication) file(part int) string { return packFile(p.id, p.parts[part].suffix) }

func (p *publication) create(part int) (f NewFile, err error) {
	err = p.do("create "+p.file(part), func() (err error) { f, err = p.store.files.Create(p.staged[part]); return err })
	return f, err
}

// write writes a file to our folder and makes it durable.
func (p *publication) write(part int, f NewFile) error {
	closed := false
	defer func() {
		if !closed {
			_ = f.Close()
		}
	}()
	file, from := p.file(part), p.parts[part]
	chunk := make([]byte, min(from.size, 1<<20))
	for at := int64(0); at < from.size; at += int64(len(chunk)) {
		chunk = chunk[:min(int64(len(chunk)), from.size-at)]
		if err := readFull(from.content, chunk, at); err != nil {
			return &PublishError{Step: "read " + file, Err: err}
		}
		if err := p.do("write "+file, func() error { _, err := f.Write(chunk); return err }); err != nil {
			return err
		}
	}
	faultpoint.Reach(from.written)
	// After a failed sync the content is gone, whatever a second one says.
	if err := p.do("sync "+file, f.Sync); err != nil {
		return err
	}
	closed = true
	if err := p.do("close "+file, f.Close); err != nil {
		return err
	}
	faultpoint.Reach(from.synced)
	return nil
}

// place renames the files to their final names. If the name of the pack is taken, it
// must hold the same, from another push of the same pack, and is never renamed over. If
// it is not, those of its indexes are free, too, or from an attempt of the same pack.
func (p *publication) place() error {
	size, err := p.stat(0)
	taken := err == nil
	if !taken && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i, part := range p.parts {
		if taken && i > 0 {
			size, err = p.stat(i)
		}
		switch {
		case taken && err == nil:
			err = p.compare(i, size)
		case !taken || errors.Is(err, fs.ErrNotExist):
			err = p.rename(i)
		}
		if err != nil {
			return err
		}
		faultpoint.Reach(part.renamed)
	}
	return nil
}

func (p *publication) final(part int) string { return path.Join(packDir(p.storage), p.file(part)) }

func (p *publication) rename(part int) error {
	err := p.do("rename "+p.file(part), func() error { return p.store.files.Rename(p.staged[part], p.final(part)) })
	if err == nil {
		p.staged[part] = ""
	}
	if err == nil || isCancelled(err) {
		return err
	}
	// The answer to a rename that has worked may have been lost, and the repeated
	// call then finds nothing to rename.
	if size, statErr := p.stat(part); statErr == nil && size == p.parts[part].size {
		return nil
	}
	return err
}

func (p *publication) stat(part int) (size int64, err error) {
	err = p.do("look at "+p.file(part), func() (err error) { size, err = p.store.files.Stat(p.final(part)); return err })
	return size, err
}

var errOtherPack = errors.New("another pack has the same name")

// compare reads a file that is there and compares it with ours.
func (p *publication) compare(part int, size int64) error {
	step, ours := "compare "+p.file(part), p.parts[part]
	if size != ours.size {
		return &PublishError{Step: step, Err: errOtherPack}
	}
	var f File
	if err := p.do(step, func() (err error) { f, err = p.store.files.Open(p.final(part)); return err }); err != nil {
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
		if err := readFull(ours.content, mine, at); err != nil {
			return &PublishError{Step: step, Err: err}
		}
		if !bytes.Equal(theirs, mine) {
			return &PublishError{Step: step, Err: errOtherPack}
		}
	}
	return nil
}

// verify looks at the end of the last file under its final name, which shows that the
// server has kept what it promised.
func (p *publication) verify() error {
	last := len(p.parts) - 1
	step, part := "verify "+p.file(last), p.parts[last]
	const n = pack.TrailerSize // there are checksums
	got, want := make([]byte, n), make([]byte, n)
	if err := readFull(part.content, want, part.size-n); err != nil {
		return &PublishError{Step: step, Err: err}
	}
	return p.do(step, func() error {
		f, err := p.store.files.Open(p.final(last))
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := readFull(f, got, part.size-n); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("%s does not hold what was written", p.file(last))
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

// cleanUp removes what is left in the staging folder. If that fails it stays, and
// nobody reads it.
func (p *publication) cleanUp() {
	for _, name := range p.staged {
		if name != "" {
			_ = p.store.files.Remove(name)
		}
	}
}
