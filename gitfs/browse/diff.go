package browse

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/diff"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// DiffQuery asks for the differences of two commits, file by file.
type DiffQuery struct {
	ChangeQuery
	Context    int // unchanged lines around each edit
	Whitespace diff.Whitespace
}

// FileDiff is what differs in one path.
type FileDiff struct {
	Change
	Old, New diff.Text   // the lines; none if Binary or TooLarge
	Hunks    []diff.Hunk // none if only the mode or the name changed
	Binary   bool
	TooLarge bool // for a comparison line by line
}

// Bounds of what is compared line by line.
const (
	maxDiffSize  = 8 << 20 // bytes of a file
	maxDiffLines = 200_000 // of a file
)

// ErrEnough ends a walk through differences without an error.
var ErrEnough = errors.New("enough")

// Diff hands the differences to yield, one path after the other in Git's order, until it
// returns an error; ErrEnough is none. truncated says that there are more than MaxChanges
// paths.
func (b *Browser) Diff(ctx context.Context, s *gitfs.Snapshot, q DiffQuery, yield func(FileDiff) error) (truncated bool, err error) {
	v, err := b.open(ctx, s)
	if err != nil {
		return false, err
	}
	defer v.Release()
	list, truncated, err := v.changes(ctx, q.ChangeQuery)
	if err != nil {
		return false, err
	}
	for _, c := range list {
		f, err := v.fileDiff(ctx, c, q)
		if err != nil {
			return false, err
		}
		if err := yield(f); errors.Is(err, ErrEnough) {
			return truncated, nil
		} else if err != nil {
			return false, err
		}
	}
	return truncated, nil
}

func (v view) fileDiff(ctx context.Context, c Change, q DiffQuery) (FileDiff, error) {
	f := FileDiff{Change: c}
	if c.ID == c.OldID {
		return f, nil
	}
	old, oldOK, err := v.content(ctx, c.OldMode, c.OldID)
	if err != nil {
		return f, err
	}
	now, nowOK, err := v.content(ctx, c.Mode, c.ID)
	if err != nil {
		return f, err
	}
	switch {
	case IsBinary(old) || IsBinary(now):
		f.Binary = true
		return f, nil
	case !oldOK || !nowOK || bytes.Count(old, []byte("\n")) > maxDiffLines || bytes.Count(now, []byte("\n")) > maxDiffLines:
		f.TooLarge = true
		return f, nil
	}
	f.Old, f.New = diff.NewText(old), diff.NewText(now)
	edits, err := diff.Edits(ctx, f.Old, f.New, q.Whitespace)
	if err != nil {
		return f, err
	}
	f.Hunks = diff.Hunks(edits, len(f.Old.Lines), q.Context)
	return f, nil
}

// content reads what a change compares: a file, the target of a link, or a line about a
// gitlink. It is not ok, and only the beginning, if it is too large.
func (v view) content(ctx context.Context, mode object.FileMode, id git.ObjectID) (content []byte, ok bool, err error) {
	switch {
	case id.IsZero():
		return nil, true, nil
	case mode.IsGitlink():
		return []byte("Subproject commit " + id.String() + "\n"), true, nil
	}
	t, size, err := v.Header(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && t != object.TypeBlob {
		return nil, false, noPath(id.String())
	}
	if err != nil {
		return nil, false, err
	}
	if size > maxDiffSize {
		_, _, r, err := v.Open(ctx, id)
		if err != nil {
			return nil, false, err
		}
		defer func() { _ = r.Close() }()
		start := make([]byte, binaryPrefix)
		_, err = io.ReadFull(r, start)
		return start, false, err
	}
	_, content, err = v.Read(ctx, id)
	return content, true, err
}
