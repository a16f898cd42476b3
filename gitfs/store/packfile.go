package store

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pack"
)

// Pack is an open pack. It is good for as long as the Objects it came from are
// pinned.
type Pack struct {
	store      *Store
	key        uint64 // names the pack in caches
	storage    string
	info       git.Pack
	index      *pack.Index
	indexFiles []localFile // what index stands on
	graph      packGraph
	small      bool // index was made from the pack itself, which may be alone on the shared home

	opened  chan struct{} // closed once open has returned
	openErr error         // set before opened is closed; until then guarded by store.mu
	pins    int           // guarded by store.mu
	idle    *list.Element // guarded by store.mu; set while pins is 0
	// Guarded by store.mu, and set while pins is 0 and the file is open.
	idleFile *list.Element

	openFile func(context.Context) (File, error)
	mu       sync.Mutex
	files    []File // the last is in use, the ones before it went stale
}

func newSharedPack(s *Store, key uint64, storage string, info git.Pack) *Pack {
	p := &Pack{store: s, key: key, storage: storage, info: info, opened: make(chan struct{})}
	p.openFile = func(ctx context.Context) (File, error) { return p.openShared(ctx, "pack") }
	return p
}

// isOpen reports whether the pack was opened, and that has worked. store.mu must be held.
func (p *Pack) isOpen() bool {
	select {
	case <-p.opened:
		return p.openErr == nil
	default:
		return false
	}
}

func (p *Pack) mapKey() packKey { return packKey{p.storage, p.info.ID} }

// ID is the pack's name: the checksum in its trailer.
func (p *Pack) ID() git.ObjectID { return p.info.ID }

// Bytes is the size of the pack file.
func (p *Pack) Bytes() int64 { return p.info.Bytes }

// Index returns the pack's index.
func (p *Pack) Index() *pack.Index { return p.index }

// open makes the index usable. The pack file itself is opened by its first read, which for
// a small one is this.
func (p *Pack) open(ctx context.Context) error {
	if p.info.Bytes < pack.HeaderSize+pack.TrailerSize {
		return &CorruptPackError{Reason: "its registered size is too small"}
	}
	var idx, rev localFile
	made, err := p.ownIndex(ctx)
	var corrupt *CorruptPackError
	switch {
	case err == nil:
		idx, p.small = localFile{content: made}, true
	case errors.Is(err, errNotSmall):
		if idx, rev, err = p.localIndex(ctx); err != nil {
			return err
		}
	case errors.As(err, &corrupt):
		// With an index, what is still whole of it can be read.
		var none error
		if idx, rev, none = p.localIndex(ctx); none != nil {
			return err
		}
	default:
		return err
	}
	p.indexFiles = []localFile{idx, rev}
	if p.index, err = pack.ParseIndex(idx.content, rev.content); err != nil {
		return err
	}
	if p.index.PackID() != p.info.ID {
		return &CorruptPackError{Reason: "the index is of another pack"}
	}
	return nil
}

// close is called when nobody uses the pack any more.
func (p *Pack) close() error {
	errs := []error{p.closeFiles()}
	for _, f := range append(p.indexFiles, p.graph.file) {
		errs = append(errs, f.release())
	}
	p.store.blocks.drop(p.key)
	return errors.Join(errs...)
}

// closeFiles closes what the next read opens again. Nobody may be reading.
func (p *Pack) closeFiles() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	p.files = nil
	return errors.Join(errs...)
}

func (p *Pack) hasFiles() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.files) > 0
}

// indexCost is what the pack's index takes, in bytes. One that is mapped takes none of the
// process's memory, but one of its mappings, of which there are some ten thousands.
func (p *Pack) indexCost() int64 {
	const overhead, mapping = 1 << 10, 64 << 10
	if len(p.indexFiles) > 0 && p.indexFiles[0].mapped {
		return mapping
	}
	return overhead + p.info.Objects*32
}

// Entry reads the header of the entry at a position of the index.
func (p *Pack) Entry(ctx context.Context, pos int) (pack.Entry, error) {
	return p.entryAt(ctx, p.index.Offset(pos))
}

// entryAt reads the header of the entry that starts at offset.
func (p *Pack) entryAt(ctx context.Context, offset int64) (pack.Entry, error) {
	_, n, ok := p.index.PosAtOffset(offset)
	if !ok {
		return pack.Entry{}, &CorruptPackError{Reason: fmt.Sprintf("no entry starts at offset %d", offset)}
	}
	end := p.info.Bytes - pack.TrailerSize
	if n+1 < p.index.Len() {
		end = p.index.Offset(p.index.ByOffset(n + 1))
	}
	header, err := p.view(ctx, offset, pack.MaxEntryHeader)
	if err != nil {
		return pack.Entry{}, err
	}
	e, err := pack.ParseEntry(header, offset)
	if errors.Is(err, pack.ErrShort) || err == nil && e.DataOffset >= end {
		return pack.Entry{}, &CorruptPackError{Reason: fmt.Sprintf("the entry at offset %d is cut off", offset)}
	}
	e.End = end
	return e, err
}

// baseOffset finds where the base of a delta starts.
func (p *Pack) baseOffset(e pack.Entry) (int64, error) {
	if e.Kind == pack.OfsDelta {
		return e.BaseOffset, nil
	}
	pos, ok := p.index.Find(e.BaseID)
	if !ok {
		return 0, &CorruptPackError{Reason: fmt.Sprintf("base %s of a delta is not in the pack", e.BaseID)}
	}
	return p.index.Offset(pos), nil
}

