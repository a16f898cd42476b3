package uploadpack

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/pktline"
)

// sendPack finds and sends what the client lacks. Without a side-band the pack
// follows bare.
func (c *conversation) sendPack(ctx context.Context, r *request, s shallowing, common []git.ObjectID) error {
	p := packing{Server: c.Server, repo: c.repo, graph: c.graph, request: r, ends: s.ends, common: common}
	keeps := r.band == pktline.SidebandLarge && c.config.Packs != nil
	var key packcache.Key
	if keeps {
		key = c.packKey(r, s, common)
	}
	// A pack that is there, or being made for somebody else, costs next to nothing.
	if c.repo.Admit != nil && !(keeps && c.config.Packs.Has(key)) {
		leave, err := c.repo.Admit(ctx)
		if err != nil {
			c.packing = !c.transport.Stateless // what was written before makes sense to a duplex stream
			if c.packing && r.band > 0 {
				err = errors.Join(err, c.out.Flush(), pktline.NewSideband(c.w, r.band).Fatal(userText(err)))
			}
			return err
		}
		defer leave()
	}
	c.packing = true
	if keeps {
		c.noteClone(r, common)
		kept := c.config.Packs.Follow(key, c.repo.Snapshot.Storage, p.begin)
		if kept != nil {
			defer kept.Close()
			err := c.sendKept(ctx, kept, p)
			if err != nil {
				_ = pktline.NewSideband(c.w, r.band).Fatal(userText(err)) // the first error is the one that matters
			}
			return err
		}
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	if r.band == 0 {
		found, err := p.count(ctx, nil)
		if err != nil {
			return err
		}
		_, err = p.write(ctx, c.out, found)
		return err
	}
	band := pktline.NewSideband(c.w, r.band)
	err := sendBanded(ctx, band, p)
	if err != nil {
		_ = band.Fatal(userText(err))
	}
	return err
}

func sendBanded(ctx context.Context, band *pktline.Sideband, p packing) error {
	progress := func(format string, args ...any) {
		if !p.request.quiet {
			// An error stays in the side-band until the data is written.
			_ = band.Progress(fmt.Sprintf(format, args...))
		}
	}
	stop := band.KeepAlive(pktline.KeepAliveInterval)
	defer stop()
	found, err := p.count(ctx, func(objects int) {
		progress("Enumerating objects: %d\r", objects)
	})
	if err != nil {
		return err
	}
	stop()
	progress("Enumerating objects: %d, done.\n", found.Send.Len())
	stats, err := p.write(ctx, band, found)
	if err != nil {
		return err
	}
	progress("Total %d (delta %d), reused %d\n", stats.Objects, stats.Deltas, stats.Reused)
	return band.Flush()
}

// sendKept sends a pack from the cache, following it while it is made.
func (c *conversation) sendKept(ctx context.Context, kept *packcache.Reader, p packing) error {
	objects := -1
	for objects < 0 {
		var err error
		if objects, err = kept.Objects(ctx, pktline.KeepAliveInterval); err != nil && !errors.Is(err, packcache.ErrNoRoom) {
			return err
		} else if err != nil {
			break // it is resumed below
		}
		if objects < 0 {
			c.keepAlive()
		}
	}
	if !p.request.quiet && objects >= 0 {
		c.progress("Enumerating objects: %d, done.\n", objects)
		c.progress("Total %d\n", objects)
	}
	if size, whole := kept.Size(); whole {
		c.announce(size + int64(len("0000")))
	}
	for {
		n, done, err := kept.Wait(ctx, pktline.KeepAliveInterval)
		switch {
		case errors.Is(err, packcache.ErrNoRoom):
			if err := c.out.Flush(); err != nil {
				return err
			}
			return kept.Resume(ctx, c.w, p.make)
		case err != nil || done:
			return err
		case n == 0:
			c.keepAlive()
			continue
		}
		to := io.Writer(c.out)
		if n > int64(c.out.Available()) {
			if err := c.out.Flush(); err != nil {
				return err
			}
			to = c.w
		}
		if err := kept.Copy(to, n); err != nil {
			return err
		}
	}
}

// progress shows text to the user, on the second band. An error stays in the buffer.
func (c *conversation) progress(format string, args ...any) {
	_ = c.lines.Printf("\x02"+format, args...)
}

// keepAlive sends an empty packet, so that nothing on the way takes the connection for
// dead.
func (c *conversation) keepAlive() {
	_ = c.lines.Printf("\x02")
	_ = c.out.Flush()
	if f, ok := c.w.(interface{ Flush() }); ok {
		f.Flush()
	}
}
