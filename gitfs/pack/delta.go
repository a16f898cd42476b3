package pack

import (
	"fmt"
	"math"
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
	result := make([]byte, 0, size)
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
			if offset+length > uint64(len(base)) {
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
		if len(piece) > cap(result)-len(result) {
			return nil, errDeltaSize
		}
		result = append(result, piece...)
	}
	if int64(len(result)) != size {
		return nil, errDeltaSize
	}
	return result, nil
}

// copyArguments reads the operands of a copy instruction: each of op's low seven
// bits says whether that byte of the offset (four) or length (three) follows. n
// is how many bytes they take, or -1 if b is too short.
func copyArguments(op byte, b []byte) (offset, length uint64, n int) {
	var args [7]uint64
	for i := range args {
		if op&(1<<i) == 0 {
			continue
		}
		if n == len(b) {
			return 0, 0, -1
		}
		args[i] = uint64(b[n])
		n++
	}
	offset = args[0] | args[1]<<8 | args[2]<<16 | args[3]<<24
	length = args[4] | args[5]<<8 | args[6]<<16
	if length == 0 {
		length = 0x10000
	}
	return offset, length, n
}
