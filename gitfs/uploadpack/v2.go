package uploadpack

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
)

// maxCapabilities bounds the lines before the arguments of a command.
const maxCapabilities = 128

// serveV2 answers commands until the client ends, or one if each comes with a request of its
// own.
func (c *conversation) serveV2(ctx context.Context) error {
	for {
		command, moment, args, err := c.readCommand()
		if err != nil || command == "" {
			return err
		}
		on, err := c.at(ctx, moment)
		if err != nil {
			return err
		}
		switch command {
		case "ls-refs":
			err = on.lsRefs(args)
		case "fetch":
			err = on.fetch(ctx, args)
		case "object-info":
			err = on.objectInfo(ctx, args)
		default:
			err = protocol.Refuse("invalid command %q", protocol.Clip(command))
		}
		c.packing = on.packing
		if err != nil {
			return err
		}
		if err := c.out.Flush(); err != nil || c.transport.Stateless {
			return err
		}
	}
}

// readCommand reads a request up to its arguments. No command means that the
// client is done. moment is what it said in the server option "at", "" if nothing.
func (c *conversation) readCommand() (command, moment string, args *arguments, err error) {
	c.read = 0
	capabilities := protocol.Capabilities{}
	for n := 0; ; n++ {
		p, err := c.next()
		if errors.Is(err, io.EOF) && n == 0 {
			return "", "", nil, nil
		}
		if err != nil {
			return "", "", nil, midway(err)
		}
		args = &arguments{next: c.next, left: c.config.MaxArguments + c.config.MaxWants, done: p.Kind == pktline.Flush}
		switch {
		case p.Kind == pktline.Flush && n == 0:
			return "", "", nil, nil
		case p.Kind == pktline.Flush, p.Kind == pktline.Delim:
			if command == "" {
				return "", "", nil, protocol.Refuse("protocol error: no command requested")
			}
			return command, moment, args, capabilities.CheckObjectFormat()
		case p.Kind != pktline.Data:
			return "", "", nil, protocol.Refuse("protocol error: unexpected packet")
		case n >= maxCapabilities:
			return "", "", nil, protocol.Refuse("protocol error: more than %d capabilities", maxCapabilities)
		}
		line := p.Text()
		if name, ok := strings.CutPrefix(line, "command="); ok {
			if command != "" {
				return "", "", nil, protocol.Refuse("protocol error: command %q requested after %q", protocol.Clip(name), protocol.Clip(command))
			}
			command = name
			continue
		}
		switch key, _, _ := strings.Cut(line, "="); key {
		case "server-option":
			value, ok := strings.CutPrefix(line, "server-option=at=")
			if !ok {
				continue
			}
			if moment != "" || value == "" {
				return "", "", nil, protocol.Refuse("the server option \"at\" must name one moment")
			}
			moment = value
		case "agent", "object-format", "session-id":
			capabilities.Add(line)
		default:
			return "", "", nil, protocol.Refuse("unknown capability %q", protocol.Clip(line))
		}
	}
}

// midway turns the end of the input within a request into an error that says so.
func midway(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// arguments are the lines behind the delimiter of a request.
type arguments struct {
	next func() (pktline.Packet, error)
	left int  // lines that may still come
	done bool // the flush packet has been read
}

// line returns the next line. ok is false behind the last one.
func (a *arguments) line() (line string, ok bool, err error) {
	if a.done {
		return "", false, nil
	}
	p, err := a.next()
	switch {
	case err != nil:
		return "", false, midway(err)
	case p.Kind == pktline.Flush:
		a.done = true
		return "", false, nil
	case p.Kind != pktline.Data:
		return "", false, protocol.Refuse("protocol error: unexpected packet")
	case a.left == 0:
		return "", false, protocol.Refuse("too many lines in one request")
	}
	a.left--
	return p.Text(), true, nil
}
