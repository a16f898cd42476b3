package logbench

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// farConn delivers what it reads a while after it has arrived, as from a server that is
// some way off. What is under way may overlap.
type farConn struct {
	net.Conn
	delay  time.Duration
	parts  chan part
	rest   []byte
	failed error
	once   sync.Once
	closed chan struct{}
}

type part struct {
	due   time.Time
	bytes []byte
	err   error
}

func newFarConn(conn net.Conn, delay time.Duration) *farConn {
	f := &farConn{Conn: conn, delay: delay, parts: make(chan part, 1024), closed: make(chan struct{})}
	go f.receive() // ends with the connection
	return f
}

func (f *farConn) receive() {
	defer close(f.parts)
	for {
		bytes := make([]byte, 32<<10)
		n, err := f.Conn.Read(bytes)
		select {
		case f.parts <- part{time.Now().Add(f.delay), bytes[:n], err}:
		case <-f.closed:
			return
		}
		if err != nil {
			return
		}
	}
}

func (f *farConn) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.failed != nil {
			return 0, f.failed
		}
		next, ok := <-f.parts
		if !ok {
			return 0, io.EOF
		}
		// The scheduler's timers are too coarse for this.
		if wait := time.Until(next.due); wait > 0 {
			ts := syscall.NsecToTimespec(wait.Nanoseconds())
			_ = syscall.Nanosleep(&ts, nil)
		}
		f.rest, f.failed = next.bytes, next.err
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *farConn) Close() error {
	f.once.Do(func() { close(f.closed) })
	return f.Conn.Close()
}

// SetDeadline takes a deadline that is over for the order to let go, and ends the
// connection. Others would cut off what is still on its way.
func (f *farConn) SetDeadline(t time.Time) error {
	if t.IsZero() || t.After(time.Now()) {
		return nil
	}
	return f.Close()
}

func (f *farConn) SetReadDeadline(t time.Time) error { return f.SetDeadline(t) }
