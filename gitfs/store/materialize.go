package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/faultpoint"
)

// materializedConfig lets plain git read the folder, and keeps it from removing objects:
// what it would not keep is what every past position of the log needs.
const materializedConfig = `[core]
	repositoryformatversion = 1
	bare = true
[extensions]
	preciousObjects = true
[gc]
	auto = 0
`

// Materialize writes refs, HEAD and a configuration beside the objects of a repository, so
// that plain git can read its folder when nothing else is left. No node ever reads them.
// Each file is replaced as a whole; packed-refs comes last. A repository without a folder,
// since nothing was pushed yet, is passed over.
func (s *Store) Materialize(ctx context.Context, snapshot *gitfs.Snapshot) error {
	if err := checkStorage(snapshot.Storage); err != nil {
		return err
	}
	if len(snapshot.Packs) == 0 {
		return nil
	}
	if snapshot.Fork {
		if err := s.materializeFork(ctx, snapshot); err != nil {
			return fmt.Errorf("write refs for plain git: %w", err)
		}
	}
	if err := s.WriteIndexes(ctx, snapshot.Storage, snapshot.Packs); err != nil {
		return fmt.Errorf("write indexes for plain git: %w", err)
	}
	dir := repositoryDir(snapshot.Storage)
	err := s.useShared(ctx, func() error { return s.files.Mkdir(path.Join(dir, "refs")) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write refs for plain git: %w", err)
	}
	var refs bytes.Buffer
	refs.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
	for ref := range snapshot.Refs.Prefixed("") {
		fmt.Fprintf(&refs, "%s %s\n", ref.ID, ref.Name)
		if !ref.Peeled.IsZero() {
			fmt.Fprintf(&refs, "^%s\n", ref.Peeled)
		}
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{"config", []byte(materializedConfig)},
		{"HEAD", []byte("ref: " + snapshot.Head + "\n")},
		{"packed-refs", refs.Bytes()},
	} {
		if err := s.replace(ctx, snapshot.Storage, path.Join(dir, file.name), file.content); err != nil {
			return fmt.Errorf("write refs for plain git: %w", err)
		}
		faultpoint.Reach(Materialized)
	}
	return s.syncDirs(ctx, dir)
}

// WriteIndexes puts the indexes of small packs onto the shared home, for plain git. It
// passes over those that are there and over packs in the folders of other repositories.
func (s *Store) WriteIndexes(ctx context.Context, storage string, packs []git.Pack) error {
	var there map[string]bool
	written := false
	for _, info := range packs {
		if info.Bytes > smallPack || info.Storage != "" && info.Storage != storage {
			continue
		}
		if there == nil {
			names, err := s.list(ctx, packDir(storage))
			if err != nil {
				return err
			}
			there = make(map[string]bool, len(names))
			for _, name := range names {
				there[name] = true
			}
		}
		file := packFile(info.ID, "idx")
		if there[file] {
			continue
		}
		if err := s.writeIndex(ctx, storage, info, path.Join(packDir(storage), file)); err != nil {
			return err
		}
		written = true
	}
	if !written {
		return nil
	}
	return s.syncDirs(ctx, packDir(storage))
}

func (s *Store) writeIndex(ctx context.Context, storage string, info git.Pack, name string) error {
	p, err := s.pin(ctx, storage, info)
	if err != nil {
		return err
	}
	defer s.unpin(p)
	var idx bytes.Buffer
	if _, err := p.index.WriteTo(&idx); err != nil {
		return err
	}
	return s.replace(ctx, storage, name, idx.Bytes())
}

// materializeFork makes the folder of a fork, which has none until it is pushed to, and
// names in it the folders of the repositories whose packs it lists.
func (s *Store) materializeFork(ctx context.Context, snapshot *gitfs.Snapshot) error {
	if err := (&publication{store: s, ctx: ctx, storage: snapshot.Storage}).makeFolders(); err != nil {
		return err
	}
	objects := path.Join(repositoryDir(snapshot.Storage), "objects")
	var alternates bytes.Buffer
	seen := map[string]bool{}
	for _, p := range snapshot.Packs {
		if p.Storage == "" || p.Storage == snapshot.Storage || seen[p.Storage] {
			continue
		}
		seen[p.Storage] = true
		// From the folder "objects", up to the shared home.
		fmt.Fprintf(&alternates, "../../../../%s/objects\n", repositoryDir(p.Storage))
	}
	err := s.useShared(ctx, func() error { return s.files.Mkdir(path.Join(objects, "info")) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.replace(ctx, snapshot.Storage, path.Join(objects, "info", "alternates"), alternates.Bytes()); err != nil {
		return err
	}
	return s.syncDirs(ctx, path.Join(objects, "info"), objects)
}

// replace gives a file new content at once.
func (s *Store) replace(ctx context.Context, storage, name string, content []byte) error {
	dir := path.Join(stagingDir(storage), s.config.Node)
	staged := path.Join(dir, newName()+"."+path.Base(name))
	return s.useShared(ctx, func() error {
		f, err := s.files.Create(staged)
		if errors.Is(err, fs.ErrNotExist) { // this node has not pushed to it yet
			if err := s.files.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			f, err = s.files.Create(staged)
		}
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if err == nil {
			err = f.Sync()
		}
		if err := errors.Join(err, f.Close()); err != nil {
			_ = s.files.Remove(staged)
			return err
		}
		return s.files.Rename(staged, name)
	})
}
