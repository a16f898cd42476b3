package ssh

import (
	"io"
	"time"
)

// stream is a channel whose client has only so long to send or take something. One goroutine
// may read while another writes.
type stream struct {
	channel         io.ReadWriter
	idle            time.Duration
	reading, taking *time.Timer
}

func newStream(channel io.ReadWriter, idle time.Duration, cut func()) *stream {
	s := &stream{channel: channel, idle: idle, reading: time.AfterFunc(idle, cut), taking: time.AfterFunc(idle, cut)}
	s.reading.Stop()
	s.taking.Stop()
	return s
}

func (s *stream) close() {
	s.reading.Stop()
	s.taking.Stop()
}

func (s *stream) Read(b []byte) (int, error) {
	s.reading.Reset(s.idle)
	defer s.reading.Stop()
	return s.channel.Read(b)
}

// stretch is what a client has to take in the time it is given, in bytes.
const stretch = 1 << 20

func (s *stream) Write(b []byte) (written int, err error) {
	defer s.taking.Stop()
	for len(b) > 0 && err == nil {
		s.taking.Reset(s.idle)
		var n int
		n, err = s.channel.Write(b[:min(len(b), stretch)])
		written += n
		b = b[n:]
	}
	return written, err
}
