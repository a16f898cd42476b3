package tree

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/eventstore"
)

// builder extends a tree and writes its files. It holds the right edge: of each level the
// tile that is not full yet.
type builder struct {
	out    writer
	size   int64
	levels [][]tlog.Hash
	bundle []byte // entries beside levels[0]
	leaf   []byte // room for one
}

// append adds the event behind the newest one.
func (b *builder) append(e eventstore.Stored) error {
	if e.Position != b.size+1 {
		return fmt.Errorf("event %d cannot follow a tree of %d", e.Position, b.size)
	}
	b.leaf = e.AppendLeaf(b.leaf[:0])
	if len(b.leaf) > MaxEntry {
		if err := b.out.write(LargePath(e.Position), b.leaf); err != nil {
			return err
		}
	}
	b.bundle = appendEntry(b.bundle, b.leaf)
	b.size++
	return b.push(0, tlog.Hash(eventstore.LeafHash(b.leaf)))
}

// push adds a hash to the open tile of a level. A tile that is full is written, and its
// root goes to the level above.
func (b *builder) push(level int, hash tlog.Hash) error {
	if level == len(b.levels) {
		b.levels = append(b.levels, nil)
	}
	b.levels[level] = append(b.levels[level], hash)
	if len(b.levels[level]) < TileWidth {
		return nil
	}
	index := b.size>>(TileHeight*(level+1)) - 1
	if err := b.write(level, index); err != nil {
		return err
	}
	root := subtreeRoots(b.levels[level])[0]
	b.levels[level] = b.levels[level][:0]
	if level == 0 {
		b.bundle = b.bundle[:0]
	}
	return b.push(level+1, root)
}

func (b *builder) write(level int, index int64) error {
	hashes := b.levels[level]
	if err := b.out.write(TilePath(level, index, len(hashes)), appendTile(nil, hashes)); err != nil {
		return err
	}
	if level == 0 {
		return b.out.write(BundlePath(index, len(hashes)), b.bundle)
	}
	return nil
}

// flush writes the tiles of the edge and makes all files durable.
func (b *builder) flush() error {
	for level, hashes := range b.levels {
		if len(hashes) == 0 {
			continue
		}
		if err := b.write(level, b.size>>(TileHeight*(level+1))); err != nil {
			return err
		}
	}
	return b.out.sync()
}

// frontier is that of the tree as it is.
func (b *builder) frontier() Frontier {
	f := Frontier{size: b.size}
	for level := len(b.levels) - 1; level >= 0; level-- {
		f.hashes = append(f.hashes, subtreeRoots(b.levels[level])...)
	}
	return f
}

// resume reads the edge of a tree from its files and checks it against the root.
func resume(folder Folder, size int64, root tlog.Hash) (*builder, error) {
	b := &builder{out: writer{folder: folder}, size: size}
	for level := 0; size>>(TileHeight*level) > 0; level++ {
		n := size >> (TileHeight * level)
		var hashes []tlog.Hash
		if width := int(n % TileWidth); width > 0 {
			var err error
			if hashes, err = folder.Tile(level, n/TileWidth, width); err != nil {
				return nil, err
			}
		}
		b.levels = append(b.levels, hashes)
	}
	if f := b.frontier(); f.Root() != root {
		return nil, errors.New("the tiles do not have the root that was signed")
	}
	if width := int(size % TileWidth); width > 0 {
		entries, err := folder.Bundle(size/TileWidth, width)
		if err != nil {
			return nil, err
		}
		for i, entry := range entries {
			hash := tlog.Hash(eventstore.LeafHash(entry))
			if len(entry) == 0 {
				leaf, err := folder.Read(LargePath(size/TileWidth*TileWidth + int64(i) + 1))
				if err != nil {
					return nil, err
				}
				hash = tlog.Hash(eventstore.LeafHash(leaf))
			}
			if hash != b.levels[0][i] {
				return nil, fmt.Errorf("entry %d of bundle %d does not have the hash in its tile", i, size/TileWidth)
			}
			b.bundle = appendEntry(b.bundle, entry)
		}
	}
	return b, nil
}

// lost reports whether resume failed because of what the files hold, so that they have to
// be made anew, and not because they cannot be read at the moment.
func lost(err error) bool {
	var path *fs.PathError
	return errors.Is(err, fs.ErrNotExist) || !errors.As(err, &path)
}
