package browse

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

// Browser reads repositories. It is safe for concurrent use.
//
// What is not there is a *domain.NotFoundError about a "commit" or a "path"; other
// errors are those of the store.
type Browser struct {
	store   *store.Store
	commits *revwalk.Cache
}

// New makes a Browser. The cache may be shared with others.
func New(s *store.Store, commits *revwalk.Cache) *Browser {
	return &Browser{store: s, commits: commits}
}

// view is a repository while one call reads it.
type view struct {
	*store.Objects
	graph *revwalk.Graph
}

func (b *Browser) open(ctx context.Context, s *gitfs.Snapshot) (view, error) {
	objects, err := b.store.Objects(ctx, s.Storage, s.Packs)
	if err != nil {
		return view{}, err
	}
	return view{objects, revwalk.NewGraph(objects, b.commits)}, nil
}

func noCommit(name string) error {
	return domain.NotFound("commit", "Commit %q does not exist in this repository.", name)
}

func noPath(path string) error {
	return domain.NotFound("path", "The path %q does not exist at this revision.", path)
}

// MinAbbreviation is how many digits of an id are needed to find an object.
const MinAbbreviation = 4

// Find returns the only commit or tag whose id starts with the digits given, in
// lower case, and that visible refs reach.
func (b *Browser) Find(ctx context.Context, s *gitfs.Snapshot, digits string) (git.ObjectID, error) {
	const whole = 2 * len(git.ZeroID)
	if len(digits) < MinAbbreviation || len(digits) > whole {
		return git.ZeroID, noCommit(digits)
	}
	prefix, err := git.ParseObjectID(digits + strings.Repeat("0", whole-len(digits)))
	if err != nil {
		return git.ZeroID, noCommit(digits)
	}
	v, err := b.open(ctx, s)
	if err != nil {
		return git.ZeroID, err
	}
	defer v.Release()
	const enough = 64 // more candidates are as ambiguous as two
	var found []git.ObjectID
	for _, id := range v.WithPrefix(prefix, len(digits), enough) {
		t, _, err := v.Header(ctx, id)
		if err != nil {
			return git.ZeroID, err
		}
		if t != object.TypeCommit && t != object.TypeTag {
			continue
		}
		if visible, err := v.visible(ctx, s, id, t); err != nil {
			return git.ZeroID, err
		} else if visible {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return git.ZeroID, noCommit(digits)
	}
	return found[0], nil
}

// visible reports whether a commit can be reached from the refs, or a tag is named
// by one.
func (v view) visible(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID, t object.Type) (bool, error) {
	for ref := range s.Refs.Prefixed("") {
		if ref.ID == id || ref.Peeled == id {
			return true, nil
		}
	}
	if t != object.TypeCommit {
		return false, nil
	}
	tips, err := v.graph.Tips(ctx, s.Refs)
	if err != nil {
		return false, err
	}
	found, err := v.graph.Reachable(ctx, tips, []git.ObjectID{id})
	return found[id], err
}

// Peel follows tags from an object to the commit behind them.
func (b *Browser) Peel(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (git.ObjectID, error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return git.ZeroID, err
	}
	defer v.Release()
	if !v.Has(id) {
		return git.ZeroID, noCommit(id.String())
	}
	target, t, _, err := v.graph.Peel(ctx, id)
	if err != nil {
		return git.ZeroID, err
	}
	if t != object.TypeCommit {
		return git.ZeroID, noCommit(id.String())
	}
	return target, nil
}

// Commit reads a commit.
func (b *Browser) Commit(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (*object.Commit, error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	return v.commit(ctx, id)
}

func (v view) commit(ctx context.Context, id git.ObjectID) (*object.Commit, error) {
	t, data, err := v.Read(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && t != object.TypeCommit {
		return nil, noCommit(id.String())
	}
	if err != nil {
		return nil, err
	}
	return object.ParseCommit(data)
}

// Size returns the length of a file's content, in bytes.
func (b *Browser) Size(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (int64, error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return 0, err
	}
	defer v.Release()
	t, size, err := v.Header(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && t != object.TypeBlob {
		return 0, noPath(id.String())
	}
	return size, err
}

// Blob opens a file's content, which the caller closes. ctx must live for as long
// as it is read.
func (b *Browser) Blob(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (size int64, content io.ReadCloser, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return 0, nil, err
	}
	t, size, r, err := v.Open(ctx, id)
	if err == nil && t != object.TypeBlob {
		err = errors.Join(store.ErrNotFound, r.Close())
	}
	if err != nil {
		v.Release()
		if errors.Is(err, store.ErrNotFound) {
			err = noPath(id.String())
		}
		return 0, nil, err
	}
	return size, &blob{ReadCloser: r, view: v}, nil
}

// blob keeps the packs pinned while a file is read.
type blob struct {
	io.ReadCloser
	view view
}

func (b *blob) Close() error {
	defer b.view.Release()
	return b.ReadCloser.Close()
}

// binaryPrefix is how many bytes Git looks at to tell text from other files.
const binaryPrefix = 8000

// IsBinary reports whether a file that begins with these bytes is not text, as Git
// judges it.
func IsBinary(start []byte) bool {
	for _, c := range start[:min(len(start), binaryPrefix)] {
		if c == 0 {
			return true
		}
	}
	return false
}