// ReadStored returns n bytes of the pack file. They may be shared with the cache
// and must not be changed.
func (p *Pack) ReadStored(ctx context.Context, offset, n int64) ([]byte, error) {
	if offset < 0 || n < 0 || n > p.info.Bytes-offset {
		return nil, &CorruptPackError{Reason: "an entry reaches beyond the end"}
	}
	if n > directRead {
		b := make([]byte, n)
		return b, p.readAt(ctx, b, offset)
	}
	return p.view(ctx, offset, int(n))
}

// directRead is from how many bytes a read does not go through the cache, which it
// would only sweep out.
const directRead = 1 << 20

// CopyStored writes the bytes [from, to) of the pack file to w.
func (p *Pack) CopyStored(ctx context.Context, w io.Writer, from, to int64) error {
	if to-from <= blockSize {
		b, err := p.ReadStored(ctx, from, to-from)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
	buffer := copyBuffers.Get().(*[copyBufferSize]byte)
	defer copyBuffers.Put(buffer)
	for from < to {
		chunk := buffer[:min(copyBufferSize, to-from)]
		if err := p.readAt(ctx, chunk, from); err != nil {
			return err
		}
		if _, err := w.Write(chunk); err != nil {
			return err
		}
		from += int64(len(chunk))
	}
	return nil
}

const copyBufferSize = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBufferSize]byte) }}

// view returns up to n bytes from offset, fewer only at the end of the file.
func (p *Pack) view(ctx context.Context, offset int64, n int) ([]byte, error) {
	if offset < 0 || offset > p.info.Bytes {
		return nil, &CorruptPackError{Reason: "an entry lies outside of the file"}
	}
	n = int(min(int64(n), p.info.Bytes-offset))
	b, err := p.block(ctx, offset/blockSize)
	if err != nil {
		return nil, err
	}
	b = b[min(offset%blockSize, int64(len(b))):]
	if len(b) >= n {
		return b[:n:n], nil
	}
	joined := make([]byte, 0, n)
	for {
		joined = append(joined, b[:min(len(b), n-len(joined))]...)
		if len(joined) == n {
			return joined, nil
		}
		if b, err = p.block(ctx, (offset+int64(len(joined)))/blockSize); err != nil {
			return nil, err
		}
	}
}

// block returns a part of the file through the cache.
func (p *Pack) block(ctx context.Context, index int64) ([]byte, error) {
	return p.store.blocks.get(ctx, blockKey{p.key, index}, func() ([]byte, error) {
		start := index * blockSize
		b := make([]byte, max(0, min(blockSize, p.info.Bytes-start)))
		if len(b) == 0 {
			return b, nil
		}
		return b, p.readAt(ctx, b, start)
	})
}

// reader reads [from, to) of the file in order, not through the cache.
func (p *Pack) reader(ctx context.Context, from, to int64) io.Reader {
	return &packReader{ctx: ctx, pack: p, offset: from, end: to}
}

type packReader struct {
	ctx         context.Context // of the one who reads the stream
	pack        *Pack
	offset, end int64
}

func (r *packReader) Read(b []byte) (int, error) {
	if r.offset >= r.end {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.end-r.offset)]
	if err := r.pack.readAt(r.ctx, b, r.offset); err != nil {
		return 0, err
	}
	r.offset += int64(len(b))
	return len(b), nil
}

// readAt fills b from the file. When the shared home says that the file it opened
// is stale, the file is opened again, once.
func (p *Pack) readAt(ctx context.Context, b []byte, offset int64) error {
	f, err := p.file(ctx, nil)
	if err != nil {
		return err
	}
	read := func() error {
		n, err := f.ReadAt(b, offset)
		if n == len(b) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return &CorruptPackError{Reason: "the file is shorter than it was when it was registered"}
		}
		return err
	}
	err = p.store.useShared(ctx, read)
	if isGone(err) {
		if f, err = p.file(ctx, f); err != nil {
			return err
		}
		err = p.store.useShared(ctx, read)
	}
	return p.unavailable(err)
}

// unavailable turns an error of the shared home into *UnavailableError.
func (p *Pack) unavailable(err error) error {
	var corrupt *CorruptPackError
	var known *UnavailableError
	if err == nil || isCancelled(err) || errors.As(err, &corrupt) || errors.As(err, &known) {
		return err
	}
	return &UnavailableError{Pack: p.info.ID, Err: err}
}

// file returns the open file, which is opened if it is not, or if it is the one
// that went stale.
func (p *Pack) file(ctx context.Context, stale File) (File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.files); n > 0 && p.files[n-1] != stale {
		return p.files[n-1], nil
	}
	f, err := p.openFile(ctx)
	if err != nil {
		return nil, err
	}
	p.files = append(p.files, f) // the stale one may still be in use by another
	return f, nil
}

// openShared opens a file of the pack on the shared home. The file is there, the
// registry says so; but a client of NFS may still hold that it is not. Listing the
// folder makes it look again.
func (p *Pack) openShared(ctx context.Context, suffix string) (f File, err error) {
	dir := packDir(p.storage)
	name := path.Join(dir, packFile(p.info.ID, suffix))
	open := func() (err error) { f, err = p.store.files.Open(name); return err }
	err = p.store.useShared(ctx, open)
	for i := 0; isGone(err) && i < len(p.store.config.RetryDelays); i++ {
		if i == 0 {
			// What the list holds does not matter, nor whether it can be read.
			_ = p.store.useShared(ctx, func() error { _, err := p.store.files.ReadDir(dir); return err })
		}
		if err := wait(ctx, p.store.config.RetryDelays[i]); err != nil {
			return nil, err
		}
		err = p.store.useShared(ctx, open)
	}
	return f, p.unavailable(err)
}

// isGone reports whether the shared home denies a file that must be there, and
// nothing was done about it yet.
func isGone(err error) bool {
	var given *UnavailableError
	if errors.As(err, &given) {
		return false
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
