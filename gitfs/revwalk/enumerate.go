package revwalk

import (
	"context"
	"errors"
	"fmt"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/objectset"
	"github.com/annal-git/annal/gitfs/store"
)

// Selection says what somebody wants and what he has. Ids may be of any type of
// object; haves that the repository does not hold are an error.
type Selection struct {
	Wants  []git.ObjectID
	Haves  []git.ObjectID
	Filter Filter
	// Sparse says that histories are cut off, so that where they meet may be
	// beyond the cut: then the trees of the haves themselves count as known.
	Sparse bool
	// Blobs asks for the files among what is sent.
	Blobs bool
	// Progress, if set, is called from time to time with the number of objects
	// found so far.
	Progress func(objects int)
}

// Objects is the answer to a Selection.
type Objects struct {
	// Send is what is wanted and not known to be had.
	Send *objectset.Set
	// Known is some of what is had: the objects of the boundary's trees, in the
	// folders where something changed. They may serve as bases of thin deltas.
	Known *objectset.Set
	// Blobs is the files in Send that trees there name, if they were asked for.
	Blobs *objectset.Set
}

// maxTreeDepth bounds how far folders may be nested.
const maxTreeDepth = 4096

// errTreeDepth says that folders are nested too deep.
var errTreeDepth = errors.New("tree is nested too deep")

// sparseBoundary is how many haves count as boundary if histories are cut off.
const sparseBoundary = 32

// Enumerate finds the objects to send. Each tree is read once. What was only moved
// to another folder, or was there before what is had, may be sent again.
func (g *Graph) Enumerate(ctx context.Context, objects *store.Objects, s Selection) (*Objects, error) {
	places := objectset.PlacesOf(objects)
	e := enumeration{
		ctx: ctx, g: g, objects: objects, s: s,
		send: objectset.New(places), known: objectset.New(places),
	}
	if s.Blobs {
		e.blobs = objectset.New(places)
	}
	if s.Filter.trees {
		e.depths = map[git.ObjectID]int{}
	}
	if err := e.run(); err != nil {
		return nil, err
	}
	return &Objects{Send: e.send, Known: e.known, Blobs: e.blobs}, nil
}

type enumeration struct {
	ctx         context.Context
	g           *Graph
	objects     *store.Objects
	s           Selection
	send, known *objectset.Set
	blobs       *objectset.Set       // nil if nobody asks
	depths      map[git.ObjectID]int // with a tree filter: where each tree was met highest
	reported    int
}

func (e *enumeration) run() error {
	haves, err := e.g.Commits(e.ctx, e.s.Haves)
	if err != nil {
		return err
	}
	for _, id := range e.s.Haves { // tags among them are known themselves
		if _, err := e.add(e.known, id); err != nil {
			return err
		}
	}
	var commits, trees []git.ObjectID
	for _, id := range e.s.Wants {
		target, t, tags, err := e.g.Peel(e.ctx, id)
		if err != nil {
			return err
		}
		for _, tag := range tags {
			if !e.known.Has(tag) {
				if _, err := e.add(e.send, tag); err != nil {
					return err
				}
			}
		}
		switch t {
		case object.TypeCommit:
			commits = append(commits, target)
		case object.TypeTree:
			trees = append(trees, target)
		default:
			// What is asked for by name is sent whatever the filter says.
			if _, err := e.add(e.send, target); err != nil {
				return err
			}
		}
	}
	roots, known, err := e.commits(commits, haves)
	if err != nil {
		return err
	}
	if err := e.folder(roots, known, 0); err != nil {
		return err
	}
	return e.wantedTrees(trees)
}

