package uploadpack

import (
	"context"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
)

// fetch answers the command fetch of version 2.
func (c *conversation) fetch(ctx context.Context, args *arguments) error {
	r, err := c.readFetch(args)
	if err != nil {
		return err
	}
	if len(r.wants) == 0 && !r.waitForDone {
		return nil
	}
	if err := c.checkWants(ctx, r); err != nil {
		return err
	}
	n := negotiation{c: c, wants: r.wants}
	if len(r.haves) > 0 {
		if _, err := n.add(ctx, r.haves); err != nil {
			return err
		}
		if !r.done {
			ready, err := c.acknowledge(ctx, &n, r.waitForDone)
			if err != nil || !ready {
				return err
			}
		}
	}
	shallow, err := c.resolveShallow(ctx, r)
	if err != nil {
		return err
	}
	if r.deepens() || len(r.shallow) > 0 {
		_ = c.lines.Printf("shallow-info\n")
		c.writeShallow(shallow)
		_ = c.lines.Delim()
	}
	if len(r.wantRefs) > 0 {
		_ = c.lines.Printf("wanted-refs\n")
		for _, ref := range r.wantRefs {
			_ = c.lines.Printf("%s %s\n", ref.ID, ref.Name)
		}
		_ = c.lines.Delim()
	}
	_ = c.lines.Printf("packfile\n")
	if err := c.sendPack(ctx, r, shallow, n.common); err != nil {
		return err
	}
	return c.lines.Flush()
}

// acknowledge writes the acknowledgments section. It reports whether the pack
// follows.
func (c *conversation) acknowledge(ctx context.Context, n *negotiation, waitForDone bool) (ready bool, err error) {
	_ = c.lines.Printf("acknowledgments\n")
	if len(n.common) == 0 {
		_ = c.lines.Printf("NAK\n")
	}
	for _, id := range n.common {
		_ = c.lines.Printf("ACK %s\n", id)
	}
	if !waitForDone {
		if ready, err = n.ready(ctx); err != nil {
			return false, err
		}
	}
	if !ready {
		return false, c.lines.Flush()
	}
	_ = c.lines.Printf("ready\n")
	return true, c.lines.Delim()
}

// readFetch reads the arguments of fetch.
func (c *conversation) readFetch(args *arguments) (*request, error) {
	r := &request{band: pktline.SidebandLarge}
	for {
		line, ok, err := args.line()
		if err != nil {
			return nil, err
		}
		if !ok {
			return r, c.resolveDeepen(r)
		}
		if known, err := c.argument(r, line); err != nil {
			return nil, err
		} else if known {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "want":
			id, err := protocol.ParseID(value)
			if err != nil {
				return nil, err
			}
			if len(r.wants) >= c.config.MaxWants {
				return nil, protocol.Refuse("more than %d objects wanted in one request", c.config.MaxWants)
			}
			r.wants = append(r.wants, id)
		case "want-ref":
			ref, ok := c.wantRef(value)
			if !ok || len(r.wantRefs) >= c.config.MaxWants {
				return nil, protocol.Refuse("unknown ref %s", protocol.Clip(value))
			}
			r.wantRefs = append(r.wantRefs, ref)
			r.wants = append(r.wants, ref.ID)
		case "have":
			id, err := protocol.ParseID(value)
			if err != nil {
				return nil, err
			}
			r.haves = append(r.haves, id)
		case "done":
			r.done = true
		case "wait-for-done":
			r.waitForDone = true
		case "thin-pack":
			r.thin = true
		case "ofs-delta":
			r.offsets = true
		case "no-progress":
			r.quiet = true
		case "include-tag":
			r.includeTag = true
		case "deepen-relative":
			r.deepen.Relative = true
		default:
			return nil, protocol.Refuse("unexpected line: %q", protocol.Clip(line))
		}
	}
}

// wantRef finds a ref by its full name, which may be HEAD.
func (c *conversation) wantRef(name string) (git.Ref, bool) {
	if name != "HEAD" {
		return c.repo.Snapshot.Refs.Get(name)
	}
	head, born := c.head()
	head.Name = name
	return head, born
}
