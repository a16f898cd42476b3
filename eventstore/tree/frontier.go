package tree

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Frontier is a tree of which only the roots of its complete subtrees are kept, largest
// first: enough to append and to know the root. The zero Frontier is an empty tree.
type Frontier struct {
	size   int64
	hashes []tlog.Hash // one for each bit of size that is set
}

// NewFrontier makes the frontier of a tree of a size from its hashes.
func NewFrontier(size int64, hashes []tlog.Hash) (Frontier, error) {
	if size < 0 || bits.OnesCount64(uint64(size)) != len(hashes) {
		return Frontier{}, fmt.Errorf("a tree of %d leaves does not have a frontier of %d hashes", size, len(hashes))
	}
	return Frontier{size: size, hashes: append([]tlog.Hash(nil), hashes...)}, nil
}

// Size is how many leaves the tree has.
func (f *Frontier) Size() int64 { return f.size }

// Hashes are those of the complete subtrees, largest first. They are not to be changed.
func (f *Frontier) Hashes() []tlog.Hash { return f.hashes }

// Append adds the hash of a leaf.
func (f *Frontier) Append(leaf tlog.Hash) {
	for n := f.size; n&1 == 1; n >>= 1 {
		last := len(f.hashes) - 1
		leaf = tlog.NodeHash(f.hashes[last], leaf)
		f.hashes = f.hashes[:last]
	}
	f.hashes = append(f.hashes, leaf)
	f.size++
}

// Root is the root hash of the tree. Of an empty one it is SHA-256 of nothing.
func (f *Frontier) Root() tlog.Hash {
	if f.size == 0 {
		root, _ := tlog.TreeHash(0, nil)
		return root
	}
	last := len(f.hashes) - 1
	root := f.hashes[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(f.hashes[i], root)
	}
	return root
}

// Clone returns a frontier that moves on its own.
func (f *Frontier) Clone() Frontier {
	return Frontier{size: f.size, hashes: append([]tlog.Hash(nil), f.hashes...)}
}
