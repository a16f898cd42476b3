package revwalk

import (
	"context"
	"math"

	"github.com/annal-git/annal/domain/git"
)

const (
	wanted = 1 << iota // reachable from what is wanted
	had                // reachable from what is had
	queuedUp
)

// Between returns the commits reachable from wants but not from haves, newest
// first, and their parents that are reachable from haves: the boundary. All
// arguments are commits.
func (g *Graph) Between(ctx context.Context, wants, haves []git.ObjectID) (commits, boundary []git.ObjectID, err error) {
	p := painter{g: g, flags: map[git.ObjectID]uint8{}, oldest: math.MaxInt64}
	for _, id := range haves {
		if err := p.add(ctx, id, had); err != nil {
			return nil, nil, err
		}
	}
	for _, id := range wants {
		if err := p.add(ctx, id, wanted); err != nil {
			return nil, nil, err
		}
	}
	for p.more() {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if err := p.step(ctx); err != nil {
			return nil, nil, err
		}
	}
	edge := make(map[git.ObjectID]struct{})
	for _, c := range p.listed {
		if p.flags[c.id]&had != 0 {
			continue
		}
		commits = append(commits, c.id)
		for _, parent := range c.Parents {
			if _, dup := edge[parent]; !dup && p.flags[parent]&had != 0 {
				edge[parent] = struct{}{}
				boundary = append(boundary, parent)
			}
		}
	}
	return commits, boundary, nil
}

// painter walks both sides at once, in order of time.
type painter struct {
	g      *Graph
	q      queue
	flags  map[git.ObjectID]uint8
	open   int      // queued commits that are not had
	listed []queued // visited while not had; some are found to be had later
	oldest int64    // time of the oldest commit listed
	late   int      // steps since nothing was open
}

func (p *painter) add(ctx context.Context, id git.ObjectID, flag uint8) error {
	flags := p.flags[id]
	if flags&flag != 0 {
		return nil
	}
	if flag == had && flags&queuedUp != 0 {
		p.open--
	}
	p.flags[id] = flags | flag
	if flags != 0 {
		if flag == had && flags&queuedUp == 0 {
			return p.spread(ctx, id)
		}
		return nil
	}
	c, err := p.g.Commit(ctx, id)
	if err != nil {
		return err
	}
	p.flags[id] |= queuedUp
	if flag == wanted {
		p.open++
	}
	p.q.push(id, c)
	return nil
}

// spread tells the ancestors of a commit that was visited before it was known to
// be had.
func (p *painter) spread(ctx context.Context, id git.ObjectID) error {
	for stack := []git.ObjectID{id}; len(stack) > 0; {
		c, err := p.g.Commit(ctx, stack[len(stack)-1])
		if err != nil {
			return err
		}
		stack = stack[:len(stack)-1]
		for _, parent := range c.Parents {
			flags := p.flags[parent]
			if flags&had != 0 {
				continue
			}
			if flags == 0 || flags&queuedUp != 0 {
				if err := p.add(ctx, parent, had); err != nil {
					return err
				}
				continue
			}
			p.flags[parent] |= had
			stack = append(stack, parent)
		}
	}
	return nil
}

// more reports whether the walk must go on: while something wanted is queued,
// and while what is queued could be a descendant of something listed.
func (p *painter) more() bool {
	switch {
	case p.q.len() == 0:
		return false
	case p.open > 0 || (len(p.listed) > 0 && p.q.peek().Time >= p.oldest):
		p.late = 0
		return true
	case len(p.listed) == 0:
		return false
	}
	p.late++
	return p.late <= slop
}

func (p *painter) step(ctx context.Context) error {
	next := p.q.pop()
	flags := p.flags[next.id] &^ queuedUp
	p.flags[next.id] = flags
	flag := uint8(had)
	if flags&had == 0 {
		flag = wanted
		p.open--
		p.listed = append(p.listed, next)
		p.oldest = min(p.oldest, next.Time)
	}
	for _, parent := range next.Parents {
		if err := p.add(ctx, parent, flag); err != nil {
			return err
		}
	}
	return nil
}

// MergeBases returns the best common ancestors of two commits: those that are no
// ancestors of another common ancestor.
func (g *Graph) MergeBases(ctx context.Context, a, b git.ObjectID) ([]git.ObjectID, error) {
	const fromA, fromB, stale = 1, 2, 4
	flags := map[git.ObjectID]uint8{}
	var q queue
	live := 0 // queued and not stale
	queuedNow := map[git.ObjectID]bool{}
	mark := func(id git.ObjectID, flag uint8) error {
		before := flags[id]
		if before|flag == before {
			return nil
		}
		flags[id] = before | flag
		if queuedNow[id] {
			if before&stale == 0 && flag&stale != 0 {
				live--
			}
			return nil
		}
		c, err := g.Commit(ctx, id)
		if err != nil {
			return err
		}
		queuedNow[id] = true
		if flags[id]&stale == 0 {
			live++
		}
		q.push(id, c)
		return nil
	}
	if err := mark(a, fromA); err != nil {
		return nil, err
	}
	if err := mark(b, fromB); err != nil {
		return nil, err
	}
	var candidates []git.ObjectID
	for live > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		next := q.pop()
		delete(queuedNow, next.id)
		f := flags[next.id]
		if f&stale == 0 {
			live--
		}
		if f == fromA|fromB {
			candidates = append(candidates, next.id)
			f |= stale
		}
		for _, parent := range next.Parents {
			if err := mark(parent, f); err != nil {
				return nil, err
			}
		}
	}
	return g.independent(ctx, candidates, flags, stale)
}

// independent drops candidates that others reach. Those found stale by the walk
// are certain; wrong clocks can leave others.
func (g *Graph) independent(ctx context.Context, candidates []git.ObjectID, flags map[git.ObjectID]uint8, stale uint8) ([]git.ObjectID, error) {
	var bases []git.ObjectID
	for i, id := range candidates {
		if flags[id]&stale != 0 {
			continue
		}
		var others []git.ObjectID
		others = append(append(others, candidates[:i]...), candidates[i+1:]...)
		found, err := g.Reachable(ctx, others, []git.ObjectID{id})
		if err != nil {
			return nil, err
		}
		if !found[id] {
			bases = append(bases, id)
		}
	}
	return bases, nil
}
