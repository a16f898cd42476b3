package inspect

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"regexp"
	"slices"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/store"
)

// Bounds of an answer, and of the search for paths.
const (
	maxRefusals = 50
	maxFolders  = 4 << 20 // at different paths
	maxPath     = 4 << 10
)

// Tip is what a ref is to name.
type Tip struct {
	Ref string
	ID  git.ObjectID
}

// Finish says what is wrong with what came in a quarantine to a repository that had the
// objects of base, nil if it had none. Each refusal is of the first of the tips that its
// commit is reached by, of the first tip if none reaches it. At most maxRefusals are
// listed. Errors are those of the store and of asking for keys.
func (i *Inspector) Finish(ctx context.Context, q *store.Quarantine, base *store.Objects, tips []Tip) ([]rules.Refusal, error) {
	if i.err != nil {
		return nil, i.err
	}
	if i.found == 0 && len(i.paths) == 0 || len(tips) == 0 {
		return nil, nil
	}
	f := &finisher{Inspector: i, ctx: ctx, q: q, base: base, tips: tips}
	if err := f.readCommits(); err != nil {
		return nil, err
	}
	f.reach()
	for _, c := range i.commits {
		if commit, came := f.commits[c.id]; came {
			f.add(ordered{order: commit.order, Refusal: rules.Refusal{Rule: c.rule, Ref: tips[commit.tip].Ref, Commit: c.id, Text: fmt.Sprintf("commit %.12s: %s", c.id, c.text)}})
		}
	}
	if err := f.walk(); err != nil {
		return nil, err
	}
	return f.answer(), nil
}

type finisher struct {
	*Inspector
	ctx     context.Context
	q       *store.Quarantine
	base    *store.Objects
	tips    []Tip
	commits map[git.ObjectID]*newCommit // that the repository did not have
	ordered []git.ObjectID              // the oldest first
	seen    map[uint64]struct{}         // folders at paths
	seed    maphash.Seed
	met     map[git.ObjectID]bool // blobs with findings, and whether a path was found
	listed  []ordered
	more    int
}

type newCommit struct {
	tree    git.ObjectID
	parents []git.ObjectID
	when    int64
	tip     int // the first that reaches it
	order   int // its place in ordered
}

type ordered struct {
	rules.Refusal
	blob  git.ObjectID // that it is about, zero if about a commit
	order int
}

func (f *finisher) had(id git.ObjectID) bool { return f.base != nil && f.base.Has(id) }

func (f *finisher) readCommits() error {
	f.commits = map[git.ObjectID]*newCommit{}
	for id, typ := range f.q.New() {
		if typ != object.TypeCommit || f.had(id) {
			continue
		}
		_, data, err := f.q.View().Read(f.ctx, id)
		if err != nil {
			return err
		}
		c := &newCommit{}
		if c.tree, c.parents, c.when, err = object.CommitLinks(data); err != nil {
			return err
		}
		f.commits[id] = c
		f.ordered = append(f.ordered, id)
	}
	slices.SortFunc(f.ordered, func(a, b git.ObjectID) int {
		if x, y := f.commits[a].when, f.commits[b].when; x != y {
			return int(min(1, max(-1, x-y)))
		}
		return bytes.Compare(a[:], b[:])
	})
	f.parentsFirst()
	return nil
}

// parentsFirst puts every commit behind its parents, whatever the clocks said, so that the
// first that has something is the one that brought it.
func (f *finisher) parentsFirst() {
	byDate := f.ordered
	f.ordered = make([]git.ObjectID, 0, len(byDate))
	const waiting, done = 1, 2
	state := make(map[git.ObjectID]int, len(byDate))
	for _, id := range byDate {
		stack := []git.ObjectID{id}
		for len(stack) > 0 {
			id := stack[len(stack)-1]
			c := f.commits[id]
			if c == nil || state[id] == done {
				stack = stack[:len(stack)-1]
				continue
			}
			if state[id] == waiting {
				stack = stack[:len(stack)-1]
				state[id], c.order = done, len(f.ordered)
				f.ordered = append(f.ordered, id)
				continue
			}
			state[id] = waiting
			for _, parent := range c.parents {
				if state[parent] == 0 {
					stack = append(stack, parent)
				}
			}
		}
	}
}

