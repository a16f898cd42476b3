package logbench

import (
	"encoding/binary"
	"io"
	"net"
)

// deafConn is a connection to PostgreSQL that loses every notification.
type deafConn struct {
	net.Conn
	rest []byte // of a message to be handed on
}

// notification is the type of the message that brings one, in PostgreSQL's protocol 3.0.
const notification = 'A'

func (d *deafConn) Read(p []byte) (int, error) {
	for len(d.rest) == 0 {
		var head [5]byte // type, and length with itself
		if _, err := io.ReadFull(d.Conn, head[:]); err != nil {
			return 0, err
		}
		message := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
		copy(message, head[:])
		if _, err := io.ReadFull(d.Conn, message[5:]); err != nil {
			return 0, err
		}
		if message[0] != notification {
			d.rest = message
		}
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}
