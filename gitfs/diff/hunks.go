package diff

// Hunk is edits with the unchanged lines around them. Lines are counted from 0; the ends
// are not part of it.
type Hunk struct {
	A, AEnd, B, BEnd int
	Edits            []Edit
}

// Hunks groups edits that are at most twice the context apart. aLines is the number of
// lines of the first text.
func Hunks(edits []Edit, aLines, context int) []Hunk {
	var hunks []Hunk
	for _, e := range edits {
		if n := len(hunks); n > 0 {
			last := &hunks[n-1]
			if previous := last.Edits[len(last.Edits)-1]; e.A-previous.AEnd <= 2*context {
				last.Edits = append(last.Edits, e)
				continue
			}
		}
		hunks = append(hunks, Hunk{Edits: []Edit{e}})
	}
	for i := range hunks {
		h := &hunks[i]
		first, last := h.Edits[0], h.Edits[len(h.Edits)-1]
		before, after := min(context, first.A), min(context, aLines-last.AEnd)
		h.A, h.AEnd, h.B, h.BEnd = first.A-before, last.AEnd+after, first.B-before, last.BEnd+after
	}
	return hunks
}

// Kind is what became of a line.
type Kind byte

// The kinds of lines.
const (
	Context Kind = ' '
	Removed Kind = '-'
	Added   Kind = '+'
)

// Each yields the lines of a hunk in the order in which Git shows them; a and b are their
// numbers in the two texts, or the number of the next line there if it is not in that text.
func (h Hunk) Each(yield func(kind Kind, a, b int) bool) {
	a, b := h.A, h.B
	for _, e := range h.Edits {
		for ; a < e.A; a, b = a+1, b+1 {
			if !yield(Context, a, b) {
				return
			}
		}
		for ; a < e.AEnd; a++ {
			if !yield(Removed, a, b) {
				return
			}
		}
		for ; b < e.BEnd; b++ {
			if !yield(Added, a, b) {
				return
			}
		}
	}
	for ; a < h.AEnd; a, b = a+1, b+1 {
		if !yield(Context, a, b) {
			return
		}
	}
}
