package store

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/faultpoint"
)

// packSuffixes are the files a pack may have, in the order in which they are taken away:
// without its .idx a pack is none to plain git, and while there is a .pack its name is
// taken.
var packSuffixes = []string{"idx", "rev", "bitmap", "graph", "pack"}

// PackName is the name of a pack's files without their suffix, relative to the folder of
// its repository.
func PackName(id git.ObjectID) string {
	return path.Join("objects", "pack", strings.TrimSuffix(packFile(id, "x"), ".x"))
}

// Leftovers lists what lies on the shared home for a repository: packs by their ids, and
// the names of files of the staging folders, relative to the folder of the repository. It
// is for sweeping only: what a repository has is in its list of packs. Files that are not
// named as ours are left out.
func (s *Store) Leftovers(ctx context.Context, storage string) (packs []git.ObjectID, staged []string, err error) {
	if err := checkStorage(storage); err != nil {
		return nil, nil, err
	}
	names, err := s.list(ctx, packDir(storage))
	if err != nil {
		return nil, nil, err
	}
	seen := map[git.ObjectID]bool{}
	for _, name := range names {
		stem, suffix, _ := strings.Cut(name, ".")
		text, ours := strings.CutPrefix(stem, "pack-")
		if id, err := git.ParseObjectID(text); ours && err == nil && slices.Contains(packSuffixes, suffix) && !seen[id] {
			seen[id] = true
			packs = append(packs, id)
		}
	}
	for _, staging := range []string{packStaging, LFSStaging} {
		dir := path.Join(repositoryDir(storage), staging)
		nodes, err := s.list(ctx, dir)
		if err != nil {
			return nil, nil, err
		}
		for _, node := range nodes {
			files, err := s.list(ctx, path.Join(dir, node))
			if err != nil {
				return nil, nil, err
			}
			for _, file := range files {
				staged = append(staged, path.Join(staging, node, file))
			}
		}
	}
	return packs, staged, nil
}

// list reads a folder; one that is not there is empty.
func (s *Store) list(ctx context.Context, dir string) (names []string, err error) {
	err = s.useShared(ctx, func() (err error) { names, err = s.files.ReadDir(dir); return err })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

func trashDir(storage string) string { return path.Join(repositoryDir(storage), "trash") }

// filesOf are the names of the files that a leftover may consist of, relative to the
// folder of the repository.
func filesOf(name string) (files []string) {
	if !strings.HasPrefix(name, "objects/pack/") {
		return []string{name}
	}
	for _, suffix := range packSuffixes {
		files = append(files, name+"."+suffix)
	}
	return files
}

// Trash moves a leftover, named as PackName and Leftovers do, into a folder of the
// repository's trash that nothing else is in. What is not there, or was moved before, is
// passed over.
func (s *Store) Trash(ctx context.Context, storage, name, folder string) error {
	if err := checkTrash(storage, name, folder); err != nil {
		return err
	}
	to := path.Join(trashDir(storage), folder)
	for _, dir := range []string{trashDir(storage), to} {
		err := s.useShared(ctx, func() error { return s.files.Mkdir(dir) })
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, file := range filesOf(name) {
		if err := s.move(ctx, path.Join(repositoryDir(storage), file), path.Join(to, path.Base(file))); err != nil {
			return err
		}
		faultpoint.Reach(TrashMoved)
	}
	return s.syncDirs(ctx, path.Join(repositoryDir(storage), path.Dir(name)), to, trashDir(storage))
}

// Restore moves a leftover back from its folder in the trash. A file whose name has been
// taken meanwhile holds the same and stays.
func (s *Store) Restore(ctx context.Context, storage, name, folder string) error {
	if err := checkTrash(storage, name, folder); err != nil {
		return err
	}
	from := path.Join(trashDir(storage), folder)
	files := filesOf(name)
	slices.Reverse(files) // the .idx last
	for _, file := range files {
		final := path.Join(repositoryDir(storage), file)
		err := s.useShared(ctx, func() error { _, err := s.files.Stat(final); return err })
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.move(ctx, path.Join(from, path.Base(file)), final); err != nil {
			return err
		}
	}
	if err := s.syncDirs(ctx, path.Join(repositoryDir(storage), path.Dir(name)), from); err != nil {
		return err
	}
	return s.EmptyTrash(ctx, storage, folder)
}

// EmptyTrash removes a folder of the trash and what is in it for good.
func (s *Store) EmptyTrash(ctx context.Context, storage, folder string) error {
	if err := checkTrash(storage, "", folder); err != nil {
		return err
	}
	dir := path.Join(trashDir(storage), folder)
	names, err := s.list(ctx, dir)
	if err != nil {
		return err
	}
	for _, name := range append(names, "") {
		err := s.useShared(ctx, func() error { return s.files.Remove(path.Join(dir, name)) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// move renames a file, if it is there.
func (s *Store) move(ctx context.Context, from, to string) error {
	err := s.useShared(ctx, func() error { return s.files.Rename(from, to) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil // never there, or moved by an attempt before
	}
	return err
}

func (s *Store) syncDirs(ctx context.Context, dirs ...string) error {
	for _, dir := range dirs {
		if err := s.useShared(ctx, func() error { return s.files.SyncDir(dir) }); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

var errNotPlain = errors.New("store: this cannot name a file of a repository")

// checkTrash keeps what is not plainly a leftover's name out of paths.
func checkTrash(storage, name, folder string) error {
	if err := checkStorage(storage); err != nil {
		return err
	}
	if !isPlainName(folder) || name != path.Clean(name) && name != "" {
		return errNotPlain
	}
	if name != "" && !strings.HasPrefix(name, "objects/pack/pack-") && !strings.HasPrefix(name, packStaging+"/") && !strings.HasPrefix(name, LFSStaging+"/") {
		return errNotPlain
	}
	return nil
}

// Reads reports whether somebody in this process has a pack pinned. If not, it is closed
// and will be opened again only by whoever still finds it listed.
func (s *Store) Reads(storage string, id git.ObjectID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.packs[packKey{storage, id}]; p != nil {
		if p.pins > 0 {
			return true
		}
		s.notIdle(p)
		delete(s.packs, p.mapKey())
		_ = p.close() // files that were only read
	}
	s.forgetIndex(storage, id)
	return false
}
