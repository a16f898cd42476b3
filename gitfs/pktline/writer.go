package pktline

import (
	"fmt"
	"io"
)

const hexDigits = "0123456789abcdef"

// Writer writes packets, each with one call of the writer below. After an error
// it writes nothing more and keeps returning that error.
type Writer struct {
	w   io.Writer
	buf []byte
	err error
}

// NewWriter makes a Writer.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Reset makes the Writer write to w, as a new one would.
func (w *Writer) Reset(to io.Writer) { w.w, w.err = to, nil }

// Write writes p as one data packet; p must not be longer than MaxPayload.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) > MaxPayload {
		return 0, fmt.Errorf("packet of %d bytes is over %d", len(p), MaxPayload)
	}
	w.buf = appendLength(w.buf[:0], len(p)+4)
	w.buf = append(w.buf, p...)
	if err := w.send(w.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Printf writes one data packet. Text packets end with a line feed, which the
// format has to hold.
func (w *Writer) Printf(format string, args ...any) error {
	w.buf = append(w.buf[:0], "0000"...)
	w.buf = fmt.Appendf(w.buf, format, args...)
	if len(w.buf) > MaxLength {
		return fmt.Errorf("packet of %d bytes is over %d", len(w.buf)-4, MaxPayload)
	}
	appendLength(w.buf[:0], len(w.buf))
	return w.send(w.buf)
}

// Error writes an ERR packet, which ends the conversation with a message for the
// user.
func (w *Writer) Error(message string) error {
	return w.Printf("ERR %s", clip(message, 1000))
}

// Flush writes a flush packet.
func (w *Writer) Flush() error { return w.send([]byte("0000")) }

// Delim writes a delimiter packet.
func (w *Writer) Delim() error { return w.send([]byte("0001")) }

func (w *Writer) send(p []byte) error {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
	return w.err
}

func appendLength(b []byte, n int) []byte {
	return append(b, hexDigits[n>>12&15], hexDigits[n>>8&15], hexDigits[n>>4&15], hexDigits[n&15])
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}
