package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/gitfs/pack"
)

// Install puts a pack that was made in a local folder onto the shared home, with its .idx
// and, if they are there, its .rev, .bitmap and .graph. path is that of the .pack file. The caller
// has checked that the pack is what it should be; only that its files belong together is
// looked at here. Errors are *CorruptPackError and *PublishError.
func (s *Store) Install(ctx context.Context, storage, path string) (p repository.CombinedPack, err error) {
	if err := checkStorage(storage); err != nil {
		return p, err
	}
	var parts []packPart
	base := path[:len(path)-len(filepath.Ext(path))]
	for _, part := range []packPart{
		{suffix: "pack", written: CombinedWritten, renamed: CombinedRenamed}, {suffix: "rev"}, {suffix: "bitmap"}, {suffix: "graph"},
		{suffix: "idx", synced: CombinedSynced, renamed: CombinedPlaced},
	} {
		f, err := os.Open(base + "." + part.suffix)
		if errors.Is(err, fs.ErrNotExist) && part.suffix != "pack" && part.suffix != "idx" {
			continue
		}
		if err != nil {
			return p, err
		}
		defer func() { _ = f.Close() }() // was only read
		info, err := f.Stat()
		if err != nil {
			return p, err
		}
		part.content, part.size = f, info.Size()
		if part.suffix == "bitmap" {
			p.Bitmap = info.Size()
		}
		parts = append(parts, part)
	}
	if p.Pack, err = describe(parts[0], parts[len(parts)-1]); err != nil {
		return p, err
	}
	if p.Objects >= reverseFrom && parts[1].suffix != "rev" {
		return p, fmt.Errorf("pack %s has no .rev file", p.ID)
	}
	return p, s.publish(ctx, storage, p.ID, parts)
}

// describe reads from a pack and its index what the log holds of them.
func describe(file, idx packPart) (p git.Pack, err error) {
	if file.size < pack.HeaderSize+pack.TrailerSize || idx.size < 2*pack.TrailerSize {
		return p, &CorruptPackError{Reason: "a file is too short"}
	}
	header, named := make([]byte, pack.HeaderSize), make([]byte, pack.TrailerSize)
	if err := errors.Join(
		readFull(file.content, header, 0),
		readFull(file.content, p.ID[:], file.size-pack.TrailerSize),
		readFull(idx.content, named, idx.size-2*pack.TrailerSize),
	); err != nil {
		return p, err
	}
	if git.ObjectID(named) != p.ID {
		return p, &CorruptPackError{Reason: "the index is of another pack"}
	}
	objects, err := pack.ParseHeader(header)
	p.Objects, p.Bytes = int64(objects), file.size
	return p, err
}

// PackPath is where a file of a pack lies on the shared home, for programs that are no
// part of this process; suffix is "pack", "idx" or "bitmap".
// A small pack may have no .idx; see Objects.LinkPacks.
func (s *Store) PackPath(storage string, id git.ObjectID, suffix string) string {
	return filepath.Join(s.config.SharedHome, filepath.FromSlash(packDir(storage)), packFile(id, suffix))
}

// LinkPacks makes the packs visible in a folder of the local home, such as that of a scratch
// repository in which native git works, while they are pinned. The indexes of small packs,
// which may have none on the shared home, are written there.
func (o *Objects) LinkPacks(folder string) error {
	for _, p := range o.packs {
		for _, suffix := range []string{"pack", "idx"} {
			in := filepath.Join(folder, packFile(p.info.ID, suffix))
			if suffix == "idx" && p.small {
				var idx bytes.Buffer
				if _, err := p.index.WriteTo(&idx); err != nil {
					return err
				}
				if err := os.WriteFile(in, idx.Bytes(), 0o600); err != nil {
					return err
				}
				continue
			}
			target, err := filepath.Abs(o.store.PackPath(p.storage, p.info.ID, suffix))
			if err != nil {
				return err
			}
			if err := os.Symlink(target, in); err != nil {
				return err
			}
		}
	}
	return nil
}
