package pktline

import (
	"io"
	"strings"
	"sync"
	"time"
)

// Payloads of the two side-band capabilities, in bytes, without the band's number.
const (
	SidebandSmall = 1000 - 5      // side-band
	SidebandLarge = MaxLength - 5 // side-band-64k
)

// KeepAliveInterval is how long a side-band may be silent before an empty
// packet is sent so that nothing on the way takes the connection for dead.
const KeepAliveInterval = 5 * time.Second

// The bands of a multiplexed answer.
const (
	bandData     = 1
	bandProgress = 2
	bandError    = 3
)

// Sideband multiplexes an answer, progress messages and a last error over one
// writer. Data is gathered into packets of the full size; all methods may be
// called from several goroutines.
type Sideband struct {
	mu    sync.Mutex
	w     io.Writer
	limit int    // payload of a packet
	data  []byte // "????" 0x01, then data not yet sent
	err   error
	sent  bool // something went out since the last tick of the keep-alive
}

// NewSideband makes a Sideband whose packets carry at most limit bytes. When w
// has a method Flush, it is called after progress, errors and keep-alives.
func NewSideband(w io.Writer, limit int) *Sideband {
	s := &Sideband{w: w, limit: limit, data: make([]byte, 5, limit+5)}
	s.data[4] = bandData
	return s
}

// Write adds to the answer, band 1.
func (s *Sideband) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := p; len(rest) > 0 && s.err == nil; {
		n := copy(s.data[len(s.data):cap(s.data)], rest)
		s.data = s.data[:len(s.data)+n]
		rest = rest[n:]
		if len(s.data) == cap(s.data) {
			s.sendData()
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// Progress shows text to the user, band 2. Lines should end with a line feed, or
// a carriage return when the next one replaces them.
func (s *Sideband) Progress(text string) error { return s.message(bandProgress, text) }

// Fatal ends the answer with an error for the user, band 3.
func (s *Sideband) Fatal(text string) error {
	return s.message(bandError, strings.TrimSuffix(text, "\n")+"\n")
}

// Flush sends what has been gathered of the answer.
func (s *Sideband) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendData()
	s.push()
	return s.err
}

// KeepAlive starts sending empty progress packets whenever nothing else was sent
// for the interval. The function it returns stops that and waits for it.
func (s *Sideband) KeepAlive(interval time.Duration) (stop func()) {
	done := make(chan struct{})
	var finished sync.WaitGroup
	finished.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				s.tick()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		finished.Wait()
	})
}

func (s *Sideband) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sent {
		s.send([]byte{'0', '0', '0', '5', bandProgress})
		s.push()
	}
	s.sent = false
}

func (s *Sideband) message(band byte, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendData()
	for len(text) > 0 {
		n := min(len(text), s.limit)
		packet := append(appendLength(nil, n+5), band)
		s.send(append(packet, text[:n]...))
		text = text[n:]
	}
	s.push()
	return s.err
}

// sendData sends the gathered data; the lock is held.
func (s *Sideband) sendData() {
	if len(s.data) > 5 {
		appendLength(s.data[:0], len(s.data))
		s.send(s.data)
		s.data = s.data[:5]
	}
}

func (s *Sideband) send(p []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(p)
		s.sent = true
	}
}

func (s *Sideband) push() {
	if f, ok := s.w.(interface{ Flush() }); ok && s.err == nil {
		f.Flush()
	}
}
