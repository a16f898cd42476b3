package browse

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// LastModified is an entry of a folder and the commit that last changed it, as git log
// names it for that path.
type LastModified struct {
	object.TreeEntry
	Commit LoggedCommit
}

// MaxModified bounds the entries of a folder whose commits are looked for.
const MaxModified = 10_000

// LastModified finds for each entry of the folder at a path of a commit the commit that
// last changed it, and the one that last changed any of them: all in one walk through the
// history. The list is by name, and no longer than MaxModified.
func (b *Browser) LastModified(ctx context.Context, s *gitfs.Snapshot, commit git.ObjectID, path string) (list []LastModified, newest LoggedCommit, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, newest, err
	}
	defer v.Release()
	c, err := v.commit(ctx, commit)
	if err != nil {
		return nil, newest, err
	}
	folder, ok, err := v.entry(ctx, c.Tree, path)
	if err != nil {
		return nil, newest, err
	}
	if !ok || !folder.Mode.IsTree() {
		return nil, newest, noPath(path)
	}
	data, err := v.tree(ctx, folder.ID)
	if err != nil {
		return nil, newest, err
	}
	for e, err := range object.Tree(data) {
		if err != nil {
			return nil, newest, err
		}
		if len(list) < MaxModified {
			list = append(list, LastModified{TreeEntry: e})
		}
	}
	w := modifiedWalk{view: v, ctx: ctx, folder: newPathFilter(v, path), list: list, waiting: map[git.ObjectID][]int{}}
	for _, e := range list {
		w.paths = append(w.paths, newAskedPath(strings.TrimPrefix(path+"/"+e.Name, "/")))
	}
	if err := w.run(commit); err != nil {
		return nil, newest, err
	}
	if err := w.readCommits(); err != nil {
		return nil, newest, err
	}
	slices.SortFunc(list, func(a, b LastModified) int { return cmp.Compare(a.Name, b.Name) })
	// The folder itself is one more path, whose last change may be of what is gone.
	log, _, err := b.Log(ctx, s, LogQuery{Until: commit, Path: path, Size: 1})
	if err != nil || len(log) == 0 {
		return list, newest, err
	}
	return list, log[0], nil
}

// modifiedWalk follows, for each entry, the parent that has it as it was, from commit to
// commit. Entries that are at the same commit go on together.
type modifiedWalk struct {
	view
	ctx     context.Context
	folder  pathFilter
	list    []LastModified
	paths   []askedPath            // of the entries of the list
	waiting map[git.ObjectID][]int // entries by the commit that they have come to
	queue   commitQueue
}

func (w *modifiedWalk) run(start git.ObjectID) error {
	all := make([]int, len(w.list))
	for i := range all {
		all[i] = i
	}
	if err := w.move(start, all); err != nil {
		return err
	}
	for len(w.queue) > 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		next := heap.Pop(&w.queue).(dated)
		entries := w.waiting[next.id]
		delete(w.waiting, next.id)
		if err := w.step(next, entries); err != nil {
			return err
		}
	}
	return nil
}

func (w *modifiedWalk) move(id git.ObjectID, entries []int) error {
	if len(entries) == 0 {
		return nil
	}
	before, queued := w.waiting[id]
	w.waiting[id] = append(before, entries...)
	if queued {
		return nil
	}
	c, err := w.graph.Commit(w.ctx, id)
	if err != nil {
		return err
	}
	heap.Push(&w.queue, dated{id, c})
	return nil
}

// step hands the entries of a commit on to the first parent that has them as they are, and
// names the commit for the others.
func (w *modifiedWalk) step(c dated, entries []int) error {
	if len(c.Parents) > 0 {
		same, rest := w.passedOn(c.id, entries)
		if err := w.move(c.Parents[0], same); err != nil || len(rest) == 0 {
			return err
		}
		entries = rest
	}
	here, err := w.folder.at(w.ctx, c.Tree)
	if err != nil {
		return err
	}
	for _, id := range c.Parents {
		if len(entries) == 0 {
			return nil
		}
		parent, err := w.graph.Commit(w.ctx, id)
		if err != nil {
			return err
		}
		there, err := w.folder.at(w.ctx, parent.Tree)
		if err != nil {
			return err
		}
		same := entries
		if there != here {
			if same, entries, err = w.part(there, entries); err != nil {
				return err
			}
		} else {
			entries = nil
		}
		if err := w.move(id, same); err != nil {
			return err
		}
	}
	for _, i := range entries {
		w.list[i].Commit.ID = c.id
	}
	return nil
}

// passedOn says which entries a commit-graph knows to be as the first parent has them.
func (w *modifiedWalk) passedOn(id git.ObjectID, entries []int) (same, rest []int) {
	if w.view.unchanged(w.ctx, id, w.folder.asked) {
		return entries, nil
	}
	for _, i := range entries {
		if w.view.unchanged(w.ctx, id, w.paths[i]) {
			same = append(same, i)
		} else {
			rest = append(rest, i)
		}
	}
	return same, rest
}

// part says which entries are in another tree as they are in ours.
func (w *modifiedWalk) part(there pathState, entries []int) (same, changed []int, err error) {
	if !there.mode.IsTree() {
		return nil, entries, nil
	}
	data, err := w.tree(w.ctx, there.id)
	if err != nil {
		return nil, nil, err
	}
	wanted := make(map[string]int, len(entries))
	for _, i := range entries {
		wanted[w.list[i].Name] = i
	}
	for link, err := range object.TreeLinks(data) {
		if err != nil {
			return nil, nil, err
		}
		if i, ok := wanted[string(link.Name)]; ok && w.list[i].ID == link.ID && w.list[i].Mode == link.Mode {
			same = append(same, i)
			delete(wanted, string(link.Name))
		}
	}
	for _, i := range wanted {
		changed = append(changed, i)
	}
	return same, changed, nil
}

func (w *modifiedWalk) readCommits() error {
	read := map[git.ObjectID]*object.Commit{}
	for i := range w.list {
		id := w.list[i].Commit.ID
		if read[id] == nil {
			c, err := w.commit(w.ctx, id)
			if err != nil {
				return err
			}
			read[id] = c
		}
		w.list[i].Commit.Commit = read[id]
	}
	return nil
}

// dated is a commit in a queue that gives the newest first.
type dated struct {
	id git.ObjectID
	revwalk.Commit
}

type commitQueue []dated

func (q commitQueue) Len() int           { return len(q) }
func (q commitQueue) Less(i, j int) bool { return q[i].Time > q[j].Time }
func (q commitQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *commitQueue) Push(x any)        { *q = append(*q, x.(dated)) }
func (q *commitQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
