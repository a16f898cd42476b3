package pack

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
)

// Source is what zlib streams are read from. A stream is read byte by byte, so
// that nothing behind it is consumed.
type Source interface {
	io.Reader
	io.ByteReader
}

// Inflater reads zlib streams, one after another, that must have a given size. It
// is an io.Reader that ends with io.EOF only after exactly that many bytes and a
// right checksum, else with *CorruptError or an error of the source. So a stream
// never yields more than the caller has agreed to. The zero value is ready for
// Reset. It is not safe for concurrent use.
type Inflater struct {
	zr   io.ReadCloser // nil before the first stream
	left int64
	err  error
}

// Reset begins a stream that holds size bytes.
func (inf *Inflater) Reset(r Source, size int64) error {
	var err error
	if inf.zr == nil {
		inf.zr, err = zlib.NewReader(r)
	} else {
		err = inf.zr.(zlib.Resetter).Reset(r, nil)
	}
	inf.left, inf.err = size, inflateError(err)
	return inf.err
}

func (inf *Inflater) Read(p []byte) (int, error) {
	if inf.err == nil && inf.left == 0 {
		inf.err = inf.end()
	}
	if inf.err != nil || len(p) == 0 {
		return 0, inf.err
	}
	n, err := inf.zr.Read(p[:min(int64(len(p)), inf.left)])
	inf.left -= int64(n)
	if err != nil && (err != io.EOF || inf.left > 0) {
		inf.err = inflateError(err)
	}
	return n, nil
}

// ReadAll fills p, whose length must be the size of the stream, and reads the
// stream's end.
func (inf *Inflater) ReadAll(p []byte) error {
	if _, err := io.ReadFull(inf, p); err != nil {
		return inflateError(err)
	}
	if _, err := inf.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// end reads the end of a stream and its checksum; io.EOF means that all is well.
func (inf *Inflater) end() error {
	var one [1]byte
	switch n, err := io.ReadFull(inf.zr, one[:]); {
	case n > 0:
		return errInflateLong
	case err == io.EOF:
		return io.EOF
	default:
		return inflateError(err)
	}
}

// memoryInflater reads streams that are at hand.
type memoryInflater struct {
	source bytes.Reader
	Inflater
}

var inflaters = sync.Pool{New: func() any { return new(memoryInflater) }}

// Inflate reads a zlib stream that must hold exactly size bytes, from the start of
// stored. What follows the stream is left alone. The caller has bounded size.
// Errors are *CorruptError.
func Inflate(stored []byte, size int64) ([]byte, error) {
	data := make([]byte, size)
	return data, InflateInto(data, stored)
}

// InflateInto is Inflate into data, whose length must be the size of the stream.
func InflateInto(data, stored []byte) error {
	_, err := inflateBytes(data, stored)
	return err
}

// InflatePrefix reads up to n bytes from the start of a zlib stream, of which only
// the start may be at hand. Fewer than n are no error.
func InflatePrefix(stored []byte, n int) ([]byte, error) {
	inf := inflaters.Get().(*memoryInflater)
	defer inflaters.Put(inf)
	inf.source.Reset(stored)
	defer inf.source.Reset(nil)
	if err := inf.Reset(&inf.source, int64(n)); err != nil {
		return nil, err
	}
	data := make([]byte, n)
	n, err := io.ReadFull(inf.zr, data)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, inflateError(err)
	}
	return data[:n], nil
}

// NewStream reads a zlib stream that must hold exactly size bytes, like an
// Inflater. It may read more of r than the stream. Close does not close r.
func NewStream(r io.Reader, size int64) (io.ReadCloser, error) {
	s := new(stream)
	return s, s.Reset(bufio.NewReaderSize(r, 64<<10), size)
}

type stream struct{ Inflater }

func (s *stream) Close() error {
	if s.zr == nil {
		return nil
	}
	return s.zr.Close()
}

var (
	errInflateLong  = corrupt("an entry holds more than its header says")
	errInflateShort = corrupt("an entry holds less than its header says")
	errInflateData  = corrupt("an entry is not a valid zlib stream")
)

// inflateError turns what zlib says into CorruptError and leaves errors of the
// source alone.
func inflateError(err error) error {
	var badInput flate.CorruptInputError
	var internal flate.InternalError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errInflateShort
	case errors.As(err, &badInput), errors.As(err, &internal),
		errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrDictionary):
		return errInflateData
	}
	return err
}
