package diff_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/gitfs/diff"
)

// apply makes the second text of the first one and the edits.
func apply(a, b diff.Text, edits []diff.Edit) string {
	var out strings.Builder
	at := 0
	for _, e := range edits {
		out.Write(bytes.Join(a.Lines[at:e.A], nil))
		out.Write(bytes.Join(b.Lines[e.B:e.BEnd], nil))
		at = e.AEnd
	}
	out.Write(bytes.Join(a.Lines[at:], nil))
	return out.String()
}

func size(edits []diff.Edit) (removed, added int) {
	for _, e := range edits {
		removed, added = removed+e.AEnd-e.A, added+e.BEnd-e.B
	}
	return removed, added
}

func text(alphabet string, label string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		lines := rapid.SliceOfN(rapid.SampledFrom(strings.Split(alphabet, "")), 0, 30).Draw(t, label)
		joined := strings.Join(lines, "\n")
		if len(lines) > 0 && rapid.Bool().Draw(t, "ends") {
			joined += "\n"
		}
		return joined
	})
}

// The edits make the second text of the first, and are as few as can be.
func TestEditsAreRightAndMinimal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		first, second := text("abcd", "a").Draw(rt, "a"), text("abcd", "b").Draw(rt, "b")
		a, b := diff.NewText([]byte(first)), diff.NewText([]byte(second))
		edits, err := diff.Edits(context.Background(), a, b, diff.ExactWhitespace)
		if err != nil {
			rt.Fatal(err)
		}
		if got := apply(a, b, edits); got != second {
			rt.Fatalf("%q to %q by %v makes %q", first, second, edits, got)
		}
		for i, e := range edits {
			if i > 0 && (e.A <= edits[i-1].AEnd || e.B <= edits[i-1].BEnd) || e.A == e.AEnd && e.B == e.BEnd {
				rt.Fatalf("edits %v", edits)
			}
		}
		removed, added := size(edits)
		want, wantAdded := lcs(a, b)
		if removed != want || added != wantAdded {
			rt.Fatalf("%q to %q: %d removed and %d added, %d and %d do", first, second, removed, added, want, wantAdded)
		}
	})
}

// lcs counts by the longest common subsequence, the slow way.
func lcs(a, b diff.Text) (removed, added int) {
	rows := make([][]int, len(a.Lines)+1)
	for i := range rows {
		rows[i] = make([]int, len(b.Lines)+1)
	}
	for i := len(a.Lines) - 1; i >= 0; i-- {
		for j := len(b.Lines) - 1; j >= 0; j-- {
			if bytes.Equal(a.Lines[i], b.Lines[j]) {
				rows[i][j] = rows[i+1][j+1] + 1
			} else {
				rows[i][j] = max(rows[i+1][j], rows[i][j+1])
			}
		}
	}
	return len(a.Lines) - rows[0][0], len(b.Lines) - rows[0][0]
}

func TestWhitespace(t *testing.T) {
	t.Parallel()
	a, b := diff.NewText([]byte("a b\n\tc\nd\n")), diff.NewText([]byte("ab \nc\r\ne\n"))
	edits, err := diff.Edits(t.Context(), a, b, diff.IgnoreWhitespace)
	if err != nil || len(edits) != 1 || edits[0] != (diff.Edit{A: 2, AEnd: 3, B: 2, BEnd: 3}) {
		t.Errorf("%v %v", edits, err)
	}
}

// Texts that have nothing in common end in time, and whoever has gone is not waited for.
func TestBounds(t *testing.T) {
	t.Parallel()
	var x, y strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&x, "x%d\n", i)
		fmt.Fprintf(&y, "y%d\n", i)
		if i%100 == 0 {
			fmt.Fprintf(&x, "same %d\n", i*7919%60000)
			fmt.Fprintf(&y, "same %d\n", i*104729%60000)
		}
	}
	a, b := diff.NewText([]byte(x.String())), diff.NewText([]byte(y.String()))
	edits, err := diff.Edits(t.Context(), a, b, diff.ExactWhitespace)
	if err != nil || apply(a, b, edits) != y.String() {
		t.Errorf("%d edits, %v", len(edits), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := diff.Edits(ctx, a, b, diff.ExactWhitespace); err == nil {
		t.Error("a comparison nobody waits for goes on")
	}
}

func TestSimilarity(t *testing.T) {
	t.Parallel()
	a := diff.NewSpans([]byte("one\ntwo\nthree\n"))
	if got := diff.Similarity(a, a); got != diff.MaxScore {
		t.Errorf("the same is %d", got)
	}
	if got := diff.Similarity(a, diff.NewSpans(nil)); got != 0 {
		t.Errorf("nothing is %d", got)
	}
	if got := diff.Similarity(a, diff.NewSpans([]byte("two\r\nthree\r\nfour...\n"))); got != 10*diff.MaxScore/20 {
		t.Errorf("10 of 20 bytes are %d", got)
	}
}

func FuzzEdits(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("b\nc"))
	f.Add([]byte("a\na\na\n"), []byte("a\na\n"))
	f.Fuzz(func(t *testing.T, x, y []byte) {
		a, b := diff.NewText(x), diff.NewText(y)
		edits, err := diff.Edits(t.Context(), a, b, diff.ExactWhitespace)
		if err != nil || apply(a, b, edits) != string(y) {
			t.Errorf("%q to %q: %v %v", x, y, edits, err)
		}
	})
}
