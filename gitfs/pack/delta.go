package pack

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// MaxDeltaHeader is the longest the two sizes at the start of a delta can be, in
// bytes.
const MaxDeltaHeader = 20

// SizeError says that something would become larger than the caller allows.
type SizeError struct {
	Size, Max int64 // bytes
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("size of %d bytes is over the limit of %d bytes", e.Size, e.Max)
}

// ParseDeltaHeader reads the size of the base and of the result from the start of
// a delta, and how long they are together. Errors are *CorruptError.
func ParseDeltaHeader(delta []byte) (base, result int64, n int, err error) {
	base, i := deltaSize(delta)
	if i <= 0 {
		return 0, 0, 0, errDeltaHeader
	}
	result, j := deltaSize(delta[i:])
	if j <= 0 {
		return 0, 0, 0, errDeltaHeader
	}
	return base, result, i + j, nil
}

var (
	errDeltaHeader = corrupt("a delta has no valid sizes")
	errDeltaBase   = corrupt("a delta was made for a base of another size")
	errDeltaCopy   = corrupt("a delta copies from outside of its base")
	errDeltaSize   = corrupt("a delta does not make the size that it says")
	errDeltaShort  = corrupt("a delta is cut off")
	errDeltaOpcode = corrupt("a delta has a reserved instruction")
)

func deltaSize(b []byte) (size int64, n int) {
	var u uint64
	for shift := 0; n < len(b) && shift <= 63; shift += 7 {
		c := uint64(b[n])
		n++
		if c&0x7f > math.MaxInt64>>shift {
			return 0, 0
		}
		u |= c & 0x7f << shift
		if c&0x80 == 0 {
			return int64(u), n
		}
	}
	return 0, 0
}

// ApplyDelta makes an object from its base. It allocates nothing before it knows
// that the result is at most max bytes; else it returns *SizeError. Other errors
// are *CorruptError.
func ApplyDelta(base, delta []byte, max int64) ([]byte, error) {
	return ApplyDeltaInto(nil, base, delta, max)
}

// ApplyDeltaInto is ApplyDelta into the memory of buffer, if that is enough.
func ApplyDeltaInto(buffer, base, delta []byte, max int64) ([]byte, error) {
	baseSize, size, n, err := ParseDeltaHeader(delta)
	if err != nil {
		return nil, err
	}
	if baseSize != int64(len(base)) {
		return nil, errDeltaBase
	}
	if size > max {
		return nil, &SizeError{Size: size, Max: max}
	}
	delta = delta[n:]
	result := buffer[:0]
	if int64(cap(result)) < size {
		result = make([]byte, 0, size)
	}
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		var piece []byte
		if op&0x80 != 0 {
			offset, length, n := copyArguments(op, delta)
			if n < 0 {
				return nil, errDeltaShort
			}
			delta = delta[n:]
			if offset+length > int64(len(base)) {
				return nil, errDeltaCopy
			}
			piece = base[offset : offset+length]
		} else {
			if op == 0 {
				return nil, errDeltaOpcode
			}
			if int(op) > len(delta) {
				return nil, errDeltaShort
			}
			piece = delta[:op]
			delta = delta[op:]
		}
		if int64(len(piece)) > size-int64(len(result)) {
			return nil, errDeltaSize
		}
		result = append(result, piece...)
	}
	if int64(len(result)) != size {
		return nil, errDeltaSize
	}
	return result, nil
}

// PatchDelta is ApplyDelta for objects that are not held in memory. It reads the
// delta behind its header, which the caller has read and bounded, and writes the
// result, of size bytes, to w. Errors are *CorruptError and those of the streams.
func PatchDelta(w io.Writer, base io.ReaderAt, baseSize, size int64, delta Source) error {
	buffer := make([]byte, 64<<10)
	args := make([]byte, 0, 7)
	for {
		op, err := delta.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var from io.Reader
		var length int64
		switch {
		case op == 0:
			return errDeltaOpcode
		case op&0x80 == 0:
			from, length = delta, int64(op)
		default:
			args = args[:bits.OnesCount8(op&0x7f)]
			if _, err := io.ReadFull(delta, args); err != nil {
				return shortDelta(err)
			}
			var offset int64
			offset, length, _ = copyArguments(op, args)
			if offset+length > baseSize {
				return errDeltaCopy
			}
			from = io.NewSectionReader(base, offset, length)
		}
		if size -= length; size < 0 {
			return errDeltaSize
		}
		for length > 0 {
			chunk := buffer[:min(length, int64(len(buffer)))]
			if _, err := io.ReadFull(from, chunk); err != nil {
				return shortDelta(err)
			}
			if _, err := w.Write(chunk); err != nil {
				return err
			}
			length -= int64(len(chunk))
		}
	}
	if size != 0 {
		return errDeltaSize
	}
	return nil
}

func shortDelta(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDeltaShort
	}
	return err
}

// copyArguments reads the operands of a copy instruction: each of op's low seven
// bits says whether that byte of the offset (four) or length (three) follows. n
// is how many bytes they take, or -1 if b is too short.
func copyArguments(op byte, b []byte) (offset, length int64, n int) {
	var args [7]int64
	for i := range args {
		if op&(1<<i) == 0 {
			continue
		}
		if n == len(b) {
			return 0, 0, -1
		}
		args[i] = int64(b[n])
		n++
	}
	offset = args[0] | args[1]<<8 | args[2]<<16 | args[3]<<24
	length = args[4] | args[5]<<8 | args[6]<<16
	if length == 0 {
		length = 0x10000
	}
	return offset, length, n
}
