package uploadpack

import (
	"context"
	"fmt"
	"io"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/packer"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// sendPack finds and sends what the client lacks. Without a side-band the pack
// follows bare.
func (c *conversation) sendPack(ctx context.Context, r *request, s shallowing, common []git.ObjectID) error {
	if err := c.out.Flush(); err != nil {
		return err
	}
	c.packing = true
	if r.band == 0 {
		found, err := c.count(ctx, r, s, common, nil)
		if err != nil {
			return err
		}
		_, err = c.writePack(ctx, c.out, r, found)
		return err
	}
	band := pktline.NewSideband(c.w, r.band)
	err := c.sendBanded(ctx, band, r, s, common)
	if err != nil {
		// The first error is the one that matters.
		_ = band.Fatal(userText(err))
	}
	return err
}

func (c *conversation) sendBanded(ctx context.Context, band *pktline.Sideband, r *request, s shallowing, common []git.ObjectID) error {
	progress := func(format string, args ...any) {
		if !r.quiet {
			// An error stays in the side-band until the data is written.
			_ = band.Progress(fmt.Sprintf(format, args...))
		}
	}
	stop := band.KeepAlive(pktline.KeepAliveInterval)
	defer stop()
	found, err := c.count(ctx, r, s, common, func(objects int) {
		progress("Enumerating objects: %d\r", objects)
	})
	if err != nil {
		return err
	}
	stop()
	progress("Enumerating objects: %d, done.\n", found.Send.Len())
	stats, err := c.writePack(ctx, band, r, found)
	if err != nil {
		return err
	}
	progress("Total %d (delta %d), reused %d\n", stats.Objects, stats.Deltas, stats.Reused)
	return band.Flush()
}

// count finds the objects to send.
func (c *conversation) count(ctx context.Context, r *request, s shallowing, common []git.ObjectID, progress func(int)) (*revwalk.Objects, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	found, err := c.find(ctx, r, s, common, progress)
	if err != nil {
		return nil, err
	}
	if r.includeTag {
		if err := c.addTags(ctx, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (c *conversation) find(ctx context.Context, r *request, s shallowing, common []git.ObjectID, progress func(int)) (*revwalk.Objects, error) {
	if len(common) == 0 && len(s.ends) == 0 && r.filter.IsZero() {
		set, err := c.closures.Reachable(ctx, c.graph, c.repo.Objects, c.repo.Snapshot.Storage, r.wants, progress)
		return &revwalk.Objects{Send: set}, err
	}
	return c.graph.Cut(s.ends).Enumerate(ctx, c.repo.Objects, revwalk.Selection{
		Wants:    r.wants,
		Haves:    common,
		Filter:   r.filter,
		Sparse:   len(s.ends) > 0,
		Progress: progress,
	})
}

// addTags adds the tags of what is sent.
func (c *conversation) addTags(ctx context.Context, found *revwalk.Objects) error {
	for ref := range c.repo.Snapshot.Refs.Prefixed("refs/tags/") {
		if ref.Peeled.IsZero() || !found.Send.Has(ref.Peeled) || found.Known.Has(ref.ID) {
			continue
		}
		_, _, tags, err := c.graph.Peel(ctx, ref.ID)
		if err != nil {
			return err
		}
		for _, id := range tags {
			found.Send.Add(id)
		}
	}
	return nil
}

func (c *conversation) writePack(ctx context.Context, w io.Writer, r *request, found *revwalk.Objects) (packer.Stats, error) {
	request := packer.Request{Objects: found.Send, OffsetDeltas: r.offsets}
	if r.thin {
		request.Known = found.Known
	}
	return packer.Write(ctx, w, c.repo.Objects, request)
}
