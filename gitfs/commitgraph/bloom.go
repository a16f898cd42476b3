package commitgraph

import (
	"encoding/binary"
	"math/bits"
)

// filters are the Bloom filters of changed paths, none if the file has none that are
// understood.
type filters struct {
	ends   []byte // cumulated lengths
	data   []byte
	hashes uint32
}

// maxHashes bounds what is computed for a path; git uses 7.
const maxHashes = 64

func newFilters(ends, data []byte, commits int) filters {
	if len(ends) != 4*commits || len(data) < bloomHead {
		return filters{}
	}
	version, hashes := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
	// Version 1 reads bytes as signed; it says the same as version 2 of paths in ASCII,
	// and no others are asked for.
	if version != 1 && version != 2 || hashes == 0 || hashes > maxHashes {
		return filters{}
	}
	return filters{ends: ends, data: data[bloomHead:], hashes: hashes}
}

// Path is a path that filters are asked about.
type Path struct{ first, second uint32 }

// NewPath makes a Path of one that is relative, with slashes. ok is false for a path that the
// filters cannot be asked about: "" and what is not ASCII.
func NewPath(path string) (p Path, ok bool) {
	for i := range len(path) {
		if path[i] >= 0x80 {
			return p, false
		}
	}
	return Path{murmur3(0x293ae76f, path), murmur3(0x7e646e2c, path)}, path != ""
}

// Unchanged reports that the commit at a position leaves a path as its first parent has it, and
// if it has no parent that it does not have it. False says nothing.
func (g *Graph) Unchanged(pos int, p Path) bool {
	f := &g.filters
	if f.ends == nil {
		return false
	}
	from, to := uint32(0), binary.BigEndian.Uint32(f.ends[4*pos:])
	if pos > 0 {
		from = binary.BigEndian.Uint32(f.ends[4*(pos-1):])
	}
	if from >= to || uint64(to) > uint64(len(f.data)) {
		return false // it was not computed
	}
	filter := f.data[from:to]
	size := uint64(len(filter)) * 8
	for i := range f.hashes {
		bit := uint64(p.first+i*p.second) % size
		if filter[bit/8]&(1<<(bit%8)) == 0 {
			return true
		}
	}
	return false
}

// murmur3 is MurmurHash3 for 32 bits, of ASCII as git computes it.
func murmur3(seed uint32, text string) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	hash := seed
	mix := func(k uint32) uint32 { return bits.RotateLeft32(k*c1, 15) * c2 }
	rest := text
	for ; len(rest) >= 4; rest = rest[4:] {
		k := uint32(rest[0]) | uint32(rest[1])<<8 | uint32(rest[2])<<16 | uint32(rest[3])<<24
		hash = bits.RotateLeft32(hash^mix(k), 13)*5 + 0xe6546b64
	}
	tail := uint32(0)
	for i := len(rest) - 1; i >= 0; i-- {
		tail = tail<<8 | uint32(rest[i])
	}
	if len(rest) > 0 {
		hash ^= mix(tail)
	}
	hash ^= uint32(len(text))
	hash = (hash ^ hash>>16) * 0x85ebca6b
	hash = (hash ^ hash>>13) * 0xc2b2ae35
	return hash ^ hash>>16
}
