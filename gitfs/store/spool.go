package store

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// spoolMemory is how many bytes of a spool stay in memory; larger ones go to a
// file. Most pushes never touch the local disk.
const spoolMemory = 1 << 20

// spool holds bytes that are written once and read often, in memory while they are
// few. One may write at a time; once nobody writes, many may read.
type spool struct {
	scratch *scratch
	memory  []byte
	file    *os.File
	size    int64
	mapped  []byte
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.size+int64(len(p)) <= spoolMemory {
		s.memory = append(s.memory, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	if s.file == nil {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.WriteAt(p, s.size)
	s.size += int64(n)
	return n, err
}

func (s *spool) toFile() error {
	f, err := s.scratch.anonymous()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(s.memory, 0); err != nil {
		_ = f.Close()
		return err
	}
	s.file, s.memory = f, nil
	return nil
}

func (s *spool) ReadAt(p []byte, offset int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(p, offset)
	}
	if offset < 0 || offset > int64(len(s.memory)) {
		return 0, io.EOF
	}
	n := copy(p, s.memory[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// overwrite replaces bytes that were written before.
func (s *spool) overwrite(p []byte, offset int64) error {
	if s.file != nil {
		_, err := s.file.WriteAt(p, offset)
		return err
	}
	copy(s.memory[offset:], p)
	return nil
}

// truncate forgets what was written from size on.
func (s *spool) truncate(size int64) error {
	s.size = size
	if s.file != nil {
		return s.file.Truncate(size)
	}
	s.memory = s.memory[:size]
	return nil
}

// reader reads all that was written.
func (s *spool) reader() *io.SectionReader { return io.NewSectionReader(s, 0, s.size) }

// bytes returns all that was written, which must not change any more. They are
// good until Close.
func (s *spool) bytes() (b []byte, err error) {
	if s.file == nil {
		return s.memory, nil
	}
	if s.mapped == nil {
		s.mapped, err = unix.Mmap(int(s.file.Fd()), 0, int(s.size), unix.PROT_READ, unix.MAP_SHARED)
	}
	return s.mapped, err
}

// Close forgets everything. A second call does nothing.
func (s *spool) Close() error {
	s.memory = nil
	if s.mapped != nil {
		_ = unix.Munmap(s.mapped) // fails only if it is not mapped
		s.mapped = nil
	}
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}
