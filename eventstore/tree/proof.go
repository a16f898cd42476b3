package tree

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ProveEvent proves that the event at a position is in the tree of a checkpoint. Every
// tile it reads is itself proven against the root.
func (f Folder) ProveEvent(c Checkpoint, position int64) (tlog.RecordProof, error) {
	if position < 1 || position > c.Size {
		return nil, fmt.Errorf("the checkpoint covers positions 1 to %d, and not %d", c.Size, position)
	}
	return tlog.ProveRecord(c.Size, position-1, f.hashes(c))
}

// ProvePrefix proves that the tree of a checkpoint begins with that of a smaller size.
func (f Folder) ProvePrefix(c Checkpoint, size int64) (tlog.TreeProof, error) {
	if size < 1 || size > c.Size {
		return nil, fmt.Errorf("the tree of %d events does not begin with one of %d", c.Size, size)
	}
	return tlog.ProveTree(c.Size, size, f.hashes(c))
}

// RootAt is the root of the tree as it was at a smaller size, proven to be a part of it.
func (f Folder) RootAt(c Checkpoint, size int64) (tlog.Hash, error) {
	if size < 0 || size > c.Size {
		return tlog.Hash{}, fmt.Errorf("the tree of %d events does not begin with one of %d", c.Size, size)
	}
	return tlog.TreeHash(size, f.hashes(c))
}

// FrontierAt is the frontier of the tree as it was at a smaller size.
func (f Folder) FrontierAt(c Checkpoint, size int64) (Frontier, error) {
	var indexes []int64
	for level, done := 62, int64(0); level >= 0; level-- {
		if size&(1<<level) != 0 {
			indexes = append(indexes, tlog.StoredHashIndex(level, done>>level))
			done += 1 << level
		}
	}
	if len(indexes) == 0 {
		return Frontier{}, nil
	}
	hashes, err := f.hashes(c).ReadHashes(indexes)
	if err != nil {
		return Frontier{}, err
	}
	return NewFrontier(size, hashes)
}

func (f Folder) hashes(c Checkpoint) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, f)
}

// checkPrefix reports, as a *ForkError, if a tree does not begin with a smaller one that
// is known.
func (f Folder) checkPrefix(c Checkpoint, size int64, root tlog.Hash) error {
	found, err := f.RootAt(c, size)
	if err != nil {
		return fmt.Errorf("the tiles of the log do not prove its checkpoints ('annal audit verify' says more): %w", err)
	}
	if found != root {
		return &ForkError{Size: size, Signed: root, Found: found}
	}
	return nil
}
