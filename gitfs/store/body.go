package store

import (
	"bytes"
	"io"
	"os"
)

// body is the content of an object: in memory, or in a file if it is too large for
// that or has to wait.
type body struct {
	data []byte
	file *os.File // set instead of data
	size int64
}

func inMemory(data []byte) body { return body{data: data, size: int64(len(data))} }

func (b *body) ReadAt(p []byte, offset int64) (int, error) {
	if b.file != nil {
		return b.file.ReadAt(p, offset)
	}
	return bytes.NewReader(b.data).ReadAt(p, offset)
}

func (b *body) reader() *io.SectionReader { return io.NewSectionReader(b, 0, b.size) }

// toFile moves the content out of memory.
func (b *body) toFile(s *scratch) error {
	f, err := s.anonymous()
	if err != nil {
		return err
	}
	if _, err := f.Write(b.data); err != nil {
		_ = f.Close()
		return err
	}
	b.file, b.data = f, nil
	return nil
}

// toMemory moves the content into memory if it has at most max bytes.
func (b *body) toMemory(max int64) error {
	if b.file == nil || b.size > max {
		return nil
	}
	data := make([]byte, b.size)
	if _, err := io.ReadFull(b.reader(), data); err != nil {
		return err
	}
	err := b.file.Close()
	b.file, b.data = nil, data
	return err
}

func (b *body) close() {
	b.data = nil
	if b.file != nil {
		_ = b.file.Close() // has no name and is not needed any more
		b.file = nil
	}
}
