package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/object"
)

// link is what one object says about another.
type link struct {
	id  git.ObjectID
	typ object.Type
}

// openNode is an object that must still come.
type openNode struct {
	from git.ObjectID // who links to it first
	typ  object.Type
}

// connectivity checks that whatever the objects of a pack link to is in the pack
// or in the repository, and of the right type. Since that was so for every pack of
// the repository, no history has to be walked.
//
// Every object of the pack is a node, and so is everything linked that was found
// nowhere yet: it must still come in the pack. So there are never more open nodes
// than objects still to come.
type connectivity struct {
	table *table
	base  *Objects // nil if the repository is empty
	total int      // objects that the pack announced
	limit Limits

	mu      sync.Mutex
	nodes   map[git.ObjectID]int32
	entry   []int32 // of a node: its entry in the table, or none
	opened  map[int32]openNode
	extra   *MissingError // the first link for which there was no more room
	known   int           // nodes with an entry
	special map[git.ObjectID]object.Special
	tags    map[git.ObjectID]git.ObjectID // tags of tags
	folders []folderLink
}

// folderLink says that one tree of the pack is in another; both are nodes.
type folderLink struct{ parent, child int32 }

// maxFolderLinks bounds the memory that the check of folder depth takes (8 bytes
// each). A repository of 8 million objects has some 15 million.
const maxFolderLinks = 32 << 20

func newConnectivity(t *table, base *Objects, total int, limit Limits) *connectivity {
	return &connectivity{
		table: t, base: base, total: total, limit: limit,
		nodes:   map[git.ObjectID]int32{},
		opened:  map[int32]openNode{},
		special: map[git.ObjectID]object.Special{},
		tags:    map[git.ObjectID]git.ObjectID{},
	}
}

// linkCache remembers the links that were looked at last, for the trees of one
// history are mostly the same. Each worker has its own.
type linkCache []cachedLink

// newLinkCache makes a cache for a pack of so many objects.
func newLinkCache(objects int) linkCache {
	size := 16
	for size < objects && size < 1<<14 {
		size *= 2
	}
	return make(linkCache, size)
}

type cachedLink struct {
	id   git.ObjectID
	typ  object.Type
	node int32 // none: in the repository
}

func (c linkCache) slot(id git.ObjectID) *cachedLink {
	return &c[(int(id[0])|int(id[1])<<8)&(len(c)-1)]
}

// register names an entry of the table and makes its object known.
func (c *connectivity) register(index int32, id git.ObjectID, typ object.Type) (node int32, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &c.table.entries[index]
	e.id, e.typ = id, typ
	node, ok := c.nodes[e.id]
	if !ok {
		node = c.newNode(e.id)
	}
	if c.entry[node] != none {
		return none, errDuplicate(e.id)
	}
	if ok {
		expected := c.opened[node]
		if expected.typ != e.typ {
			return none, errLinkType(expected.from, e.id, expected.typ, e.typ)
		}
		delete(c.opened, node)
	}
	c.entry[node] = index
	c.known++
	return node, nil
}

func (c *connectivity) newNode(id git.ObjectID) int32 {
	node := int32(len(c.entry))
	c.nodes[id] = node
	c.entry = append(c.entry, none)
	return node
}

// add makes an object known and checks its links. data is not needed of a blob.
func (c *connectivity) add(ctx context.Context, index int32, id git.ObjectID, typ object.Type, data []byte, cache linkCache) error {
	node, err := c.register(index, id, typ)
	if err != nil {
		return err
	}
	switch typ {
	case object.TypeCommit:
		return c.addCommit(ctx, index, data, cache)
	case object.TypeTree:
		return c.addTree(ctx, index, node, data, cache)
	case object.TypeTag:
		return c.addTag(ctx, index, data, cache)
	}
	return nil
}

func (c *connectivity) addCommit(ctx context.Context, index int32, data []byte, cache linkCache) error {
	tree, parents, _, err := object.CommitLinks(data)
	if err != nil {
		return err
	}
	if _, err := c.check(ctx, index, link{tree, object.TypeTree}, cache); err != nil {
		return err
	}
	for _, parent := range parents {
		if _, err := c.check(ctx, index, link{parent, object.TypeCommit}, cache); err != nil {
			return err
		}
	}
	return nil
}

