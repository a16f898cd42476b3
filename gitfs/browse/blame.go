package browse

import (
	"cmp"
	"container/heap"
	"context"
	"slices"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/diff"
)

// BlameLines are lines of a file that came from one commit, one after the other.
type BlameLines struct {
	Commit     LoggedCommit
	Path       string // of the file in that commit
	Line       int    // first line in the file that was asked for, from 1
	SourceLine int    // first line in the file of that commit, from 1
	Lines      int
}

// Bounds of blame.
const (
	maxBlameSize    = 8 << 20   // bytes of the file
	maxBlameLines   = 100_000   // of the file
	maxBlameCommits = 1_000_000 // looked at
)

// Blame says for a page of a file's lines, from start on (counted from 0), in which commit
// each was written. Lines are followed through renames of the file. A file that is too
// large or no text is a *domain.InvalidError.
func (b *Browser) Blame(ctx context.Context, s *gitfs.Snapshot, commit git.ObjectID, path string, start, lines int) ([]BlameLines, error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	c, err := v.graph.Commit(ctx, commit)
	if err != nil {
		return nil, noCommit(commit.String())
	}
	entry, ok, err := v.entry(ctx, c.Tree, path)
	if err != nil {
		return nil, err
	}
	if !ok || !entry.Mode.IsFile() && !entry.Mode.IsSymlink() {
		return nil, noPath(path)
	}
	bl := &blamer{view: v, ctx: ctx, origins: map[originKey]*origin{}, texts: map[git.ObjectID]diff.Text{}}
	text, err := bl.text(entry.ID)
	if err != nil {
		return nil, err
	}
	end := min(len(text.Lines), start+lines)
	if start >= end {
		return nil, nil
	}
	first := bl.origin(commit, path, entry.ID)
	first.spans = []blameSpan{{line: start, at: start, n: end - start}}
	if err := bl.enqueue(first); err != nil {
		return nil, err
	}
	if err := bl.run(); err != nil {
		return nil, err
	}
	return bl.result()
}

// blameSpan are lines whose origin is looked for: line is their place in the file that was
// asked for, at their place in the origin.
type blameSpan struct{ line, at, n int }

type originKey struct {
	commit git.ObjectID
	path   string
}

// origin is a file in a commit, with the lines that have come down to it.
type origin struct {
	originKey
	blob   git.ObjectID
	spans  []blameSpan
	queued bool
}

type blamer struct {
	view
	ctx     context.Context
	origins map[originKey]*origin
	queue   originQueue
	seen    int
	texts   map[git.ObjectID]diff.Text // those used last
	bytes   int64
	found   []BlameLines
}

func (b *blamer) origin(commit git.ObjectID, path string, blob git.ObjectID) *origin {
	key := originKey{commit, path}
	o := b.origins[key]
	if o == nil {
		o = &origin{originKey: key, blob: blob}
		b.origins[key] = o
	}
	return o
}

func (b *blamer) enqueue(o *origin) error {
	if o.queued || len(o.spans) == 0 {
		return nil
	}
	c, err := b.graph.Commit(b.ctx, o.commit)
	if err != nil {
		return err
	}
	o.queued = true
	b.seen++
	heap.Push(&b.queue, queuedOrigin{o, c.Time, b.seen})
	return nil
}

var errBlameTooLong = domain.Invalid("blame", "The history of this file is too long to say who wrote its lines.")

func (b *blamer) run() error {
	for len(b.queue) > 0 {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if b.seen > maxBlameCommits {
			return errBlameTooLong
		}
		o := heap.Pop(&b.queue).(queuedOrigin).origin
		o.queued = false
		delete(b.origins, o.originKey)
		if err := b.pass(o); err != nil {
			return err
		}
	}
	return nil
}

// pass hands the lines of an origin on to the parents that have them; the others were
// written in this commit.
func (b *blamer) pass(o *origin) error {
	c, err := b.graph.Commit(b.ctx, o.commit)
	if err != nil {
		return err
	}
	// A parent with the very same file takes all.
	type candidate struct {
		commit git.ObjectID
		path   string
		blob   git.ObjectID
	}
	var candidates []candidate
	for _, id := range c.Parents {
		parent, err := b.graph.Commit(b.ctx, id)
		if err != nil {
			return err
		}
		entry, ok, err := b.entry(b.ctx, parent.Tree, o.path)
		if err != nil {
			return err
		}
		if ok && !entry.Mode.IsTree() && !entry.Mode.IsGitlink() {
			candidates = append(candidates, candidate{id, o.path, entry.ID})
			continue
		}
		old, err := b.source(b.ctx, id, o.commit, o.path)
		if err != nil {
			return err
		}
		if old == "" {
			continue
		}
		if entry, ok, err = b.entry(b.ctx, parent.Tree, old); err != nil {
			return err
		} else if ok {
			candidates = append(candidates, candidate{id, old, entry.ID})
		}
	}
	for _, p := range candidates {
		if p.blob == o.blob {
			to := b.origin(p.commit, p.path, p.blob)
			to.spans = append(to.spans, o.spans...)
			return b.enqueue(to)
		}
	}
	for _, p := range candidates {
		if len(o.spans) == 0 {
			break
		}
		if err := b.passTo(o, b.origin(p.commit, p.path, p.blob)); err != nil {
			return err
		}
	}
	for _, s := range o.spans {
		b.found = append(b.found, BlameLines{Commit: LoggedCommit{ID: o.commit}, Path: o.path, Line: s.line + 1, SourceLine: s.at + 1, Lines: s.n})
	}
	return nil
}

