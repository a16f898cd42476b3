package pack

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// Writer writes a pack to a stream. Whoever uses it announces an entry with
// WriteHeader and writes its zlib stream with Write, or uses one of the methods
// that do both. It is not safe for concurrent use; after an error it is of no
// more use.
type Writer struct {
	to     io.Writer
	sum    hash.Hash
	offset int64
	left   uint32
	header []byte
	buffer []byte
}

// NewWriter writes the header of a pack of the given number of entries. Writes go
// to w as they come; give it a buffered writer.
func NewWriter(w io.Writer, objects uint32) (*Writer, error) {
	pw := &Writer{to: w, sum: sha1.New(), left: objects}
	_, err := pw.Write(AppendHeader(nil, objects))
	return pw, err
}

// Offset is how many bytes have been written: where the next entry starts.
func (w *Writer) Offset() int64 { return w.offset }

// Write writes bytes of the stream of the last announced entry.
func (w *Writer) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.sum.Write(p[:n])
	w.offset += int64(n)
	return n, err
}

var errTooMany = errors.New("more entries than the header of the pack announced")

// WriteHeader begins an entry. Kind, Size and the base are taken from e, where
// BaseOffset is an offset in the pack being written.
func (w *Writer) WriteHeader(e Entry) error {
	if err := w.BeginEntries(1); err != nil {
		return err
	}
	e.Offset = w.offset
	w.header = AppendEntryHeader(w.header[:0], e)
	_, err := w.Write(w.header)
	return err
}

// BeginEntries says that the next n entries are written whole, headers and all:
// a run of another pack.
func (w *Writer) BeginEntries(n uint32) error {
	if n > w.left {
		return errTooMany
	}
	w.left -= n
	return nil
}

// WriteStored writes an entry whose stream is at hand.
func (w *Writer) WriteStored(e Entry, deflated []byte) error {
	if err := w.WriteHeader(e); err != nil {
		return err
	}
	_, err := w.Write(deflated)
	return err
}

// WriteObject writes an object whole, deflated at a level of zlib (1 to 9).
func (w *Writer) WriteObject(t object.Type, data []byte, level int) error {
	return w.WriteDelta(Entry{Kind: Kind(t)}, data, level)
}

// WriteDelta writes an entry of any kind from its content, deflated at a level of
// zlib (1 to 9). e.Size is taken from data.
func (w *Writer) WriteDelta(e Entry, data []byte, level int) error {
	deflated, err := w.Deflate(data, level)
	if err != nil {
		return err
	}
	e.Size = int64(len(data))
	return w.WriteStored(e, deflated)
}

// deflaters keeps zlib writers by level: each takes more than half a megabyte.
var deflaters [zlib.BestCompression + 1]sync.Pool

// deflater returns a zlib writer to w, which the caller puts back into deflaters.
func deflater(w io.Writer, level int) (*zlib.Writer, error) {
	if zw, ok := deflaters[level].Get().(*zlib.Writer); ok {
		zw.Reset(w)
		return zw, nil
	}
	return zlib.NewWriterLevel(w, level)
}

// Deflate makes a zlib stream of data. The result is good until the next call.
func (w *Writer) Deflate(data []byte, level int) (deflated []byte, err error) {
	if deflated, err = AppendDeflated(w.buffer[:0], data, level); err == nil {
		w.buffer = deflated
	}
	return deflated, err
}

// AppendDeflated appends a zlib stream of data, deflated at a level of zlib (1 to 9).
func AppendDeflated(b, data []byte, level int) ([]byte, error) {
	buffer := bytes.NewBuffer(b)
	zw, err := deflater(buffer, level)
	if err != nil {
		return nil, err
	}
	defer deflaters[level].Put(zw)
	if _, err := zw.Write(data); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

// WriteStream writes an object that is not held in memory. size is its exact
// length in bytes.
func (w *Writer) WriteStream(t object.Type, size int64, r io.Reader, level int) error {
	if err := w.WriteHeader(Entry{Kind: Kind(t), Size: size}); err != nil {
		return err
	}
	zw, err := deflater(w, level)
	if err != nil {
		return err
	}
	defer deflaters[level].Put(zw)
	if n, err := io.Copy(zw, r); err != nil {
		return err
	} else if n != size {
		return fmt.Errorf("object has %d bytes instead of %d", n, size)
	}
	return zw.Close()
}

// Close writes the trailer and returns it: the pack's name.
func (w *Writer) Close() (git.ObjectID, error) {
	if w.left != 0 {
		return git.ZeroID, fmt.Errorf("%d entries fewer than the header of the pack announced", w.left)
	}
	id := git.ObjectID(w.sum.Sum(nil))
	_, err := w.Write(id[:])
	return id, err
}