func (c *connectivity) addTag(ctx context.Context, index int32, data []byte, cache linkCache) error {
	tag, err := object.ParseTag(data)
	if err != nil {
		return err
	}
	if tag.Type == object.TypeTag {
		c.mu.Lock()
		c.tags[c.table.entries[index].id] = tag.Object
		c.mu.Unlock()
	}
	_, err = c.check(ctx, index, link{tag.Object, tag.Type}, cache)
	return err
}

func (c *connectivity) addTree(ctx context.Context, index, node int32, data []byte, cache linkCache) error {
	countFolders := c.total > c.limit.TreeDepth
	var folders []folderLink
	for entry, err := range object.TreeLinks(data) {
		if err != nil {
			return err
		}
		if entry.Mode.IsGitlink() {
			continue
		}
		if special := object.SpecialFile(entry.Name); special != object.Ordinary && entry.Mode.IsFile() {
			c.mu.Lock()
			c.special[entry.ID] |= special
			c.mu.Unlock()
		}
		child, err := c.check(ctx, index, link{entry.ID, entry.Mode.Type()}, cache)
		if err != nil {
			return err
		}
		if countFolders && child != none && entry.Mode.IsTree() {
			folders = append(folders, folderLink{node, child})
		}
	}
	if len(folders) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.folders)+len(folders) > maxFolderLinks {
		return &LimitError{What: "number of folders in the trees of the pack", Limit: maxFolderLinks, Unit: "folders"}
	}
	c.folders = append(c.folders, folders...)
	return nil
}

// check looks for what an entry links to. It returns its node, or none if it is in
// the repository.
func (c *connectivity) check(ctx context.Context, from int32, l link, cache linkCache) (int32, error) {
	slot := cache.slot(l.id)
	if slot.id == l.id && slot.typ == l.typ {
		return slot.node, nil
	}
	node, found, err := c.lookup(from, l)
	if err == nil && !found {
		found, err = c.inBase(ctx, from, l)
		if err == nil && !found {
			node, err = c.open(from, l)
		}
	}
	if err == nil {
		*slot = cachedLink{l.id, l.typ, node}
	}
	return node, err
}

// lookup finds the node of a link, if there is one.
func (c *connectivity) lookup(from int32, l link) (node int32, found bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookupLocked(from, l)
}

func (c *connectivity) lookupLocked(from int32, l link) (node int32, found bool, err error) {
	node, ok := c.nodes[l.id]
	if !ok {
		return none, false, nil
	}
	typ := c.opened[node].typ
	if c.entry[node] != none {
		typ = c.table.entries[c.entry[node]].typ
	}
	if typ != l.typ {
		return none, false, errLinkType(c.table.entries[from].id, l.id, l.typ, typ)
	}
	return node, true, nil
}

// inBase looks for a link in the repository.
func (c *connectivity) inBase(ctx context.Context, from int32, l link) (bool, error) {
	if c.base == nil {
		return false, nil
	}
	typ, _, err := c.base.Header(ctx, l.id)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case typ != l.typ:
		return false, errLinkType(c.table.entries[from].id, l.id, l.typ, typ)
	}
	return true, nil
}

// open notes that an object must still come.
func (c *connectivity) open(from int32, l link) (int32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	node, found, err := c.lookupLocked(from, l) // it may have come meanwhile
	if err != nil || found {
		return node, err
	}
	id := c.table.entries[from].id
	if len(c.opened) >= c.total-c.known {
		// One too many: at the end this one or one of the open nodes is missing.
		if c.extra == nil {
			c.extra = &MissingError{From: id, ID: l.id}
		}
		return none, nil
	}
	node = c.newNode(l.id)
	c.opened[node] = openNode{id, l.typ}
	return node, nil
}

// finish says what is missing once all objects are known.
func (c *connectivity) finish() error {
	if len(c.opened) > 0 {
		for id, node := range c.nodes {
			if expected, ok := c.opened[node]; ok {
				return &MissingError{From: expected.from, ID: id}
			}
		}
	}
	if c.extra != nil {
		return c.extra
	}
	return nil
}

func errLinkType(from, to git.ObjectID, want, got object.Type) error {
	return &CorruptPackError{Reason: fmt.Sprintf("%s links to %s as a %s, but it is a %s", from, to, want, got)}
}