// passTo hands on the lines that a parent has unchanged.
func (b *blamer) passTo(o, to *origin) error {
	old, err := b.text(to.blob)
	if err != nil {
		return err
	}
	now, err := b.text(o.blob)
	if err != nil {
		return err
	}
	edits, err := diff.Edits(b.ctx, old, now, diff.ExactWhitespace)
	if err != nil {
		return err
	}
	slices.SortFunc(o.spans, func(x, y blameSpan) int { return cmp.Compare(x.at, y.at) })
	var kept []blameSpan
	e := 0 // first edit that does not end before the span
	for _, s := range o.spans {
		for e > 0 && edits[e-1].BEnd > s.at {
			e--
		}
		for s.n > 0 {
			for e < len(edits) && edits[e].BEnd <= s.at {
				e++
			}
			n, inside := s.n, false
			shift := 0 // from the place in o to that in to
			if e > 0 {
				shift = edits[e-1].AEnd - edits[e-1].BEnd
			}
			if e < len(edits) {
				if inside = edits[e].B <= s.at && s.at < edits[e].BEnd; inside {
					n = min(n, edits[e].BEnd-s.at)
				} else {
					n = min(n, edits[e].B-s.at)
				}
				if !inside && n == 0 { // an edit without lines here: behind it
					e++
					continue
				}
			}
			part := blameSpan{line: s.line, at: s.at, n: n}
			if inside {
				kept = append(kept, part)
			} else {
				part.at += shift
				to.spans = append(to.spans, part)
			}
			s.line, s.at, s.n = s.line+n, s.at+n, s.n-n
		}
	}
	o.spans = kept
	return b.enqueue(to)
}

// maxTexts is how many bytes of files are kept parted.
const maxTexts = 32 << 20

func (b *blamer) text(id git.ObjectID) (diff.Text, error) {
	if t, ok := b.texts[id]; ok {
		return t, nil
	}
	_, size, err := b.Header(b.ctx, id)
	if err != nil {
		return diff.Text{}, err
	}
	if size > maxBlameSize {
		return diff.Text{}, domain.Invalid("blame", "Files of more than %d bytes are not looked through for who wrote them.", maxBlameSize)
	}
	_, data, err := b.Read(b.ctx, id)
	if err != nil {
		return diff.Text{}, err
	}
	if IsBinary(data) {
		return diff.Text{}, domain.Invalid("blame", "The file is not text.")
	}
	t := diff.NewText(data)
	if len(t.Lines) > maxBlameLines {
		return diff.Text{}, domain.Invalid("blame", "Files of more than %d lines are not looked through for who wrote them.", maxBlameLines)
	}
	if b.bytes += size + int64(len(t.Lines))*24; b.bytes > maxTexts {
		clear(b.texts)
		b.bytes = size + int64(len(t.Lines))*24
	}
	b.texts[id] = t
	return t, nil
}

// result puts the lines in order, joins what belongs together and reads the commits.
func (b *blamer) result() ([]BlameLines, error) {
	slices.SortFunc(b.found, func(x, y BlameLines) int { return cmp.Compare(x.Line, y.Line) })
	var list []BlameLines
	read := map[git.ObjectID]LoggedCommit{}
	for _, l := range b.found {
		if n := len(list); n > 0 {
			last := &list[n-1]
			if last.Commit.ID == l.Commit.ID && last.Path == l.Path && last.Line+last.Lines == l.Line && last.SourceLine+last.Lines == l.SourceLine {
				last.Lines += l.Lines
				continue
			}
		}
		c, ok := read[l.Commit.ID]
		if !ok {
			commit, err := b.commit(b.ctx, l.Commit.ID)
			if err != nil {
				return nil, err
			}
			c = LoggedCommit{ID: l.Commit.ID, Commit: commit}
			read[l.Commit.ID] = c
		}
		l.Commit = c
		list = append(list, l)
	}
	return list, nil
}

type queuedOrigin struct {
	*origin
	time  int64
	order int
}

type originQueue []queuedOrigin

func (q originQueue) Len() int { return len(q) }
func (q originQueue) Less(i, j int) bool {
	if q[i].time != q[j].time {
		return q[i].time > q[j].time
	}
	return q[i].order < q[j].order
}
func (q originQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *originQueue) Push(x any)   { *q = append(*q, x.(queuedOrigin)) }
func (q *originQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
