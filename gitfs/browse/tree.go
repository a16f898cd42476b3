package browse

import (
	"context"
	"errors"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// maxDepth bounds how far folders are followed into each other.
const maxDepth = 4096

// Entry finds what stands at a path of a commit's tree; "" is the tree itself. The
// entry's Name is the last part of the path.
func (b *Browser) Entry(ctx context.Context, s *gitfs.Snapshot, commit git.ObjectID, path string) (object.TreeEntry, error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return object.TreeEntry{}, err
	}
	defer v.Release()
	c, err := v.commit(ctx, commit)
	if err != nil {
		return object.TreeEntry{}, err
	}
	entry, ok, err := v.entry(ctx, c.Tree, path)
	if err == nil && !ok {
		err = noPath(path)
	}
	return entry, err
}

// entry follows a path down from a tree.
func (v view) entry(ctx context.Context, tree git.ObjectID, path string) (object.TreeEntry, bool, error) {
	entry := object.TreeEntry{Mode: object.ModeTree, ID: tree}
	if path == "" {
		return entry, true, nil
	}
	if strings.Count(path, "/") > maxDepth {
		return object.TreeEntry{}, false, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		if !entry.Mode.IsTree() {
			return object.TreeEntry{}, false, nil
		}
		data, err := v.tree(ctx, entry.ID)
		if err != nil {
			return object.TreeEntry{}, false, err
		}
		found := false
		for link, err := range object.TreeLinks(data) {
			if err != nil {
				return object.TreeEntry{}, false, err
			}
			if string(link.Name) == name {
				entry, found = object.TreeEntry{Mode: link.Mode, Name: name, ID: link.ID}, true
				break
			}
		}
		if !found {
			return object.TreeEntry{}, false, nil
		}
	}
	return entry, true, nil
}

// tree reads a tree.
func (v view) tree(ctx context.Context, id git.ObjectID) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, data, err := v.Read(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && t != object.TypeTree {
		return nil, noPath(id.String())
	}
	return data, err
}

// Tree lists the entries of a tree, in Git's order.
func (b *Browser) Tree(ctx context.Context, s *gitfs.Snapshot, tree git.ObjectID) ([]object.TreeEntry, error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	data, err := v.tree(ctx, tree)
	if err != nil {
		return nil, err
	}
	var entries []object.TreeEntry
	for entry, err := range object.Tree(data) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// Files lists the paths of the files and symbolic links below a tree, relative to
// it, in Git's order, from the given place in that list on. more says that there
// are others behind the page.
func (b *Browser) Files(ctx context.Context, s *gitfs.Snapshot, tree git.ObjectID, start, limit int) (paths []string, more bool, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, false, err
	}
	defer v.Release()
	l := listing{view: v, skip: start, left: limit}
	err = l.list(ctx, tree, "", 0)
	if errors.Is(err, errPageFull) {
		return l.paths, true, nil
	}
	return l.paths, false, err
}

// errPageFull ends a listing that has what it needs.
var errPageFull = errors.New("page is full")

var errTooDeep = errors.New("tree is nested too deep")

type listing struct {
	view
	skip, left int
	paths      []string
}

func (l *listing) list(ctx context.Context, tree git.ObjectID, prefix string, depth int) error {
	if depth > maxDepth {
		return errTooDeep
	}
	data, err := l.tree(ctx, tree)
	if err != nil {
		return err
	}
	for link, err := range object.TreeLinks(data) {
		switch {
		case err != nil:
			return err
		case link.Mode.IsTree():
			if err := l.list(ctx, link.ID, prefix+string(link.Name)+"/", depth+1); err != nil {
				return err
			}
		case link.Mode.IsGitlink():
		case l.skip > 0:
			l.skip--
		case l.left == 0:
			return errPageFull
		default:
			l.left--
			l.paths = append(l.paths, prefix+string(link.Name))
		}
	}
	return nil
}
