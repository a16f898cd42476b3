package pktline

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Sizes of a packet, in bytes.
const (
	MaxLength  = 65520         // with the four digits of its length
	MaxPayload = MaxLength - 4 // without
)

// Kind tells special packets from data.
type Kind uint8

// The kinds of packets.
const (
	Data        Kind = iota // a payload, perhaps empty
	Flush                   // 0000, the end of a message
	Delim                   // 0001, the end of a section
	ResponseEnd             // 0002, the end of a stateless response
)

// Packet is one packet. Payload belongs to the Reader until its next call.
type Packet struct {
	Kind    Kind
	Payload []byte
}

// Text is the payload without the line feed that text packets may end with.
func (p Packet) Text() string { return strings.TrimSuffix(string(p.Payload), "\n") }

// FormatError says that what was read is no packet line. Its text may be shown
// to the client.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return "protocol error: " + e.Reason }

// Reader reads packets. It never takes more than MaxLength bytes of memory.
type Reader struct {
	r       *bufio.Reader
	pending int // bytes of the last packet still in the buffer
}

// NewReader makes a Reader. It may read ahead of the packet it returns; Rest
// gives what follows.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, MaxLength)}
}

// Reset makes the Reader read from r, as a new one would.
func (r *Reader) Reset(from io.Reader) {
	r.r.Reset(from)
	r.pending = 0
}

// Next reads one packet. At the end of the input before a packet it returns
// io.EOF, within a packet io.ErrUnexpectedEOF, and for a length that is
// impossible or not four lower-case hexadecimal digits a *FormatError.
func (r *Reader) Next() (Packet, error) {
	r.consume()
	head, err := r.r.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return Packet{}, err
	}
	length, err := parseLength(head)
	if err != nil {
		return Packet{}, err
	}
	if length < 4 {
		r.pending = 4
		return Packet{Kind: Kind(length) + Flush}, nil
	}
	whole, err := r.r.Peek(length)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Packet{}, err
	}
	r.pending = length
	return Packet{Kind: Data, Payload: whole[4:]}, nil
}

// Rest is the input behind the last packet. The Reader must not be used after.
func (r *Reader) Rest() io.Reader {
	r.consume()
	return r.r
}

func (r *Reader) consume() {
	// The bytes were peeked, so discarding them cannot fail.
	_, _ = r.r.Discard(r.pending)
	r.pending = 0
}

func parseLength(head []byte) (int, error) {
	length := 0
	for _, c := range head {
		switch {
		case c >= '0' && c <= '9':
			length = length<<4 | int(c-'0')
		case c >= 'a' && c <= 'f':
			length = length<<4 | int(c-'a'+10)
		default:
			return 0, &FormatError{Reason: fmt.Sprintf("bad line length characters: %q", head)}
		}
	}
	if length == 3 || length > MaxLength {
		return 0, &FormatError{Reason: fmt.Sprintf("bad line length %d", length)}
	}
	return length, nil
}
