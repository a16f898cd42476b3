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

// Inflater reads zlib streams, one after another, into memory that the caller
// bounds. It is not safe for concurrent use.
type Inflater struct {
	source bytes.Reader
	zr     io.ReadCloser // nil before the first stream
}

var inflaters = sync.Pool{New: func() any { return new(Inflater) }}

// Inflate reads a zlib stream that must hold exactly size bytes, from the start of
// stored. What follows the stream is left alone. The caller has bounded size.
// Errors are *CorruptError.
func Inflate(stored []byte, size int64) ([]byte, error) {
	inf := inflaters.Get().(*Inflater)
	defer inflaters.Put(inf)
	data, _, err := inf.Inflate(stored, size)
	return data, err
}

// Inflate is the function Inflate, and also says how long the stream is.
func (inf *Inflater) Inflate(stored []byte, size int64) (data []byte, n int, err error) {
	inf.source.Reset(stored)
	defer inf.source.Reset(nil) // do not hold on to a cache's block
	if err := inf.reset(&inf.source); err != nil {
		return nil, 0, err
	}
	data = make([]byte, size)
	if _, err := io.ReadFull(inf.zr, data); err != nil {
		return nil, 0, inflateError(err)
	}
	if err := expectEnd(inf.zr); err != nil {
		return nil, 0, err
	}
	return data, len(stored) - inf.source.Len(), nil
}

// InflatePrefix reads up to n bytes from the start of a zlib stream, of which only
// the start may be at hand. Fewer than n are no error.
func InflatePrefix(stored []byte, n int) ([]byte, error) {
	inf := inflaters.Get().(*Inflater)
	defer inflaters.Put(inf)
	inf.source.Reset(stored)
	defer inf.source.Reset(nil)
	if err := inf.reset(&inf.source); err != nil {
		return nil, err
	}
	data := make([]byte, n)
	n, err := io.ReadFull(inf.zr, data)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, inflateError(err)
	}
	return data[:n], nil
}

// NewStream reads a zlib stream that must hold exactly size bytes and ends with
// *CorruptError if it does not. Close does not close r.
func NewStream(r io.Reader, size int64) (io.ReadCloser, error) {
	zr, err := zlib.NewReader(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, inflateError(err)
	}
	return &stream{zr: zr, left: size}, nil
}

type stream struct {
	zr   io.ReadCloser
	left int64
	err  error
}

func (s *stream) Read(p []byte) (int, error) {
	if s.err == nil && s.left == 0 {
		if s.err = expectEnd(s.zr); s.err == nil {
			s.err = io.EOF
		}
	}
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	n, err := s.zr.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if s.left > 0 || err != io.EOF { // at the end the next call looks for more
		s.err = inflateError(err)
	}
	return n, nil
}

func (s *stream) Close() error { return s.zr.Close() }

func (inf *Inflater) reset(r *bytes.Reader) error {
	var err error
	if inf.zr == nil {
		inf.zr, err = zlib.NewReader(r)
	} else {
		err = inf.zr.(zlib.Resetter).Reset(r, nil)
	}
	return inflateError(err)
}

// expectEnd reads the end of a stream and its checksum.
func expectEnd(r io.Reader) error {
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n > 0:
		return errInflateLong
	case err == io.EOF:
		return nil
	default:
		return inflateError(err)
	}
}

var (
	errInflateLong  = corrupt("an entry holds more than its header says")
	errInflateShort = corrupt("an entry holds less than its header says")
	errInflateData  = corrupt("an entry is not a valid zlib stream")
)

// inflateError turns what zlib says into CorruptError and leaves errors of the
// source alone.
func inflateError(err error) error {
	var corrupt flate.CorruptInputError
	var internal flate.InternalError
	switch {
	case err == nil:
		return nil
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return errInflateShort
	case errors.As(err, &corrupt), errors.As(err, &internal),
		errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrDictionary):
		return errInflateData
	}
	return err
}
