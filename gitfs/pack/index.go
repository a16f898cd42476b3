package pack

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"sort"

	"github.com/annal-git/annal/domain/git"
)

const (
	fanoutSize     = 256 * 4
	indexHeader    = 8 + fanoutSize
	reverseHeader  = 12
	checksumSize   = sha1.Size
	largeOffsetBit = 1 << 31
)

var (
	indexSignature   = []byte{0xff, 't', 'O', 'c', 0, 0, 0, 2}
	reverseSignature = []byte{'R', 'I', 'D', 'X', 0, 0, 0, 1, 0, 0, 0, 1} // version 1, SHA-1
)

// Index is a version 2 index with its reverse index: the objects of one pack, by
// id and by place. Positions count from zero in the order of ids. It keeps the
// bytes that it was made from and is safe for concurrent use.
type Index struct {
	n       int
	fanout  []byte
	names   []byte
	crcs    []byte
	small   []byte // 31 bit offsets, or places in large
	large   []byte // 64 bit offsets
	trailer []byte // checksum of the pack, then of the index
	order   []byte // positions in the order of offsets
}

// ParseIndex makes an Index of the contents of an .idx file and of a .rev file.
// Without the latter (nil) the order is computed, which takes 4 bytes of memory
// and some 100 ns for each object. Only the structure is checked; CheckIndex
// tells whether a copy is whole. Errors are *CorruptError.
func ParseIndex(idx, rev []byte) (*Index, error) {
	if len(idx) < indexHeader+2*checksumSize || !bytes.HasPrefix(idx, indexSignature) {
		return nil, corrupt("this is not a version 2 index")
	}
	x := &Index{fanout: idx[8:indexHeader]}
	last := uint32(0)
	for i := range 256 {
		count := binary.BigEndian.Uint32(x.fanout[4*i:])
		if count < last {
			return nil, corrupt("the fan-out table of the index is not sorted")
		}
		last = count
	}
	x.n = int(last)
	rest := idx[indexHeader:]
	const each = len(git.ObjectID{}) + 4 + 4
	large := len(rest) - x.n*each - 2*checksumSize
	if large < 0 || large%8 != 0 || large/8 > x.n {
		return nil, corrupt("the index has the wrong size for %d objects", x.n)
	}
	cut := func(size int) []byte {
		part := rest[:size:size]
		rest = rest[size:]
		return part
	}
	x.names = cut(x.n * len(git.ObjectID{}))
	x.crcs = cut(x.n * 4)
	x.small = cut(x.n * 4)
	x.large = cut(large)
	x.trailer = rest
	if rev == nil {
		x.order = x.computeOrder()
		return x, nil
	}
	if len(rev) != reverseHeader+4*x.n+2*checksumSize || !bytes.HasPrefix(rev, reverseSignature) {
		return nil, corrupt("the reverse index does not fit to the index")
	}
	x.order = rev[reverseHeader : reverseHeader+4*x.n]
	return x, nil
}

// CheckIndex verifies the checksum at the end of the contents of an .idx or .rev
// file, and that it belongs to the given pack. Errors are *CorruptError.
func CheckIndex(file []byte, pack git.ObjectID) error {
	if len(file) < 2*checksumSize {
		return corrupt("the index is cut off")
	}
	body := file[:len(file)-checksumSize]
	if sum := sha1.Sum(body); !bytes.Equal(sum[:], file[len(body):]) {
		return corrupt("the index does not match its checksum")
	}
	if !bytes.Equal(body[len(body)-checksumSize:], pack[:]) {
		return corrupt("the index is of another pack")
	}
	return nil
}

// computeOrder sorts positions by offset.
func (x *Index) computeOrder() []byte {
	positions := make([]uint32, x.n)
	for i := range positions {
		positions[i] = uint32(i)
	}
	sort.Slice(positions, func(i, j int) bool {
		return x.Offset(int(positions[i])) < x.Offset(int(positions[j]))
	})
	order := make([]byte, 0, 4*x.n)
	for _, p := range positions {
		order = binary.BigEndian.AppendUint32(order, p)
	}
	return order
}

