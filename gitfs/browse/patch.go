package browse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/annal-git/annal/gitfs/diff"
)

// WritePatch writes a difference as git diff does, with whole ids.
func WritePatch(w io.Writer, f FileDiff) error {
	out := bufio.NewWriter(w) // keeps its first error until it is flushed
	a, b := quoted("a/"+f.OldPath), quoted("b/"+f.Path)
	fmt.Fprintf(out, "diff --git %s %s\n", a, b)
	switch f.Kind {
	case Added:
		fmt.Fprintf(out, "new file mode %s\n", f.Mode)
	case Deleted:
		fmt.Fprintf(out, "deleted file mode %s\n", f.OldMode)
	default:
		if f.Mode != f.OldMode {
			fmt.Fprintf(out, "old mode %s\nnew mode %s\n", f.OldMode, f.Mode)
		}
	}
	if f.Kind == Renamed {
		fmt.Fprintf(out, "similarity index %d%%\nrename from %s\nrename to %s\n", f.Similarity, quoted(f.OldPath), quoted(f.Path))
	}
	if f.ID == f.OldID {
		return out.Flush()
	}
	fmt.Fprintf(out, "index %s..%s", f.OldID, f.ID)
	if f.Mode == f.OldMode {
		fmt.Fprintf(out, " %s", f.Mode)
	}
	_ = out.WriteByte('\n')
	if f.Kind == Added {
		a = "/dev/null"
	}
	if f.Kind == Deleted {
		b = "/dev/null"
	}
	switch {
	case f.Binary || f.TooLarge:
		fmt.Fprintf(out, "Binary files %s and %s differ\n", a, b)
	case len(f.Hunks) > 0:
		fmt.Fprintf(out, "--- %s%s\n+++ %s%s\n", a, spaced(a), b, spaced(b))
		for _, h := range f.Hunks {
			writeHunk(out, f, h)
		}
	}
	return out.Flush()
}

func writeHunk(out *bufio.Writer, f FileDiff, h diff.Hunk) {
	fmt.Fprintf(out, "@@ -%s +%s @@", span(h.A, h.AEnd), span(h.B, h.BEnd))
	if heading := f.Heading(h); heading != "" {
		_, _ = out.WriteString(" " + heading)
	}
	_ = out.WriteByte('\n')
	h.Each(func(kind diff.Kind, a, b int) bool {
		line := f.Line(kind, a, b)
		_ = out.WriteByte(byte(kind))
		_, _ = out.Write(line)
		if !bytes.HasSuffix(line, []byte("\n")) {
			_, _ = out.WriteString("\n\\ No newline at end of file\n")
		}
		return true
	})
}

// Line is the content of a line of a hunk, with its line feed.
func (f FileDiff) Line(kind diff.Kind, a, b int) []byte {
	if kind == diff.Removed {
		return f.Old.Lines[a]
	}
	return f.New.Lines[b]
}

const maxHeading = 80 // bytes

// Heading is the line above a hunk that says most about where it is, as far as can be told
// without knowing the language: one that begins with a letter.
func (f FileDiff) Heading(h diff.Hunk) string {
	for i := min(h.A, len(f.Old.Lines)) - 1; i >= 0; i-- {
		line := f.Old.Lines[i]
		c := line[0]
		if c == '_' || c == '$' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return string(bytes.TrimRight(line[:min(len(line), maxHeading)], " \t\r\n\v\f"))
		}
	}
	return ""
}

// span writes where lines begin, counted from 1, and how many they are if not one. What is
// empty begins after the line that it names.
func span(from, to int) string {
	switch n := to - from; n {
	case 1:
		return fmt.Sprint(from + 1)
	case 0:
		return fmt.Sprintf("%d,0", from)
	default:
		return fmt.Sprintf("%d,%d", from+1, n)
	}
}

// spaced ends a name that holds a space with a tab, so that programs find its end.
func spaced(name string) string {
	if strings.Contains(name, " ") && !strings.HasPrefix(name, `"`) {
		return "\t"
	}
	return ""
}

// quoted writes a path in quotes if it holds bytes that would be misread.
func quoted(path string) string {
	plain := true
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(path) {
		switch c := path[i]; {
		case c == '"' || c == '\\':
			plain = false
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= 7 && c <= 13:
			plain = false
			b.WriteString(`\` + string("abtnvfr"[c-7]))
		case c < 0x20 || c >= 0x7f:
			plain = false
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	if plain {
		return path
	}
	return b.String() + `"`
}
