package store

import (
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/annal-git/annal/gitfs/pack"
)

// packInput is a pack as it arrives. What was read through it counts in the checksum of
// the pack and in the CRC of the entry, and goes to the spool, a buffer at a time.
// It never reads more of a stream than one buffer behind what was asked for.
type packInput struct {
	from   io.Reader
	to     *spool
	sum    hash.Hash
	crc    uint32
	max    int64 // bytes
	buffer []byte
	mark   int   // everything in buffer before counts in crc
	stored int   // everything in buffer before has been written and counts in sum
	next   int   // everything in buffer before has been read by the user
	offset int64 // of buffer in the pack
}

// begin makes in ready for a pack. It has a buffer.
func (in *packInput) begin(from io.Reader, to *spool, sum hash.Hash, max int64) *packInput {
	*in = packInput{from: from, to: to, sum: sum, max: max, buffer: in.buffer[:0]}
	return in
}

// position is how many bytes of the pack were read.
func (in *packInput) position() int64 { return in.offset + int64(in.next) }

func (in *packInput) ReadByte() (byte, error) {
	if in.next == len(in.buffer) {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	b := in.buffer[in.next]
	in.next++
	return b, nil
}

func (in *packInput) Read(p []byte) (int, error) {
	if in.next == len(in.buffer) {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buffer[in.next:])
	in.next += n
	return n, nil
}

// fill reads more, when the user has read all there is.
func (in *packInput) fill() error {
	if err := in.flush(); err != nil {
		return err
	}
	in.offset += int64(in.next)
	in.mark, in.stored, in.next = 0, 0, 0
	in.buffer = in.buffer[:0]
	for range 100 {
		n, err := in.from.Read(in.buffer[:cap(in.buffer)])
		in.buffer = in.buffer[:n]
		switch {
		case n > 0:
			return nil
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			return &CorruptPackError{Reason: "it is cut off"}
		case err != nil:
			return fmt.Errorf("read pack: %w", err)
		}
	}
	return io.ErrNoProgress
}

// count accounts for what the user has read of an entry.
func (in *packInput) count() {
	in.crc = crc32.Update(in.crc, crc32.IEEETable, in.buffer[in.mark:in.next])
	in.mark = in.next
}

// flush stores what the user has read.
func (in *packInput) flush() error {
	if in.position() > in.max {
		return &LimitError{What: "pack", Limit: in.max, Unit: "bytes"}
	}
	in.count()
	p := in.buffer[in.stored:in.next]
	in.stored = in.next
	in.sum.Write(p)
	_, err := in.to.Write(p)
	return err
}

// header reads the header of the next entry and begins its CRC.
func (in *packInput) header() (pack.Entry, error) {
	in.count()
	in.crc = 0
	offset := in.position()
	var b [pack.MaxEntryHeader]byte
	for n := range b {
		c, err := in.ReadByte()
		if err != nil {
			return pack.Entry{}, err
		}
		b[n] = c
		e, err := pack.ParseEntry(b[:n+1], offset)
		if !errors.Is(err, pack.ErrShort) {
			return e, err
		}
	}
	return pack.Entry{}, &CorruptPackError{Reason: "an entry has a header that does not end"}
}

// endEntry returns the CRC of the entry that was read.
func (in *packInput) endEntry() uint32 {
	in.count()
	return in.crc
}

// trailer reads the checksum of the pack and compares it. Bytes that have arrived
// behind it are an error; with toEnd, so are those still to come.
func (in *packInput) trailer(toEnd bool) error {
	if err := in.flush(); err != nil {
		return err
	}
	want := in.sum.Sum(nil)
	got := make([]byte, pack.TrailerSize)
	if _, err := io.ReadFull(in, got); err != nil {
		return err
	}
	if string(got) != string(want) {
		return &CorruptPackError{Reason: "its content does not match its checksum"}
	}
	if err := in.flush(); err != nil {
		return err
	}
	if in.next < len(in.buffer) {
		return errGarbage
	}
	if toEnd {
		var one [1]byte
		switch n, err := io.ReadFull(in.from, one[:]); {
		case n > 0:
			return errGarbage
		case err != io.EOF:
			return fmt.Errorf("read pack: %w", err)
		}
	}
	return nil
}

var errGarbage = &CorruptPackError{Reason: "there is something behind its end"}
