package diff

import (
	"context"
	"math"
)

// Edit is a part of two texts that differs: the lines from A to AEnd of the first are the
// lines from B to BEnd of the second. Counting starts at 0, and the ends are not part of it.
type Edit struct{ A, AEnd, B, BEnd int }

// Edits compares two texts and returns what differs, in order. It is the shortest such
// list by Myers' algorithm, unless that would take too long: texts that have little in
// common are parted where they agree best so far, as Git does. The error is that of ctx.
func Edits(ctx context.Context, a, b Text, w Whitespace) ([]Edit, error) {
	x, y := numbers(a, b, w)
	c := &comparison{ctx: ctx, x: x, y: y, removed: make([]bool, len(x)), added: make([]bool, len(y))}
	start := 0
	for start < len(x) && start < len(y) && x[start] == y[start] {
		start++
	}
	xEnd, yEnd := len(x), len(y)
	for xEnd > start && yEnd > start && x[xEnd-1] == y[yEnd-1] {
		xEnd--
		yEnd--
	}
	size := xEnd - start + yEnd - start + 3
	c.forward, c.backward, c.offset = make([]int, 2*size+1), make([]int, 2*size+1), size
	if err := c.compare(start, xEnd, start, yEnd); err != nil {
		return nil, err
	}
	slide(x, c.removed, y, c.added)
	slide(y, c.added, x, c.removed)
	return c.edits(), nil
}

// comparison marks the lines that are not common.
type comparison struct {
	ctx               context.Context
	x, y              []int32
	removed, added    []bool
	forward, backward []int // furthest x on each diagonal
	offset            int   // of diagonal 0
}

// maxCost is how many differences are looked for before a part is split where it is best.
const maxCost = 2048

func (c *comparison) compare(x0, x1, y0, y1 int) error {
	for {
		for x0 < x1 && y0 < y1 && c.x[x0] == c.y[y0] {
			x0++
			y0++
		}
		for x0 < x1 && y0 < y1 && c.x[x1-1] == c.y[y1-1] {
			x1--
			y1--
		}
		if x0 == x1 {
			for ; y0 < y1; y0++ {
				c.added[y0] = true
			}
			return nil
		}
		if y0 == y1 {
			for ; x0 < x1; x0++ {
				c.removed[x0] = true
			}
			return nil
		}
		if err := context.Cause(c.ctx); err != nil {
			return err
		}
		x, y := c.split(x0, x1, y0, y1)
		if err := c.compare(x0, x, y0, y); err != nil {
			return err
		}
		x0, y0 = x, y
	}
}

// split finds a point on a shortest path from the upper left to the lower right corner,
// walking from both. A diagonal is x-y.
func (c *comparison) split(x0, x1, y0, y1 int) (x, y int) {
	at := func(d int) int { return d + c.offset }
	low, high := x0-y1, x1-y0 // diagonals that exist
	fMid, bMid := x0-y0, x1-y1
	fMin, fMax, bMin, bMax := fMid, fMid, bMid, bMid
	odd := (fMid-bMid)&1 != 0
	f, b := c.forward, c.backward
	f[at(fMid)], b[at(bMid)] = x0, x1
	const beyond = math.MaxInt - 1
	for cost := 1; ; cost++ {
		// Forward, one difference more.
		if fMin > low {
			fMin--
			f[at(fMin-1)] = -1
		} else {
			fMin++
		}
		if fMax < high {
			fMax++
			f[at(fMax+1)] = -1
		} else {
			fMax--
		}
		for d := fMax; d >= fMin; d -= 2 {
			i := f[at(d+1)]
			if left := f[at(d-1)]; left >= i {
				i = left + 1
			}
			for i < x1 && i-d < y1 && c.x[i] == c.y[i-d] {
				i++
			}
			f[at(d)] = i
			if odd && bMin <= d && d <= bMax && b[at(d)] <= i {
				return i, i - d
			}
		}
		// And backward.
		if bMin > low {
			bMin--
			b[at(bMin-1)] = beyond
		} else {
			bMin++
		}
		if bMax < high {
			bMax++
			b[at(bMax+1)] = beyond
		} else {
			bMax--
		}
		for d := bMax; d >= bMin; d -= 2 {
			i := b[at(d-1)]
			if right := b[at(d+1)]; right-1 < i {
				i = right - 1
			}
			for i > x0 && i-d > y0 && c.x[i-1] == c.y[i-d-1] {
				i--
			}
			b[at(d)] = i
			if !odd && fMin <= d && d <= fMax && i <= f[at(d)] {
				return i, i - d
			}
		}
		if cost >= maxCost {
			return c.best(x0, x1, y0, y1, fMin, fMax, bMin, bMax)
		}
	}
}

// best is the point that came furthest from either corner.
func (c *comparison) best(x0, x1, y0, y1, fMin, fMax, bMin, bMax int) (x, y int) {
	far, fx := -1, x0
	for d := fMax; d >= fMin; d -= 2 {
		i := min(c.forward[d+c.offset], x1)
		if j := i - d; j > y1 {
			i = y1 + d
		}
		if i+i-d > far && i >= x0 && i-d >= y0 {
			far, fx = i+i-d, i
		}
	}
	near, bx := x1+y1+1, x1
	for d := bMax; d >= bMin; d -= 2 {
		i := max(c.backward[d+c.offset], x0)
		if j := i - d; j < y0 {
			i = y0 + d
		}
		if i+i-d < near && i <= x1 && i-d <= y1 {
			near, bx = i+i-d, i
		}
	}
	if x1+y1-near < far-(x0+y0) {
		return fx, far - fx
	}
	return bx, near - bx
}

// slide moves each group of changed lines of one side down as far as the same lines
// follow, so that a repeated block shows as added behind the one it repeats. Groups that
// meet are joined. The other side's groups keep the place they have between unchanged
// lines.
func slide(lines []int32, changed []bool, otherLines []int32, otherChanged []bool) {
	other := 0 // in the other side, at the line that matches i
	for i := 0; i < len(lines); {
		if !changed[i] {
			for other < len(otherLines) && otherChanged[other] {
				other++
			}
			i++
			other++
			continue
		}
		start := i
		end := i
		for end < len(lines) && changed[end] {
			end++
		}
		// Only a group with nothing opposite to it may move.
		if other < len(otherLines) && otherChanged[other] {
			i = end
			continue
		}
		for end < len(lines) && lines[start] == lines[end] {
			if other+1 < len(otherLines) && otherChanged[other] {
				break
			}
			changed[start], changed[end] = false, true
			start++
			end++
			other++
			for end < len(lines) && changed[end] {
				end++
			}
			if other < len(otherLines) && otherChanged[other] {
				break
			}
		}
		i = end
	}
}

func (c *comparison) edits() []Edit {
	var list []Edit
	for i, j := 0, 0; i < len(c.x) || j < len(c.y); {
		if (i >= len(c.x) || !c.removed[i]) && (j >= len(c.y) || !c.added[j]) {
			i++
			j++
			continue
		}
		e := Edit{A: i, B: j}
		for i < len(c.x) && c.removed[i] {
			i++
		}
		for j < len(c.y) && c.added[j] {
			j++
		}
		e.AEnd, e.BEnd = i, j
		list = append(list, e)
	}
	return list
}
