package store

import (
	"bufio"
	"errors"
	"io"

	"github.com/annal-git/annal/gitfs/pack"
)

// patch applies a delta to a base when one of them or the result is too large for
// memory. deltaSize is what the zlib stream from holds. begin is told the size of
// the result before it is made, which also goes to copies. The result is a file.
func patch(s *scratch, base *body, from io.Reader, deltaSize int64, begin func(size int64) error, copies ...io.Writer) (result body, err error) {
	stream, err := pack.NewStream(from, deltaSize)
	if err != nil {
		return body{}, err
	}
	delta := bufio.NewReaderSize(stream, 64<<10)
	header, err := delta.Peek(int(min(pack.MaxDeltaHeader, deltaSize)))
	if err != nil && !errors.Is(err, io.EOF) {
		return body{}, err
	}
	baseSize, size, n, err := pack.ParseDeltaHeader(header)
	if err != nil {
		return body{}, err
	}
	if baseSize != base.size {
		return body{}, &CorruptPackError{Reason: "a delta was made for a base of another size"}
	}
	if err := begin(size); err != nil {
		return body{}, err
	}
	if _, err := delta.Discard(n); err != nil {
		return body{}, err
	}
	f, err := s.anonymous()
	if err != nil {
		return body{}, err
	}
	result = body{file: f, size: size}
	defer func() {
		if err != nil {
			result.close()
		}
	}()
	w := bufio.NewWriterSize(io.MultiWriter(append(copies, f)...), 256<<10)
	if err := pack.PatchDelta(w, base, base.size, size, delta); err != nil {
		return body{}, err
	}
	return result, w.Flush()
}
