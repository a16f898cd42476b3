package diff

import "bytes"

// Whitespace says which differences within lines count.
type Whitespace int

// The choices.
const (
	ExactWhitespace  Whitespace = iota
	IgnoreWhitespace            // lines that differ in white space only are the same (git diff -w)
)

// Text is a file's content parted into lines, each with the line feed at its end, if any.
type Text struct {
	Lines [][]byte
}

// NewText parts content.
func NewText(content []byte) Text {
	t := Text{Lines: make([][]byte, 0, bytes.Count(content, []byte("\n"))+1)}
	for len(content) > 0 {
		n := bytes.IndexByte(content, '\n') + 1
		if n == 0 {
			n = len(content)
		}
		t.Lines = append(t.Lines, content[:n:n])
		content = content[n:]
	}
	return t
}

// numbers gives equal lines of two texts the same number.
func numbers(a, b Text, w Whitespace) (x, y []int32) {
	known := make(map[string]int32, len(a.Lines))
	of := func(lines [][]byte) []int32 {
		list := make([]int32, len(lines))
		var buffer []byte
		for i, line := range lines {
			if w == IgnoreWhitespace {
				buffer = withoutSpace(buffer[:0], line)
				line = buffer
			}
			n, ok := known[string(line)]
			if !ok {
				n = int32(len(known))
				known[string(line)] = n
			}
			list[i] = n
		}
		return list
	}
	return of(a.Lines), of(b.Lines)
}

func withoutSpace(to, line []byte) []byte {
	for _, c := range line {
		if c != ' ' && (c < '\t' || c > '\r') {
			to = append(to, c)
		}
	}
	return to
}
