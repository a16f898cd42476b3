package uploadpack

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
)

// acks is how a client of version 0 wants to be told what is common.
type acks int

const (
	singleAck acks = iota
	multiAck
	multiAckDetailed
)

// serveV0 answers one request of version 0 or 1.
func (c *conversation) serveV0(ctx context.Context) error {
	r, capabilities, err := c.readWants()
	if err != nil || len(r.wants) == 0 {
		return err
	}
	if err := c.checkWants(ctx, r); err != nil {
		return err
	}
	shallow, err := c.resolveShallow(ctx, r)
	if err != nil {
		return err
	}
	if r.deepens() {
		c.writeShallow(shallow)
		if err := c.lines.Flush(); err != nil {
			return err
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
	}
	n := negotiation{c: c, wants: r.wants}
	send, err := c.negotiateV0(ctx, &n, capabilities)
	if err != nil || !send {
		return err
	}
	if err := c.sendPack(ctx, r, shallow, n.common); err != nil {
		return err
	}
	if r.band == 0 {
		return nil
	}
	return c.lines.Flush()
}

// readWants reads the first part of a request, up to its flush packet.
func (c *conversation) readWants() (*request, protocol.Capabilities, error) {
	r := &request{}
	capabilities := protocol.Capabilities{}
	for first := true; ; first = false {
		p, err := c.next()
		if errors.Is(err, io.EOF) && first {
			return r, capabilities, nil
		}
		if err != nil {
			return nil, nil, midway(err)
		}
		if p.Kind == pktline.Flush {
			return r, capabilities, c.resolveDeepen(r)
		}
		if p.Kind != pktline.Data {
			return nil, nil, protocol.Refuse("protocol error: unexpected packet")
		}
		line := p.Text()
		if known, err := c.argument(r, line); err != nil {
			return nil, nil, err
		} else if known {
			continue
		}
		value, ok := strings.CutPrefix(line, "want ")
		if !ok {
			return nil, nil, protocol.Refuse("protocol error: expected to get oid, not %q", protocol.Clip(line))
		}
		value, list, _ := strings.Cut(value, " ")
		id, err := protocol.ParseID(value)
		if err != nil {
			return nil, nil, err
		}
		if len(r.wants) == 0 {
			capabilities = protocol.ParseCapabilities(list)
			if err := capabilities.CheckObjectFormat(); err != nil {
				return nil, nil, err
			}
			r.use(capabilities)
		}
		if len(r.wants) >= c.config.MaxWants {
			return nil, nil, protocol.Refuse("more than %d objects wanted in one request", c.config.MaxWants)
		}
		r.wants = append(r.wants, id)
	}
}

func (r *request) use(c protocol.Capabilities) {
	r.thin = c.Has("thin-pack")
	r.offsets = c.Has("ofs-delta")
	r.includeTag = c.Has("include-tag")
	r.quiet = c.Has("no-progress")
	r.deepen.Relative = c.Has("deepen-relative")
	switch {
	case c.Has("side-band-64k"):
		r.band = pktline.SidebandLarge
	case c.Has("side-band"):
		r.band = pktline.SidebandSmall
	}
}

// round is what a client says before it waits for an answer.
type round struct {
	haves []git.ObjectID
	done  bool // it wants the pack now
	end   bool // it has gone
}

// negotiateV0 exchanges haves and acknowledgments. It reports whether the pack is
// to be sent.
func (c *conversation) negotiateV0(ctx context.Context, n *negotiation, capabilities protocol.Capabilities) (send bool, err error) {
	mode := singleAck
	switch {
	case capabilities.Has("multi_ack_detailed"):
		mode = multiAckDetailed
	case capabilities.Has("multi_ack"):
		mode = multiAck
	}
	noDone := capabilities.Has("no-done")
	var last git.ObjectID // the newest common one
	for {
		round, err := c.readRound()
		if err != nil {
			return false, err
		}
		common, err := n.add(ctx, round.haves)
		if err != nil {
			return false, err
		}
		gotCommon, gotOther, sentReady := false, false, false
		for i, id := range round.haves {
			if common[i] {
				first := last.IsZero()
				last, gotCommon = id, true
				switch {
				case mode == multiAckDetailed:
					_ = c.lines.Printf("ACK %s common\n", id)
				case mode == multiAck:
					_ = c.lines.Printf("ACK %s continue\n", id)
				case first:
					_ = c.lines.Printf("ACK %s\n", id)
				}
				continue
			}
			gotOther = true
			if mode == singleAck {
				continue
			}
			enough, err := n.ready(ctx)
			if err != nil {
				return false, err
			}
			switch {
			case enough && mode == multiAckDetailed:
				sentReady = true
				_ = c.lines.Printf("ACK %s ready\n", id)
			case enough:
				_ = c.lines.Printf("ACK %s continue\n", id)
			}
		}
		switch {
		case round.end:
			return false, nil
		case round.done && last.IsZero():
			return true, c.lines.Printf("NAK\n")
		case round.done && mode == singleAck:
			return true, nil
		case round.done:
			return true, c.lines.Printf("ACK %s\n", last)
		}
		if mode == multiAckDetailed && gotCommon && !gotOther {
			enough, err := n.ready(ctx)
			if err != nil {
				return false, err
			}
			if enough {
				sentReady = true
				_ = c.lines.Printf("ACK %s ready\n", last)
			}
		}
		if last.IsZero() || mode != singleAck {
			_ = c.lines.Printf("NAK\n")
		}
		if noDone && sentReady {
			return true, c.lines.Printf("ACK %s\n", last)
		}
		if c.transport.Stateless {
			return false, nil
		}
		if err := c.out.Flush(); err != nil {
			return false, err
		}
	}
}

// readRound reads haves up to a flush packet or the word done.
func (c *conversation) readRound() (round, error) {
	c.read = 0
	var r round
	for {
		p, err := c.next()
		switch {
		case errors.Is(err, io.EOF) && len(r.haves) == 0:
			// A stateless client asks for the end of its history alone first.
			r.end = true
			return r, nil
		case err != nil:
			return r, midway(err)
		case p.Kind == pktline.Flush:
			return r, nil
		case p.Kind != pktline.Data:
			return r, protocol.Refuse("protocol error: unexpected packet")
		}
		line := p.Text()
		if line == "done" {
			r.done = true
			return r, nil
		}
		value, ok := strings.CutPrefix(line, "have ")
		if !ok {
			return r, protocol.Refuse("protocol error: expected SHA1 list, got %q", protocol.Clip(line))
		}
		id, err := protocol.ParseID(value)
		if err != nil {
			return r, err
		}
		if len(r.haves) >= c.config.MaxArguments {
			return r, protocol.Refuse("more than %d haves in one round", c.config.MaxArguments)
		}
		r.haves = append(r.haves, id)
	}
}
