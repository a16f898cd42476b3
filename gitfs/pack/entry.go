package pack

import (
	"errors"
	"math"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// Kind is what an entry holds: one of the object types, or a delta.
type Kind uint8

// The kinds that are deltas. All others have the numbers of object.Type.
const (
	OfsDelta Kind = 6 // against an earlier entry, named by distance
	RefDelta Kind = 7 // against an object, named by id
)

// IsDelta reports whether an entry of this kind needs another one to be read.
func (k Kind) IsDelta() bool { return k == OfsDelta || k == RefDelta }

// Type is the object type of an entry that is no delta.
func (k Kind) Type() object.Type { return object.Type(k) }

// Entry is where an entry of a pack lies and what its header says.
type Entry struct {
	Kind       Kind
	Size       int64        // bytes that the zlib stream holds: of the object, or of the delta
	BaseOffset int64        // where the base's entry starts, if Kind is OfsDelta
	BaseID     git.ObjectID // the base, if Kind is RefDelta
	Offset     int64        // where the entry starts
	DataOffset int64        // where its zlib stream starts
	End        int64        // where the stream ends; 0 when not known
}

// MaxEntryHeader is the longest an entry's header can be, in bytes.
const MaxEntryHeader = 10 + 20

// ErrShort says that a header goes on behind the given bytes.
var ErrShort = errors.New("entry header is cut off")

// ParseEntry reads the header of the entry that starts at offset, from b, which
// begins there. ErrShort asks for more bytes; other errors are *CorruptError.
// End is left zero.
func ParseEntry(b []byte, offset int64) (Entry, error) {
	e := Entry{Offset: offset}
	if len(b) == 0 {
		return Entry{}, ErrShort
	}
	c := b[0]
	e.Kind = Kind(c >> 4 & 7)
	size, shift, n := uint64(c&15), 4, 1
	for c&0x80 != 0 {
		if n == len(b) {
			return Entry{}, ErrShort
		}
		c = b[n]
		n++
		if shift > 60 || uint64(c&0x7f) > math.MaxInt64>>shift {
			return Entry{}, corrupt("the entry at offset %d has an impossible size", offset)
		}
		size |= uint64(c&0x7f) << shift
		shift += 7
	}
	e.Size = int64(size)
	switch {
	case e.Kind == OfsDelta:
		distance, m, err := parseDistance(b[n:])
		if err != nil {
			return Entry{}, err
		}
		if distance <= 0 || distance > offset-HeaderSize {
			return Entry{}, corrupt("the delta at offset %d has its base outside of the pack", offset)
		}
		e.BaseOffset = offset - distance
		n += m
	case e.Kind == RefDelta:
		if len(b) < n+len(e.BaseID) {
			return Entry{}, ErrShort
		}
		n += copy(e.BaseID[:], b[n:])
	case !e.Kind.Type().Valid():
		return Entry{}, corrupt("the entry at offset %d has unknown type %d", offset, e.Kind)
	}
	e.DataOffset = offset + int64(n)
	return e, nil
}

// parseDistance reads how far before a delta its base starts. Each continuation
// adds one, so that no distance can be written in two ways.
func parseDistance(b []byte) (distance int64, n int, err error) {
	for {
		if n == len(b) {
			return 0, 0, ErrShort
		}
		c := b[n]
		n++
		distance |= int64(c & 0x7f)
		if c&0x80 == 0 {
			return distance, n, nil
		}
		if distance >= math.MaxInt64>>7-1 {
			return 0, 0, corrupt("a delta has an impossible distance to its base")
		}
		distance = (distance + 1) << 7
	}
}

// AppendEntryHeader writes the header of e, from its Kind, Size and, for deltas,
// BaseID or Offset and BaseOffset.
func AppendEntryHeader(b []byte, e Entry) []byte {
	c := byte(e.Kind)<<4 | byte(e.Size&15)
	for size := e.Size >> 4; size != 0; size >>= 7 {
		b = append(b, c|0x80)
		c = byte(size & 0x7f)
	}
	b = append(b, c)
	switch e.Kind {
	case OfsDelta:
		b = appendDistance(b, e.Offset-e.BaseOffset)
	case RefDelta:
		b = append(b, e.BaseID[:]...)
	}
	return b
}

func appendDistance(b []byte, distance int64) []byte {
	var digits [10]byte
	i := len(digits) - 1
	digits[i] = byte(distance & 0x7f)
	for distance >>= 7; distance != 0; distance >>= 7 {
		distance--
		i--
		digits[i] = 0x80 | byte(distance&0x7f)
	}
	return append(b, digits[i:]...)
}