// reach finds out the first tip that reaches each commit.
func (f *finisher) reach() {
	visited := map[git.ObjectID]bool{}
	for n, tip := range f.tips {
		stack := []git.ObjectID{f.peel(tip.ID)}
		for len(stack) > 0 {
			id := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			c := f.commits[id]
			if c == nil || visited[id] {
				continue
			}
			visited[id] = true
			c.tip = n
			stack = append(stack, c.parents...)
		}
	}
}

// peel follows tags; what cannot be read is the tip of nothing.
func (f *finisher) peel(id git.ObjectID) git.ObjectID {
	for range 100 {
		typ, data, err := f.q.View().Read(f.ctx, id)
		if err != nil || typ != object.TypeTag {
			return id
		}
		tag, err := object.ParseTag(data)
		if err != nil {
			return id
		}
		id = tag.Object
	}
	return id
}

// walk finds the paths of the blobs with findings, and judges every path.
func (f *finisher) walk() error {
	if len(f.blobs) == 0 && len(f.paths) == 0 {
		return nil
	}
	f.seen, f.seed, f.met = map[uint64]struct{}{}, maphash.MakeSeed(), map[git.ObjectID]bool{}
	for _, id := range f.ordered {
		if err := f.folder(id, f.commits[id].tree, ""); err != nil {
			return err
		}
		if f.more > 0 {
			return nil
		}
	}
	// What no commit holds, such as a file that a tag names.
	for id, found := range f.blobs {
		if !f.met[id] && !f.had(id) {
			for _, finding := range found {
				if finding.path == nil {
					f.refuseBlob(git.ZeroID, id, "", finding)
					break
				}
			}
		}
	}
	return nil
}

func (f *finisher) folder(commit, tree git.ObjectID, path string) error {
	if f.had(tree) || f.more > 0 {
		return nil
	}
	var h maphash.Hash
	h.SetSeed(f.seed)
	_, _ = h.Write(tree[:])
	_, _ = h.WriteString(path)
	if _, again := f.seen[h.Sum64()]; again {
		return nil
	}
	if len(f.seen) >= maxFolders || len(path) > maxPath {
		f.add(ordered{Refusal: rules.Refusal{Rule: rules.RuleSecrets, Ref: f.tips[0].Ref, Text: "what was found cannot be looked for in so many folders. Push in smaller parts"}})
		f.more++
		return nil
	}
	f.seen[h.Sum64()] = struct{}{}
	if err := f.ctx.Err(); err != nil {
		return err
	}
	_, data, err := f.q.View().Read(f.ctx, tree)
	if err != nil {
		return err
	}
	for entry, err := range object.TreeLinks(data) {
		if err != nil {
			return err
		}
		switch {
		case entry.Mode.IsTree():
			if err := f.folder(commit, entry.ID, path+string(entry.Name)+"/"); err != nil {
				return err
			}
		case !entry.Mode.IsGitlink():
			f.file(commit, entry.ID, path, entry.Name)
		}
	}
	return nil
}

// file judges a blob at a path.
func (f *finisher) file(commit, blob git.ObjectID, folder string, name []byte) {
	found, suspect := f.blobs[blob]
	if !suspect && len(f.paths) == 0 {
		return
	}
	if f.had(blob) {
		return
	}
	path := folder + string(name)
	if suspect {
		f.met[blob] = true
	}
	for _, finding := range found {
		if finding.size > 0 || (matches(finding.path, path) && !f.allows(finding.lines, path)) {
			f.refuseBlob(commit, blob, path, finding)
		}
	}
	for _, rule := range f.paths {
		if rule.path.MatchString(path) && !f.allowsPath(path) {
			f.refuseFile(commit, blob, rules.RuleSecrets, path, 0, fmt.Sprintf("is a file that must not be pushed (secret rule %s). Take it out of the history, or have an administrator allow it", quote(rule.name)))
		}
	}
}

