package diff

import (
	"bytes"
	"hash/maphash"
)

// MaxScore is the similarity of files that are the same.
const MaxScore = 60000

// Spans is how many bytes of a file are in pieces of each kind: lines, or 64 bytes where
// lines are longer. It is what similarity is judged by.
type Spans struct {
	size  int64
	bytes map[uint64]int64
}

const spanLength = 64

var spanSeed = maphash.MakeSeed()

// NewSpans takes a file apart.
func NewSpans(content []byte) *Spans {
	s := &Spans{size: int64(len(content)), bytes: map[uint64]int64{}}
	text := bytes.IndexByte(content[:min(len(content), 8000)], 0) < 0
	piece := make([]byte, 0, spanLength)
	flush := func() {
		if len(piece) > 0 {
			s.bytes[maphash.Bytes(spanSeed, piece)] += int64(len(piece))
			piece = piece[:0]
		}
	}
	for i, c := range content {
		if text && c == '\r' && i+1 < len(content) && content[i+1] == '\n' {
			continue // ends of lines are all the same
		}
		piece = append(piece, c)
		if c == '\n' || len(piece) == spanLength {
			flush()
		}
	}
	flush()
	return s
}

// Similarity says how much of the larger of two files is in the other, from 0 to MaxScore.
func Similarity(a, b *Spans) int {
	if a.size == 0 || b.size == 0 {
		return 0
	}
	var common int64
	for piece, n := range a.bytes {
		common += min(n, b.bytes[piece])
	}
	return int(common * MaxScore / max(a.size, b.size))
}
