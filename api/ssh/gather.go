package ssh

import (
	"net"
	"sync"
	"time"
)

// gatherBytes is how much may wait to be sent.
const gatherBytes = 128 << 10

// gatherConn sends what is written in another goroutine, all that has come together at once:
// the library writes each packet of 32 KiB by itself, in two parts, and encrypts the next one
// only then. It gives a client the time in which it has to take what is sent.
type gatherConn struct {
	net.Conn
	idle time.Duration

	mu      sync.Mutex // guards what follows
	changed sync.Cond
	waiting []byte // to be sent
	spare   []byte // the buffer that was sent last
	closed  bool
	err     error
}

func newGatherConn(conn net.Conn, idle time.Duration) *gatherConn {
	c := &gatherConn{Conn: conn, idle: idle}
	c.changed.L = &c.mu
	return c
}

// Write implements net.Conn. An error of sending is that of a later call.
func (c *gatherConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) >= gatherBytes && c.err == nil && !c.closed {
		c.changed.Wait()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case c.closed:
		return 0, net.ErrClosed
	}
	c.waiting = append(c.waiting, b...)
	c.changed.Broadcast()
	return len(b), nil
}

// Close has what waits sent, and then closes the connection.
func (c *gatherConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.changed.Broadcast()
	return nil
}

// send sends until the connection is closed, or broken, which it is then.
func (c *gatherConn) send() {
	defer func() { _ = c.Conn.Close() }() // the reader says what there is to say
	for {
		c.mu.Lock()
		for len(c.waiting) == 0 && !c.closed {
			c.changed.Wait()
		}
		batch := c.waiting
		c.waiting, c.spare = c.spare[:0], nil
		c.changed.Broadcast()
		c.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		err := c.SetWriteDeadline(time.Now().Add(c.idle))
		if err == nil {
			_, err = c.Conn.Write(batch)
		}
		c.mu.Lock()
		c.err, c.spare = err, batch
		c.changed.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}
