package uploadpack

import (
	"context"
	"io"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/objectset"
	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/packer"
	"github.com/annal-git/annal/gitfs/revwalk"
)

// packing is a pack to be made for a request.
type packing struct {
	*Server
	repo    *Repository
	graph   *revwalk.Graph
	request *request
	ends    []git.ObjectID // commits whose parents are not followed
	common  []git.ObjectID // what the client has
}

// begin prepares to make the pack for others than the one who asked first, who may be gone
// before it is made.
func (p packing) begin() packcache.Make {
	repo := *p.repo
	repo.Objects = p.repo.Objects.Again()
	p.repo, p.graph = &repo, revwalk.NewGraph(repo.Objects, p.config.Commits)
	return func(ctx context.Context, w io.Writer, counted func(int)) error {
		defer repo.Objects.Release()
		return p.make(ctx, w, counted)
	}
}

// make writes the pack. It is a packcache.Make.
func (p packing) make(ctx context.Context, w io.Writer, counted func(objects int)) error {
	found, err := p.count(ctx, nil)
	if err != nil {
		return err
	}
	counted(found.Send.Len())
	_, err = p.write(ctx, w, found)
	return err
}

// count finds the objects to send.
func (p packing) count(ctx context.Context, progress func(int)) (*revwalk.Objects, error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	found, err := p.find(ctx, progress)
	if err != nil {
		return nil, err
	}
	if p.request.includeTag {
		if err := p.addTags(ctx, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (p packing) find(ctx context.Context, progress func(int)) (*revwalk.Objects, error) {
	r := p.request
	if len(p.common) == 0 && len(p.ends) == 0 && (r.filter.IsZero() || r.filter.NoBlobs()) {
		all, err := p.closures.Reachable(ctx, p.graph, p.repo.Objects, p.repo.Snapshot.Storage, r.wants, progress)
		if err != nil {
			return nil, err
		}
		if r.filter.NoBlobs() {
			all.Objects.Drop(all.Blobs)
			for _, id := range r.wants { // what is asked for by name is sent whatever the filter says
				if all.Blobs.Has(id) {
					all.Objects.Add(id)
				}
			}
		}
		return &revwalk.Objects{Send: all.Objects}, nil
	}
	return p.graph.Cut(p.ends).Enumerate(ctx, p.repo.Objects, revwalk.Selection{
		Wants:    r.wants,
		Haves:    p.common,
		Filter:   r.filter,
		Sparse:   len(p.ends) > 0,
		Progress: progress,
	})
}

// addTags adds the tags of what is sent.
func (p packing) addTags(ctx context.Context, found *revwalk.Objects) error {
	for ref := range p.repo.Snapshot.Refs.Prefixed("refs/tags/") {
		if ref.Peeled.IsZero() || !found.Send.Has(ref.Peeled) || found.Known.Has(ref.ID) {
			continue
		}
		_, _, tags, err := p.graph.Peel(ctx, ref.ID)
		if err != nil {
			return err
		}
		for _, id := range tags {
			found.Send.Add(id)
		}
	}
	return nil
}

func (p packing) write(ctx context.Context, w io.Writer, found *revwalk.Objects) (packer.Stats, error) {
	request := packer.Request{Objects: found.Send, OffsetDeltas: p.request.offsets}
	if p.request.thin {
		request.Known = found.Known
		if len(p.common) > 0 && len(p.ends) == 0 && p.request.filter.IsZero() && len(p.request.shallow) == 0 {
			request.More = func() (*objectset.Set, error) { return p.had(ctx, found) }
		}
	}
	return packer.Write(ctx, w, p.repo.Objects, request)
}

// had returns all that the client has of what it wants: what that reaches and is not sent
// is reached by what the client has. Nil if that is not known without much work.
func (p packing) had(ctx context.Context, found *revwalk.Objects) (*objectset.Set, error) {
	all, ok, err := p.closures.Near(ctx, p.graph, p.repo.Objects, p.repo.Snapshot.Storage, p.request.wants, nil)
	if err != nil || !ok {
		return nil, err
	}
	all.Objects.Drop(found.Send)
	return all.Objects, nil
}