// Len is the number of objects.
func (x *Index) Len() int { return x.n }

// PackID is the checksum of the pack that the index was made for.
func (x *Index) PackID() git.ObjectID { return git.ObjectID(x.trailer[:checksumSize]) }

// Find returns the position of an object.
func (x *Index) Find(id git.ObjectID) (pos int, ok bool) {
	lo, hi := x.bucket(id[0])
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := bytes.Compare(x.names[mid*len(id):(mid+1)*len(id)], id[:]); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false
}

// WithPrefix returns the positions [from, to) of the objects whose ids begin with
// the first bits bits of id.
func (x *Index) WithPrefix(id git.ObjectID, bits int) (from, to int) {
	var low, high git.ObjectID
	for i := range id {
		var mask byte
		switch {
		case bits >= 8*(i+1):
			mask = 0xff
		case bits > 8*i:
			mask = ^byte(0xff >> (bits - 8*i))
		}
		low[i] = id[i] & mask
		high[i] = id[i] | ^mask
	}
	from = sort.Search(x.n, func(i int) bool { return bytes.Compare(x.name(i), low[:]) >= 0 })
	to = from + sort.Search(x.n-from, func(i int) bool { return bytes.Compare(x.name(from+i), high[:]) > 0 })
	return from, to
}

// bucket returns the positions [lo, hi) of ids that begin with the given byte.
func (x *Index) bucket(first byte) (lo, hi int) {
	if first > 0 {
		lo = int(binary.BigEndian.Uint32(x.fanout[4*(int(first)-1):]))
	}
	return lo, int(binary.BigEndian.Uint32(x.fanout[4*int(first):]))
}

func (x *Index) name(pos int) []byte {
	const size = len(git.ObjectID{})
	return x.names[pos*size : (pos+1)*size]
}

// ID returns the object at a position.
func (x *Index) ID(pos int) git.ObjectID { return git.ObjectID(x.name(pos)) }

// CRC returns the CRC-32 of the entry at a position: of its header and stream.
func (x *Index) CRC(pos int) uint32 { return binary.BigEndian.Uint32(x.crcs[4*pos:]) }

// Offset returns where in the pack the entry at a position starts, or -1 if the
// index is corrupt.
func (x *Index) Offset(pos int) int64 {
	small := binary.BigEndian.Uint32(x.small[4*pos:])
	if small&largeOffsetBit == 0 {
		return int64(small)
	}
	i := int(small &^ largeOffsetBit)
	if 8*i+8 > len(x.large) {
		return -1
	}
	return max(-1, int64(binary.BigEndian.Uint64(x.large[8*i:])))
}

// ByOffset returns the position of the nth entry of the pack, or -1 if the reverse
// index is corrupt.
func (x *Index) ByOffset(n int) (pos int) {
	p := binary.BigEndian.Uint32(x.order[4*n:])
	if int64(p) >= int64(x.n) {
		return -1
	}
	return int(p)
}

// PosAtOffset returns the position of the entry that starts at offset, and its
// place n in the order of offsets.
func (x *Index) PosAtOffset(offset int64) (pos, n int, ok bool) {
	n = sort.Search(x.n, func(i int) bool {
		p := x.ByOffset(i)
		return p < 0 || x.Offset(p) >= offset
	})
	if n == x.n {
		return 0, 0, false
	}
	pos = x.ByOffset(n)
	if pos < 0 || x.Offset(pos) != offset {
		return 0, 0, false
	}
	return pos, n, true
}

// MaxIndexBytes is the largest that the .idx file, and so the .rev file, of a pack
// with so many objects can be.
func MaxIndexBytes(objects int64) int64 {
	const each = int64(len(git.ObjectID{})) + 4 + 4 + 8
	return indexHeader + objects*each + 2*checksumSize
}
