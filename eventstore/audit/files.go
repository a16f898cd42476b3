package audit

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
)

// Files checks what lies on the shared home for a log in a database: that the checkpoint
// is not an older one, and that each tile and bundle of entries holds what the leaf hashes
// say, which Verify compares with the events.
func Files(logDir string, source *Database) func(context.Context) ([]Finding, error) {
	return func(ctx context.Context) ([]Finding, error) {
		signed := source.Header().Checkpoint
		if signed == "" {
			return nil, nil
		}
		c, err := tree.PeekCheckpoint(signed)
		if err != nil {
			return nil, nil // Verify says so
		}
		_, epoch, err := tree.ParseOrigin(c.Origin)
		if err != nil {
			return nil, nil
		}
		f := &files{folder: tree.EpochFolder(logDir, epoch), size: c.Size}
		f.checkpoint(ctx, c)
		for level := 0; c.Size>>(tree.TileHeight*level) > 0; level++ {
			if err := f.level(ctx, level); err != nil {
				return nil, err
			}
		}
		return f.findings.list(), nil
	}
}

type files struct {
	findings
	folder tree.Folder
	size   int64
}

// The file of a checkpoint is written after its row in the database, by a node that may be
// killed in between and taken over from.
const (
	publishTime  = 10 * time.Second
	publishPause = 50 * time.Millisecond
)

// checkpoint compares the newest checkpoint in the database with that on the shared home,
// which may be newer, and a moment older.
func (f *files) checkpoint(ctx context.Context, newest tree.Checkpoint) {
	signed, err := f.folder.Checkpoint()
	for deadline := time.Now().Add(publishTime); ctx.Err() == nil && time.Now().Before(deadline); {
		if c, err := tree.PeekCheckpoint(signed); err == nil && c.Size >= newest.Size {
			break
		}
		select {
		case <-time.After(publishPause):
		case <-ctx.Done():
		}
		signed, err = f.folder.Checkpoint()
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.at(Signatures, newest.Size, "the shared home has no checkpoint")
		return
	}
	c, parseErr := tree.PeekCheckpoint(signed)
	switch {
	case err != nil || parseErr != nil:
		f.at(Signatures, newest.Size, "the checkpoint on the shared home cannot be read")
	case c.Size < newest.Size:
		f.at(Signatures, c.Size, "the checkpoint on the shared home is an old one, of %d events of %d", c.Size, newest.Size)
	case c.Size == newest.Size && c.Root != newest.Root:
		f.at(Signatures, c.Size, "the checkpoint on the shared home is another than that in the database")
	}
}

// level checks all tiles of a level against the one above, and at the lowest the entries.
func (f *files) level(ctx context.Context, level int) error {
	count := f.size >> (tree.TileHeight * level)
	var above []tlog.Hash
	for index := int64(0); index*tree.TileWidth < count; index++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		width := int(min(tree.TileWidth, count-index*tree.TileWidth))
		first := index<<(tree.TileHeight*(level+1)) + 1
		last := min(f.size, (index+1)<<(tree.TileHeight*(level+1)))
		hashes, err := f.folder.Tile(level, index, width)
		if err != nil {
			f.add(Tree, first, last, "the tile %s cannot be read", tree.TilePath(level, index, width))
			continue
		}
		if level == 0 {
			f.bundle(index, hashes)
		}
		if width < tree.TileWidth {
			continue
		}
		if above == nil || index%tree.TileWidth == 0 {
			up := count >> tree.TileHeight
			above, err = f.folder.Tile(level+1, index/tree.TileWidth, int(min(tree.TileWidth, up-index/tree.TileWidth*tree.TileWidth)))
			if err != nil {
				above = nil
				continue // named at its own level
			}
		}
		var t tree.Frontier
		for _, h := range hashes {
			t.Append(h)
		}
		if t.Root() != above[index%tree.TileWidth] {
			f.add(Tree, first, last, "the tile %s and the one above it do not fit together", tree.TilePath(level, index, width))
		}
	}
	return nil
}

func (f *files) bundle(index int64, hashes []tlog.Hash) {
	first := index*tree.TileWidth + 1
	entries, err := f.folder.Bundle(index, len(hashes))
	if err != nil {
		f.add(Tree, first, first+int64(len(hashes))-1, "the entries %s cannot be read", tree.BundlePath(index, len(hashes)))
		return
	}
	for i, entry := range entries {
		position := first + int64(i)
		if len(entry) == 0 {
			if entry, err = f.folder.Read(tree.LargePath(position)); err != nil {
				f.at(Tree, position, "the entry %s cannot be read", tree.LargePath(position))
				continue
			}
		}
		if tlog.Hash(eventstore.LeafHash(entry)) != hashes[i] {
			f.at(Tree, position, "the entry in %s is not the one that the tiles have", tree.BundlePath(index, len(hashes)))
		}
	}
}
