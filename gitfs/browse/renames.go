package browse

import (
	"cmp"
	"context"
	"path"
	"slices"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/diff"
	"github.com/annal-git/annal/gitfs/object"
)

// Bounds and thresholds of renames. The thresholds are Git's.
const (
	maxRenamePairs = 1_000_000 // deleted times added files that are compared
	maxRenameSize  = 4 << 20   // bytes of a file whose content is compared
	maxSpans       = 64 << 20  // bytes of files whose pieces are remembered
	renameScore    = diff.MaxScore / 2
	sameNameScore  = diff.MaxScore / 4 * 3 // for the only files of a name
	candidates     = 4                     // kept for each added file
)

// renames replaces a deleted file and an added one that is like it by one that was renamed.
func (v view) renames(ctx context.Context, list []Change) ([]Change, error) {
	var gone, made []int
	for i, c := range list {
		switch {
		case c.Kind == Deleted && !c.OldMode.IsGitlink():
			gone = append(gone, i)
		case c.Kind == Added && !c.Mode.IsGitlink():
			made = append(made, i)
		}
	}
	if len(gone) == 0 || len(made) == 0 {
		return list, nil
	}
	r := newRenamer(v)
	r.list, r.source, r.used = list, map[int]renameSource{}, map[int]bool{}
	r.exact(gone, made)
	if err := r.byName(ctx, r.free(gone), r.open(made)); err != nil {
		return nil, err
	}
	if err := r.byContent(ctx, r.free(gone), r.open(made)); err != nil {
		return nil, err
	}
	out := list[:0:0]
	for i, c := range list {
		if r.used[i] {
			continue
		}
		if from, ok := r.source[i]; ok {
			old := list[from.index]
			c.Kind, c.OldPath, c.OldMode, c.OldID = Renamed, old.OldPath, old.OldMode, old.OldID
			c.Similarity = from.score * 100 / diff.MaxScore
		}
		out = append(out, c)
	}
	return out, nil
}

type renameSource struct{ index, score int }

type renamer struct {
	view
	list   []Change
	source map[int]renameSource // of an added file
	used   map[int]bool         // deleted files that were renamed

	spans     map[git.ObjectID]*diff.Spans // of files that were compared
	spanBytes int64
}

func newRenamer(v view) *renamer { return &renamer{view: v, spans: map[git.ObjectID]*diff.Spans{}} }

func (r *renamer) match(made, gone, score int) {
	r.source[made], r.used[gone] = renameSource{gone, score}, true
}

func (r *renamer) free(gone []int) []int {
	return slices.DeleteFunc(slices.Clone(gone), func(i int) bool { return r.used[i] })
}

func (r *renamer) open(made []int) []int {
	return slices.DeleteFunc(slices.Clone(made), func(i int) bool { _, ok := r.source[i]; return ok })
}

// sameType keeps links from becoming files.
func sameType(a, b object.FileMode) bool { return a.IsSymlink() == b.IsSymlink() }

// exact finds files that only moved, those that kept their name first.
func (r *renamer) exact(gone, made []int) {
	by := map[git.ObjectID][]int{}
	for _, i := range gone {
		by[r.list[i].OldID] = append(by[r.list[i].OldID], i)
	}
	for _, m := range made {
		best := -1
		for _, g := range by[r.list[m].ID] {
			if r.used[g] || !sameType(r.list[g].OldMode, r.list[m].Mode) {
				continue
			}
			if best < 0 || sameName(r.list[g], r.list[m]) && !sameName(r.list[best], r.list[m]) {
				best = g
			}
		}
		if best >= 0 {
			r.match(m, best, diff.MaxScore)
		}
	}
}

func sameName(old, now Change) bool { return path.Base(old.OldPath) == path.Base(now.Path) }

// byName compares files whose name is the only one of its kind on both sides.
func (r *renamer) byName(ctx context.Context, gone, made []int) error {
	const several = -1
	names := func(list []int, of func(Change) string) map[string]int {
		by := map[string]int{}
		for _, i := range list {
			name := path.Base(of(r.list[i]))
			if _, dup := by[name]; dup {
				by[name] = several
			} else {
				by[name] = i
			}
		}
		return by
	}
	old := names(gone, func(c Change) string { return c.OldPath })
	for name, m := range names(made, func(c Change) string { return c.Path }) {
		g, ok := old[name]
		if !ok || g == several || m == several || !sameType(r.list[g].OldMode, r.list[m].Mode) {
			continue
		}
		score, err := r.score(ctx, r.list[g].OldID, r.list[m].ID, sameNameScore)
		if err != nil {
			return err
		}
		if score >= sameNameScore {
			r.match(m, g, score)
		}
	}
	return nil
}

type candidate struct {
	made, gone, score int
	sameName          bool
}

// byContent compares each deleted file with each added one.
func (r *renamer) byContent(ctx context.Context, gone, made []int) error {
	if len(gone)*len(made) > maxRenamePairs {
		return nil
	}
	var all []candidate
	for _, m := range made {
		var best []candidate
		for _, g := range gone {
			if !sameType(r.list[g].OldMode, r.list[m].Mode) {
				continue
			}
			score, err := r.score(ctx, r.list[g].OldID, r.list[m].ID, renameScore)
			if err != nil {
				return err
			}
			if score >= renameScore {
				best = append(best, candidate{m, g, score, sameName(r.list[g], r.list[m])})
			}
		}
		slices.SortStableFunc(best, better)
		all = append(all, best[:min(len(best), candidates)]...)
	}
	slices.SortStableFunc(all, better)
	for _, c := range all {
		if _, found := r.source[c.made]; !found && !r.used[c.gone] {
			r.match(c.made, c.gone, c.score)
		}
	}
	return nil
}

func better(a, b candidate) int {
	if order := cmp.Compare(b.score, a.score); order != 0 {
		return order
	}
	switch {
	case a.sameName == b.sameName:
		return 0
	case a.sameName:
		return -1
	}
	return 1
}

// score is the similarity of two files, or 0 if their sizes alone keep it below least.
func (r *renamer) score(ctx context.Context, a, b git.ObjectID, least int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if a == b {
		return diff.MaxScore, nil
	}
	_, x, err := r.Header(ctx, a)
	if err != nil {
		return 0, err
	}
	_, y, err := r.Header(ctx, b)
	if err != nil {
		return 0, err
	}
	small, large := min(x, y), max(x, y)
	if small == 0 || large > maxRenameSize || large*int64(diff.MaxScore-least) < (large-small)*diff.MaxScore {
		return 0, nil
	}
	one, err := r.spansOf(ctx, a)
	if err != nil {
		return 0, err
	}
	other, err := r.spansOf(ctx, b)
	if err != nil {
		return 0, err
	}
	return diff.Similarity(one, other), nil
}

func (r *renamer) spansOf(ctx context.Context, id git.ObjectID) (*diff.Spans, error) {
	if s, ok := r.spans[id]; ok {
		return s, nil
	}
	_, data, err := r.Read(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.spanBytes += int64(len(data)); r.spanBytes > maxSpans {
		clear(r.spans)
		r.spanBytes = int64(len(data))
	}
	s := diff.NewSpans(data)
	r.spans[id] = s
	return s, nil
}

// similarity is that of two files in percent.
func (r *renamer) similarity(ctx context.Context, a, b git.ObjectID) (int, error) {
	score, err := r.score(ctx, a, b, 0)
	return score * 100 / diff.MaxScore, err
}
