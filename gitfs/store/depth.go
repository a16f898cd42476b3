package store

import (
	"context"

	"github.com/annal-git/annal/gitfs/object"
)

// checkFolderDepth refuses trees of the pack that are nested too deep: whoever
// walks one follows it with a stack. Trees that were there before do not count.
func (c *connectivity) checkFolderDepth() error {
	if len(c.folders) == 0 {
		return nil
	}
	// Children of each node, one list after another.
	start := make([]int32, len(c.entry)+1)
	waiting := make([]int32, len(c.entry)) // parents that have no depth yet
	for _, f := range c.folders {
		start[f.parent+1]++
		waiting[f.child]++
	}
	for i := range c.entry {
		start[i+1] += start[i]
	}
	children := make([]int32, len(c.folders))
	next := append([]int32(nil), start...)
	for _, f := range c.folders {
		children[next[f.parent]] = f.child
		next[f.parent]++
	}
	// Depths from the top down. A tree cannot be in itself, so all get one.
	depth := make([]int32, len(c.entry))
	var ready []int32
	for node := range c.entry {
		if waiting[node] == 0 && start[node] < start[node+1] {
			ready = append(ready, int32(node))
		}
	}
	for len(ready) > 0 {
		node := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		if int(depth[node]) >= c.limit.TreeDepth {
			return &LimitError{What: "depth of folders", Limit: int64(c.limit.TreeDepth), Unit: "folders"}
		}
		for _, child := range children[start[node]:start[node+1]] {
			depth[child] = max(depth[child], depth[node]+1)
			if waiting[child]--; waiting[child] == 0 {
				ready = append(ready, child)
			}
		}
	}
	return nil
}

// checkTagDepth refuses tags of tags of tags that go on for too long.
func (c *connectivity) checkTagDepth(ctx context.Context) error {
	for id := range c.tags {
		for n := 0; ; n++ {
			if n == c.limit.TagDepth {
				return &LimitError{What: "chain of tags", Limit: int64(c.limit.TagDepth), Unit: "tags"}
			}
			if next, ok := c.tags[id]; ok {
				id = next
				continue
			}
			if c.base == nil {
				break
			}
			typ, data, err := c.base.Read(ctx, id)
			if err != nil || typ != object.TypeTag {
				break // of the pack, or no tag
			}
			tag, err := object.ParseTag(data)
			if err != nil {
				return err
			}
			id = tag.Object
		}
	}
	return nil
}