// commits adds the commits to be sent and returns their trees, and those of the
// boundary.
func (e *enumeration) commits(wants, haves []git.ObjectID) (roots []git.ObjectID, known map[git.ObjectID]struct{}, err error) {
	if len(haves) == 0 {
		roots, err = e.allCommits(wants)
		return roots, nil, err
	}
	commits, boundary, err := e.g.Between(e.ctx, wants, haves)
	if err != nil {
		return nil, nil, err
	}
	if e.s.Sparse {
		boundary = append(boundary, haves[:min(len(haves), sparseBoundary)]...)
	}
	known = make(map[git.ObjectID]struct{}, len(boundary))
	for _, id := range boundary {
		c, err := e.g.Commit(e.ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if _, err := e.add(e.known, id); err != nil {
			return nil, nil, err
		}
		if _, err := e.add(e.known, c.Tree); err != nil {
			return nil, nil, err
		}
		known[c.Tree] = struct{}{}
	}
	for _, id := range commits {
		if roots, err = e.commit(roots, id); err != nil {
			return nil, nil, err
		}
	}
	return roots, known, nil
}

// allCommits adds all that is reachable.
func (e *enumeration) allCommits(wants []git.ObjectID) (roots []git.ObjectID, err error) {
	for stack := append([]git.ObjectID(nil), wants...); len(stack) > 0; {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if e.send.Has(id) {
			continue
		}
		if roots, err = e.commit(roots, id); err != nil {
			return nil, err
		}
		c, err := e.g.Commit(e.ctx, id)
		if err != nil {
			return nil, err
		}
		stack = append(stack, c.Parents...)
	}
	return roots, nil
}

// commit adds a commit, and its tree to roots if that is new.
func (e *enumeration) commit(roots []git.ObjectID, id git.ObjectID) ([]git.ObjectID, error) {
	if _, err := e.add(e.send, id); err != nil {
		return nil, err
	}
	c, err := e.g.Commit(e.ctx, id)
	if err != nil {
		return nil, err
	}
	return e.tree(roots, c.Tree, 0)
}

// tree adds a tree at a depth below the root, and appends it to queue if it is to
// be read.
func (e *enumeration) tree(queue []git.ObjectID, id git.ObjectID, depth int) ([]git.ObjectID, error) {
	if !e.s.Filter.sends(depth) || e.known.Has(id) {
		return queue, nil
	}
	added, err := e.add(e.send, id)
	if err != nil {
		return nil, err
	}
	if e.depths != nil {
		// Met again nearer to the root, more of what is in it is sent.
		if before, met := e.depths[id]; !met || depth < before {
			e.depths[id] = depth
			added = true
		}
	}
	if added {
		queue = append(queue, id)
	}
	return queue, nil
}

// below is what the trees of one folder have under one name.
type below struct {
	send  []git.ObjectID
	known map[git.ObjectID]struct{}
}

// folder reads the trees that one folder had at different times: those to be sent,
// which have been added, and those the other side knows. What both have in common
// is not sent.
func (e *enumeration) folder(send []git.ObjectID, known map[git.ObjectID]struct{}, depth int) error {
	if len(send) == 0 {
		return nil
	}
	if depth > maxTreeDepth {
		return errTreeDepth
	}
	folders := map[string]*below{}
	at := func(name []byte) *below {
		b := folders[string(name)]
		if b == nil {
			b = &below{known: map[git.ObjectID]struct{}{}}
			folders[string(name)] = b
		}
		return b
	}
	for id := range known {
		err := e.read(id, func(link object.TreeLink) error {
			if link.Mode.IsTree() {
				at(link.Name).known[link.ID] = struct{}{}
			}
			_, err := e.add(e.known, link.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	var last version
	for _, id := range send {
		data, err := e.readTree(id)
		if err != nil {
			return err
		}
		err = last.change(data, func(link object.TreeLink) (err error) {
			switch {
			case link.Mode.IsGitlink():
				return nil
			case !link.Mode.IsTree():
				return e.blob(link.ID, depth+1)
			}
			b := at(link.Name)
			b.send, err = e.tree(b.send, link.ID, depth+1)
			return err
		})
		if err != nil {
			return fmt.Errorf("read tree %s: %w", id, err)
		}
	}
	for name, b := range folders {
		delete(folders, name)
		if err := e.folder(b.send, b.known, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// wantedTrees sends trees that were asked for by name. What they hold counts as if
// it were at the root.
func (e *enumeration) wantedTrees(trees []git.ObjectID) error {
	for _, id := range trees {
		if _, err := e.add(e.send, id); err != nil {
			return err
		}
	}
	return e.folder(trees, nil, -1)
}

func (e *enumeration) blob(id git.ObjectID, depth int) error {
	f := e.s.Filter
	if !f.sends(depth) || f.blobs && f.blobLimit == 0 {
		return nil
	}
	at, ok := e.send.Places().Find(id)
	if !ok {
		return fmt.Errorf("object %s: %w", id, store.ErrNotFound)
	}
	if e.known.HasAt(at) {
		return nil
	}
	if f.blobs && !e.send.HasAt(at) {
		_, size, err := e.objects.Header(e.ctx, id)
		if err != nil {
			return fmt.Errorf("read size of blob %s: %w", id, err)
		}
		if size >= f.blobLimit {
			return nil
		}
	}
	if e.send.AddAt(at) {
		e.report()
	}
	if e.blobs != nil {
		e.blobs.AddAt(at)
	}
	return nil
}

// readTree returns the content of a tree.
func (e *enumeration) readTree(id git.ObjectID) ([]byte, error) {
	if err := e.ctx.Err(); err != nil {
		return nil, err
	}
	t, data, err := e.objects.Read(e.ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", id, err)
	}
	if t != object.TypeTree {
		return nil, &TypeError{ID: id, Want: object.TypeTree, Have: t}
	}
	return data, nil
}

// read calls visit for each entry of a tree but links to other repositories.
func (e *enumeration) read(id git.ObjectID, visit func(object.TreeLink) error) error {
	data, err := e.readTree(id)
	if err != nil {
		return err
	}
	for link, err := range object.TreeLinks(data) {
		if err != nil {
			return fmt.Errorf("read tree %s: %w", id, err)
		}
		if link.Mode.IsGitlink() {
			continue
		}
		if err := visit(link); err != nil {
			return err
		}
	}
	return nil
}

// progressStep is how many objects are found between two reports.
const progressStep = 1024

func (e *enumeration) add(set *objectset.Set, id git.ObjectID) (added bool, err error) {
	added, found := set.Add(id)
	if !found {
		return false, fmt.Errorf("object %s: %w", id, store.ErrNotFound)
	}
	e.report()
	return added, nil
}

func (e *enumeration) report() {
	if n := e.send.Len(); n >= e.reported+progressStep && e.s.Progress != nil {
		e.reported = n
		e.s.Progress(n)
	}
}
