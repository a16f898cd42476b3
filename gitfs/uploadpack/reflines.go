package uploadpack

import (
	"encoding/hex"
	"io"

	"github.com/annal-git/annal/domain/git"
)

// refLines writes packets about refs: into memory while there are few, so that they can be
// kept, and through a buffer when there are many.
type refLines struct {
	w        io.Writer
	keep     int // bytes up to which everything stays in buffer
	buffer   []byte
	streamed bool
	err      error
}

const refLinesChunk = 64 << 10

// begin starts a packet, end finishes it.
func (l *refLines) begin() int {
	at := len(l.buffer)
	l.buffer = append(l.buffer, "0000"...)
	return at
}

func (l *refLines) end(at int) {
	const digits = "0123456789abcdef"
	n := len(l.buffer) - at
	l.buffer[at], l.buffer[at+1], l.buffer[at+2], l.buffer[at+3] = digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]
	if l.streamed && len(l.buffer) >= refLinesChunk || len(l.buffer) > l.keep {
		l.flush()
	}
}

// ref writes the packet of one ref, as ls-refs has it.
func (l *refLines) ref(id git.ObjectID, name, attribute string, peeled git.ObjectID) {
	at := l.begin()
	l.id(id)
	l.text(" ")
	l.text(name)
	l.text(attribute)
	if !peeled.IsZero() {
		l.text(" peeled:")
		l.id(peeled)
	}
	l.text("\n")
	l.end(at)
}

func (l *refLines) id(id git.ObjectID) { l.buffer = hex.AppendEncode(l.buffer, id[:]) }

func (l *refLines) text(s string) { l.buffer = append(l.buffer, s...) }

func (l *refLines) flush() {
	l.streamed = true
	if l.err == nil {
		_, l.err = l.w.Write(l.buffer)
	}
	l.buffer = l.buffer[:0]
	if cap(l.buffer) > 2*refLinesChunk {
		l.buffer = make([]byte, 0, 2*refLinesChunk)
	}
}

// answer sends what question asks about refs: what was kept of an earlier answer, or what
// write writes.
func (c *conversation) answer(question []byte, write func(*refLines)) error {
	if kept, ok := c.answers.get(c.repo, question); ok && !c.repo.Hides {
		return c.send(kept)
	}
	l := refLines{w: c.out, keep: c.answers.largest()}
	if c.repo.Hides {
		l.keep = refLinesChunk
	}
	write(&l)
	l.text("0000")
	if l.streamed {
		l.flush()
		return l.err
	}
	c.answers.put(c.repo, question, l.buffer)
	return c.send(l.buffer)
}

// send writes what is at hand whole, and tells the transport how long that is.
func (c *conversation) send(b []byte) error {
	c.announce(int64(len(b)))
	_, err := c.out.Write(b)
	return err
}

// announce tells the transport that all that is buffered and so many bytes more are the
// answer, if only one is to come.
func (c *conversation) announce(more int64) {
	if sized, ok := c.w.(interface{ SetLength(bytes int64) }); ok && c.transport.Stateless {
		sized.SetLength(int64(c.out.Buffered()) + more)
	}
}
