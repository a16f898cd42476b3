package revwalk

import (
	"context"
	"errors"
	"fmt"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/commitgraph"
	"github.com/annal-git/annal/gitfs/object"
)

// maxTagChain is how many tags may name each other before something that is no tag.
const maxTagChain = 16

// Reader is where objects are read from: a repository's packs, or a push in
// quarantine on top of them. Both fail for an object that is not there.
type Reader interface {
	Header(ctx context.Context, id git.ObjectID) (object.Type, int64, error)
	Read(ctx context.Context, id git.ObjectID) (object.Type, []byte, error)
}

// Known may be implemented by a Reader that has commits in a form which takes no inflating, such as
// a commit-graph. ok is false of others, which may be there nevertheless.
type Known interface {
	Commit(ctx context.Context, id git.ObjectID) (c commitgraph.Commit, ok bool)
}

// TypeError says that an object is not of the type that was needed.
type TypeError struct {
	ID         git.ObjectID
	Want, Have object.Type
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("object %s is a %s, not a %s", e.ID, e.Have, e.Want)
}

// ErrTagChain says that too many tags name each other.
var ErrTagChain = errors.New("chain of tags is too long")

// Graph is the commits of a repository as seen through a Reader. It is safe for
// concurrent use if the Reader is.
type Graph struct {
	reader Reader
	known  Known // nil if the reader knows none
	cache  *Cache
	cut    map[git.ObjectID]struct{} // commits whose parents are not followed
}

// NewGraph makes a Graph; cache may be nil. Since cached commits are found without
// asking the reader, ids that strangers name must be looked up there first.
func NewGraph(reader Reader, cache *Cache) *Graph {
	known, _ := reader.(Known)
	return &Graph{reader: reader, known: known, cache: cache}
}

// Cut returns the graph in which the given commits have no parents, as in a
// shallow clone.
func (g *Graph) Cut(shallow []git.ObjectID) *Graph {
	if len(shallow) == 0 {
		return g
	}
	cut := make(map[git.ObjectID]struct{}, len(shallow)+len(g.cut))
	for id := range g.cut {
		cut[id] = struct{}{}
	}
	for _, id := range shallow {
		cut[id] = struct{}{}
	}
	return &Graph{reader: g.reader, known: g.known, cache: g.cache, cut: cut}
}

// Commit reads a commit. Errors are those of the Reader and *TypeError.
func (g *Graph) Commit(ctx context.Context, id git.ObjectID) (Commit, error) {
	c, ok := g.cache.get(id)
	if !ok {
		var err error
		if c, err = g.read(ctx, id); err != nil {
			return Commit{}, err
		}
		g.cache.put(id, c)
	}
	if _, cut := g.cut[id]; cut {
		c.Parents = nil
	}
	return c, nil
}

func (g *Graph) read(ctx context.Context, id git.ObjectID) (Commit, error) {
	if g.known != nil {
		if c, ok := g.known.Commit(ctx, id); ok {
			return Commit(c), nil
		}
	}
	t, data, err := g.reader.Read(ctx, id)
	if err != nil {
		return Commit{}, fmt.Errorf("read commit %s: %w", id, err)
	}
	return parse(id, t, data)
}

func parse(id git.ObjectID, t object.Type, data []byte) (c Commit, err error) {
	if t != object.TypeCommit {
		return Commit{}, &TypeError{ID: id, Want: object.TypeCommit, Have: t}
	}
	if c.Tree, c.Parents, c.Time, err = object.CommitLinks(data); err != nil {
		return Commit{}, fmt.Errorf("read commit %s: %w", id, err)
	}
	return c, nil
}

// typeOf does not read the object, which may be a file too large for memory.
func (g *Graph) typeOf(ctx context.Context, id git.ObjectID) (object.Type, error) {
	if _, ok := g.cache.get(id); ok {
		return object.TypeCommit, nil
	}
	t, _, err := g.reader.Header(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("read type of object %s: %w", id, err)
	}
	return t, nil
}

// Peel follows tags to what they name. It returns the tags on the way, and the
// first object that is no tag.
func (g *Graph) Peel(ctx context.Context, id git.ObjectID) (target git.ObjectID, t object.Type, tags []git.ObjectID, err error) {
	for range maxTagChain + 1 {
		t, err := g.typeOf(ctx, id)
		if err != nil {
			return git.ZeroID, 0, nil, err
		}
		if t != object.TypeTag {
			return id, t, tags, nil
		}
		_, data, err := g.reader.Read(ctx, id)
		if err != nil {
			return git.ZeroID, 0, nil, fmt.Errorf("read tag %s: %w", id, err)
		}
		tag, err := object.ParseTag(data)
		if err != nil {
			return git.ZeroID, 0, nil, fmt.Errorf("read tag %s: %w", id, err)
		}
		tags = append(tags, id)
		id = tag.Object
	}
	return git.ZeroID, 0, nil, ErrTagChain
}

// Commits peels each id and returns the commits among what is found, each once.
// Trees and blobs are passed over.
func (g *Graph) Commits(ctx context.Context, ids []git.ObjectID) ([]git.ObjectID, error) {
	commits := make([]git.ObjectID, 0, len(ids))
	seen := make(map[git.ObjectID]struct{}, len(ids))
	for _, id := range ids {
		target, t, _, err := g.Peel(ctx, id)
		if err != nil {
			return nil, err
		}
		if _, dup := seen[target]; dup || t != object.TypeCommit {
			continue
		}
		seen[target] = struct{}{}
		commits = append(commits, target)
	}
	return commits, nil
}