func matches(r *regexp.Regexp, path string) bool { return r == nil || r.MatchString(path) }

// allows reports whether one of the allowances of a finding's line holds at a path.
func (f *finisher) allows(lines allowanceSet, path string) bool {
	for n, a := range f.allowed {
		if lines.has(n) && a.path.MatchString(path) {
			return true
		}
	}
	return false
}

// allowsPath reports whether a file is allowed whatever its lines.
func (f *finisher) allowsPath(path string) bool {
	return slices.ContainsFunc(f.allowed, func(a allowance) bool { return a.line == nil && a.path.MatchString(path) })
}

func (f *finisher) refuseBlob(commit, blob git.ObjectID, path string, finding blobFinding) {
	if path == "" {
		path = "object " + blob.String()
	}
	if finding.size > 0 {
		f.refuseFile(commit, blob, rules.RuleFileSize, path, 0, fmt.Sprintf("has %s, and files may have at most %s. Take it out of the history, or keep it in Git LFS", bytesText(finding.size), bytesText(f.content.MaxFileSize)))
		return
	}
	f.refuseFile(commit, blob, rules.RuleSecrets, path, finding.Line, fmt.Sprintf("looks like it holds a secret (%s). Take it out of the history and have it replaced, for it may be known; or have an administrator allow it", finding.Rule))
}

func (f *finisher) refuseFile(commit, blob git.ObjectID, rule, path string, line int, text string) {
	r := rules.Refusal{Rule: rule, Ref: f.tips[0].Ref, Commit: commit, Path: path, Line: line}
	where, order := quote(path), 0
	if line > 0 {
		where += fmt.Sprintf(" line %d", line)
	}
	if c := f.commits[commit]; c != nil {
		r.Ref, order = f.tips[c.tip].Ref, c.order
		where = fmt.Sprintf("commit %.12s: %s", commit, where)
	}
	r.Text = where + " " + text
	f.add(ordered{r, blob, order})
}

// add lists a refusal, once for a file at a path: commits after the one that brought it
// have it, too.
func (f *finisher) add(o ordered) {
	again := func(p ordered) bool {
		return p.blob == o.blob && p.Rule == o.Rule && p.Path == o.Path && p.Line == o.Line
	}
	if !o.blob.IsZero() && slices.ContainsFunc(f.listed, again) {
		return
	}
	if len(f.listed) == maxRefusals {
		f.more++
		return
	}
	f.listed = append(f.listed, o)
}

// answer lists the refusals, those of the oldest commits first.
func (f *finisher) answer() []rules.Refusal {
	slices.SortStableFunc(f.listed, func(a, b ordered) int { return a.order - b.order })
	list := make([]rules.Refusal, len(f.listed))
	for n, o := range f.listed {
		list[n] = o.Refusal
	}
	if len(list) == 0 && f.found > maxFound {
		list = append(list, rules.Refusal{Rule: rules.RuleSecrets, Ref: f.tips[0].Ref, Text: "more than can be listed is wrong with what was pushed. Push in smaller parts"})
	}
	return list
}

func bytesText(n int64) string {
	if n < 10<<10 {
		return fmt.Sprintf("%d bytes", n)
	}
	if n < 10<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// quote keeps what a pusher has made up from looking like something else.
func quote(s string) string {
	const longest = 200
	if len(s) > longest {
		s = s[:longest] + "..."
	}
	if strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd || r == '"' }) >= 0 {
		return fmt.Sprintf("%q", s)
	}
	return s
}
