package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Shape of a tile.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// MaxEntry is the longest leaf that fits into an entry bundle, in bytes, because its
// length is written with two. The entry of a longer one is empty, and its leaf is in the
// file that LargePath names.
const MaxEntry = 1<<16 - 1

// TilePath is where a tile of hashes lies. level counts in tiles: the leaf hashes are at
// level 0. width is TileWidth for a full one.
func TilePath(level int, index int64, width int) string {
	return "tile/" + strings.TrimPrefix(tlog.Tile{H: TileHeight, L: level, N: index, W: width}.Path(), fmt.Sprintf("tile/%d/", TileHeight))
}

// BundlePath is where a bundle of entries lies.
func BundlePath(index int64, width int) string {
	return "tile/entries/" + strings.TrimPrefix(TilePath(0, index, width), "tile/0/")
}

// LargePath is where the leaf of an event lies that is too long for its bundle.
func LargePath(position int64) string {
	return "tile/entries/large/" + strings.TrimPrefix(TilePath(0, position, TileWidth), "tile/0/")
}

// Path is a path below an epoch's folder, taken apart.
type Path struct {
	Entries bool // a bundle of entries, else a tile of hashes
	Large   bool // a leaf that is too long for its bundle; Index is its position
	Level   int
	Index   int64
	Width   int
}

var errPath = errors.New("this is no path of a tile")

// ParsePath reads a path as TilePath, BundlePath and LargePath write it, and refuses any
// other spelling.
func ParsePath(path string) (Path, error) {
	p := Path{}
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return p, errPath
	}
	canonical := rest
	if rest, p.Entries = strings.CutPrefix(rest, "entries/"); p.Entries {
		rest, p.Large = strings.CutPrefix(rest, "large/")
		canonical = "0/" + rest
	}
	tile, err := tlog.ParseTilePath(fmt.Sprintf("tile/%d/%s", TileHeight, canonical))
	if err != nil || tile.L < 0 {
		return p, errPath
	}
	p.Level, p.Index, p.Width = tile.L, tile.N, tile.W
	if p.String() != path {
		return p, errPath
	}
	return p, nil
}

func (p Path) String() string {
	switch {
	case p.Large:
		return LargePath(p.Index)
	case p.Entries:
		return BundlePath(p.Index, p.Width)
	}
	return TilePath(p.Level, p.Index, p.Width)
}

// ParseTile reads the hashes of a tile that must have a width.
func ParseTile(data []byte, width int) ([]tlog.Hash, error) {
	if width < 1 || width > TileWidth || len(data) != width*tlog.HashSize {
		return nil, fmt.Errorf("a tile of %d hashes has %d bytes and not %d", width, width*tlog.HashSize, len(data))
	}
	hashes := make([]tlog.Hash, width)
	for i := range hashes {
		copy(hashes[i][:], data[i*tlog.HashSize:])
	}
	return hashes, nil
}

func appendTile(b []byte, hashes []tlog.Hash) []byte {
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

// ParseBundle reads the entries of a bundle that must have width many. They share
// memory with data. An empty one stands for a leaf too long for a bundle.
func ParseBundle(data []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth {
		return nil, fmt.Errorf("a bundle does not have %d entries", width)
	}
	entries := make([][]byte, 0, width)
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("entry %d of the bundle is cut off", len(entries))
		}
		n := 2 + int(binary.BigEndian.Uint16(data))
		if len(entries) == width {
			return nil, fmt.Errorf("the bundle has more than %d entries", width)
		}
		entries = append(entries, data[2:n:n])
		data = data[n:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("the bundle has %d entries and not %d", len(entries), width)
	}
	return entries, nil
}

func appendEntry(b, leaf []byte) []byte {
	if len(leaf) > MaxEntry {
		leaf = nil
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(leaf)))
	return append(b, leaf...)
}

// subtreeRoots are the roots of the complete subtrees of a tile's hashes, largest first.
func subtreeRoots(hashes []tlog.Hash) []tlog.Hash {
	var f Frontier
	for _, h := range hashes {
		f.Append(h)
	}
	return f.hashes
}
