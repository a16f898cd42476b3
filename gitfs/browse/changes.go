package browse

import (
	"context"
	"errors"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
)

// ChangeKind is what happened to a path.
type ChangeKind int

// The kinds of changes.
const (
	Added ChangeKind = iota
	Deleted
	Modified
	Renamed
)

// Change is a file, symbolic link or gitlink that differs between two trees. What is not
// there on one side has no mode and the zero id on it.
type Change struct {
	Kind          ChangeKind
	Path, OldPath string // the same unless it was renamed
	Mode, OldMode object.FileMode
	ID, OldID     git.ObjectID
	Similarity    int // of a renamed one, in percent
}

// ChangeQuery asks what differs between two commits.
type ChangeQuery struct {
	From git.ObjectID // a commit; zero: nothing was there
	To   git.ObjectID // a commit
	// Path restricts the answer to a file or what is below a folder; "" is all. Renames
	// are found within it, and for a file among all.
	Path    string
	OldPath string // where the file was; "" means at Path too
	Renames bool
}

// MaxChanges bounds how many changes are listed.
const MaxChanges = 50_000

// Changes lists what differs, in Git's order of paths. truncated says that there is more
// than MaxChanges, and then no renames are looked for.
func (b *Browser) Changes(ctx context.Context, s *gitfs.Snapshot, q ChangeQuery) (list []Change, truncated bool, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, false, err
	}
	defer v.Release()
	return v.changes(ctx, q)
}

func (v view) changes(ctx context.Context, q ChangeQuery) (list []Change, truncated bool, err error) {
	var from, to git.ObjectID
	if !q.From.IsZero() {
		c, err := v.commit(ctx, q.From)
		if err != nil {
			return nil, false, err
		}
		from = c.Tree
	}
	c, err := v.commit(ctx, q.To)
	if err != nil {
		return nil, false, err
	}
	to = c.Tree
	if q.OldPath != "" && q.OldPath != q.Path {
		one, err := v.onePath(ctx, from, to, q)
		return one, false, err
	}
	d := treeDiff{view: v, ctx: ctx, path: q.Path}
	err = d.compare(from, to, "", 0)
	if errors.Is(err, errPageFull) {
		return d.list, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	if q.Renames {
		if d.list, err = v.renames(ctx, d.list); err != nil {
			return nil, false, err
		}
	}
	return d.list, false, nil
}

// onePath compares a file with another path of before.
func (v view) onePath(ctx context.Context, from, to git.ObjectID, q ChangeQuery) ([]Change, error) {
	c := Change{Kind: Renamed, Path: q.Path, OldPath: q.OldPath}
	now, exists, err := v.entry(ctx, to, q.Path)
	if err != nil {
		return nil, err
	}
	var old object.TreeEntry
	existed := false
	if !from.IsZero() {
		if old, existed, err = v.entry(ctx, from, q.OldPath); err != nil {
			return nil, err
		}
	}
	if exists && now.Mode.IsTree() || existed && old.Mode.IsTree() || !exists && !existed {
		return nil, nil
	}
	c.Mode, c.ID, c.OldMode, c.OldID = now.Mode, now.ID, old.Mode, old.ID
	switch {
	case !existed:
		c.Kind, c.OldPath = Added, q.Path
	case !exists:
		c.Kind, c.Path = Deleted, q.OldPath
	default:
		score, err := newRenamer(v).similarity(ctx, c.OldID, c.ID)
		if err != nil {
			return nil, err
		}
		c.Similarity = score
	}
	return []Change{c}, nil
}

// treeDiff compares two trees.
type treeDiff struct {
	view
	ctx  context.Context
	path string // only what is there, below it or on the way to it
	list []Change
}

// wanted reports whether a path is what was asked for or below it; onTheWay whether it is a
// folder above it.
func (d *treeDiff) wanted(path string) bool {
	return d.path == "" || path == d.path || strings.HasPrefix(path, d.path+"/")
}

func (d *treeDiff) onTheWay(path string) bool { return strings.HasPrefix(d.path, path+"/") }

func (d *treeDiff) entries(tree git.ObjectID) ([]object.TreeLink, error) {
	if tree.IsZero() {
		return nil, nil
	}
	data, err := d.tree(d.ctx, tree)
	if err != nil {
		return nil, err
	}
	var links []object.TreeLink
	for link, err := range object.TreeLinks(data) {
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

func (d *treeDiff) compare(from, to git.ObjectID, prefix string, depth int) error {
	if from == to {
		return nil
	}
	if depth > maxDepth {
		return errTooDeep
	}
	old, err := d.entries(from)
	if err != nil {
		return err
	}
	now, err := d.entries(to)
	if err != nil {
		return err
	}
	for len(old) > 0 || len(now) > 0 {
		var order int
		switch {
		case len(old) == 0:
			order = 1
		case len(now) == 0:
			order = -1
		default:
			order = compareEntries(old[0], now[0])
		}
		var a, b object.TreeLink
		if order <= 0 {
			a, old = old[0], old[1:]
		}
		if order >= 0 {
			b, now = now[0], now[1:]
		}
		if a.ID == b.ID && a.Mode == b.Mode {
			continue
		}
		if err := d.one(a, b, prefix, depth); err != nil {
			return err
		}
	}
	return nil
}

// one takes an entry that differs; a zero one is not there.
func (d *treeDiff) one(a, b object.TreeLink, prefix string, depth int) error {
	name := a.Name
	if name == nil {
		name = b.Name
	}
	path := prefix + string(name)
	folder := a.Mode.IsTree() || b.Mode.IsTree()
	if !d.wanted(path) && (!folder || !d.onTheWay(path)) {
		return nil
	}
	if folder { // on both sides, if on both there is one: they sort alike only then
		return d.compare(a.ID, b.ID, path+"/", depth+1)
	}
	if len(d.list) == MaxChanges {
		return errPageFull
	}
	c := Change{Kind: Modified, Path: path, OldPath: path, Mode: b.Mode, OldMode: a.Mode, ID: b.ID, OldID: a.ID}
	switch {
	case a.Name == nil:
		c.Kind = Added
	case b.Name == nil:
		c.Kind = Deleted
	}
	d.list = append(d.list, c)
	return nil
}

// compareEntries is Git's order: folders sort as if their names ended with a slash.
func compareEntries(a, b object.TreeLink) int {
	n := min(len(a.Name), len(b.Name))
	if order := strings.Compare(string(a.Name[:n]), string(b.Name[:n])); order != 0 {
		return order
	}
	return int(following(a, n)) - int(following(b, n))
}

func following(e object.TreeLink, n int) byte {
	switch {
	case len(e.Name) > n:
		return e.Name[n]
	case e.Mode.IsTree():
		return '/'
	}
	return 0
}
