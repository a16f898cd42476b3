package receivepack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/admission"
	"github.com/annal-git/annal/gitfs/faultpoint"
	"github.com/annal-git/annal/gitfs/inspect"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

// push is one call of Serve.
type push struct {
	server    *Server
	repo      *Repository
	transport Transport
	out       io.Writer
	band      *pktline.Sideband // nil if the client does not take one

	capabilities protocol.Capabilities
	atomic       bool
	reports      bool
	commands     []command
	options      []string

	demanded *rules.Effective // nil for nothing
	pusher   rules.Pusher
	refusals []rules.Refusal

	keepAlive keepAlive

	reader store.Reader // what the repository has, with the push in quarantine
	graph  *revwalk.Graph
}

// Serve takes one push. Over a duplex stream, Advertise comes first. The client has
// been told of the error that is returned, if it could be; a *protocol.Refusal or
// *pktline.FormatError is the client's fault.
func (s *Server) Serve(ctx context.Context, r io.Reader, w io.Writer, repo *Repository, t Transport) error {
	p := &push{
		server: s, repo: repo, transport: t, out: w,
		capabilities: protocol.Capabilities{}, reader: repo.Objects,
	}
	in := pktline.NewReader(r)
	if err := p.readRequest(in); err != nil {
		p.drain(in.Rest())
		return errors.Join(err, p.fail(requestText(err)))
	}
	if len(p.commands) == 0 {
		return nil
	}
	if err := p.askRules(ctx); err != nil {
		p.drain(in.Rest())
		return errors.Join(err, p.fail(commitText(err)))
	}
	defer p.tellRefusals(ctx)
	p.judgeNames(ctx)
	if repo.Admit != nil && p.sendsPack() {
		leave, err := repo.Admit(ctx)
		if err != nil {
			return errors.Join(err, p.fail(requestText(err)))
		}
		defer leave()
	}
	unpack, err := p.take(ctx, in.Rest())
	for _, c := range p.commands {
		if c.reason == "" && c.missing {
			p.warn(fmt.Sprintf("warning: deleting the non-existent ref %s", c.Name))
		}
	}
	return errors.Join(err, p.report(unpack))
}

func (p *push) use(c protocol.Capabilities) {
	p.capabilities = c
	p.atomic = c.Has("atomic")
	p.reports = c.Has("report-status") || c.Has("report-status-v2")
	if c.Has("side-band-64k") {
		p.band = pktline.NewSideband(p.out, pktline.SidebandLarge)
	}
}

// take reads the pack and commits what is left of the push. It returns what the
// report says of the pack; the error is for the log alone.
func (p *push) take(ctx context.Context, pack io.Reader) (unpack string, err error) {
	var quarantine *store.Quarantine
	var inspector *inspect.Inspector
	base, err := p.visible(ctx)
	if err != nil {
		p.drain(pack)
		p.refuseAll("internal error")
		return "ok", err
	}
	p.reader = base
	if p.sendsPack() {
		if len(p.pending()) == 0 {
			p.drain(pack)
			return "ok", nil
		}
		defer p.keepAlive.end()
		options := store.ReceiveOptions{ToEnd: p.transport.Stateless, Progress: p.progress}
		if inspector, err = p.inspector(ctx); err != nil {
			p.drain(pack)
			p.refuseAll("internal error")
			return "ok", err
		}
		if inspector != nil {
			options.Inspector = inspector
		}
		quarantine, err = p.server.config.Store.Receive(ctx, p.repo.Snapshot.Storage, base, pack, options)
		if err != nil {
			p.drain(pack)
			p.refuseAll(reasonUnpacker)
			return unpackText(err), err
		}
		defer func() { err = errors.Join(err, quarantine.Discard()) }()
		p.reader = quarantine.View()
		if p.band != nil {
			p.keepAlive.begin(p.band)
		}
	}
	p.graph = revwalk.NewGraph(p.reader, p.server.config.Commits)
	if err := p.judgeObjects(ctx); err != nil {
		p.refuseAll("internal error")
		return "ok", err
	}
	if inspector != nil && quarantine.Pack().Objects > 0 {
		if err := p.judgeContent(ctx, inspector, quarantine, base); err != nil {
			p.refuseAll("internal error")
			return "ok", err
		}
	}
	if len(p.pending()) == 0 {
		return "ok", nil
	}
	if err := p.commit(ctx, quarantine); err != nil {
		p.refuseAll(commitText(err))
		return "ok", err
	}
	return "ok", nil
}

// sendsPack reports whether a pack follows the commands: unless all are deletes.
func (p *push) sendsPack() bool {
	for _, c := range p.commands {
		if !c.IsDelete() {
			return true
		}
	}
	return false
}

// commit publishes the pack and has the refs moved.
func (p *push) commit(ctx context.Context, quarantine *store.Quarantine) error {
	var moves []*command
	creates := false
	for _, c := range p.pending() {
		if !c.missing {
			moves = append(moves, c)
		}
		creates = creates || !c.IsDelete()
	}
	if len(moves) == 0 {
		return nil
	}
	request := repository.PushRefs{Updates: updates(moves), Atomic: p.atomic, Options: p.options, Base: p.repo.Snapshot.Version, By: p.pusher, Inspected: p.demanded.Content().Mark}
	if !creates || quarantine.Pack().Objects == 0 {
		quarantine = nil
	}
	results, err := p.publishAndCommit(ctx, quarantine, request)
	if err != nil {
		return err
	}
	faultpoint.Reach(PushCommitted)
	if len(results) != len(moves) {
		return fmt.Errorf("commit push: %d results for %d updates", len(results), len(moves))
	}
	for i, c := range moves {
		p.settle(c, results[i])
	}
	p.settleAtomic()
	return nil
}

// publishAndCommit makes the pack durable, if there is one, and has the refs moved. When
// maintenance has removed packs since the push began, which comes about once a day, one of
// the same name that was found on the shared home may have been among them: then the pack
// is published again, which changes nothing if it is there.
func (p *push) publishAndCommit(ctx context.Context, quarantine *store.Quarantine, request repository.PushRefs) ([]git.RefResult, error) {
	for range maxRemovals {
		if quarantine != nil {
			if err := quarantine.Publish(ctx); err != nil {
				return nil, fmt.Errorf("publish pack: %w", err)
			}
			pack := quarantine.Pack()
			request.Pack = &pack
		}
		faultpoint.Reach(PushPublished)
		results, err := p.repo.Commit(ctx, request)
		var removed *repository.PacksRemovedError
		if errors.As(err, &removed) {
			request.Base = removed.Version
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("commit push: %w", err)
		}
		return results, nil
	}
	return nil, fmt.Errorf("commit push: packs were removed %d times meanwhile", maxRemovals)
}

// maxRemovals bounds how often a push is committed again because packs were removed.
const maxRemovals = 10

// progress shows how far the server is with a pack. Nothing is said while the pack
// is still coming: over HTTP the beginning of an answer would end the request.
func (p *push) progress(phase string, done, total int64) {
	if p.band == nil || phase == "receiving" {
		return
	}
	p.keepAlive.begin(p.band)
	if p.capabilities.Has("quiet") || total == 0 {
		return
	}
	end := "\r"
	if done == total {
		end = ", done.\n"
	}
	// An error stays in the side-band until the report is written.
	_ = p.band.Progress(fmt.Sprintf("Resolving deltas: %3d%% (%d/%d)%s", 100*done/total, done, total, end))
}

// keepAlive is the keep-alive of a side-band, once it has begun.
type keepAlive struct{ stop func() }

func (k *keepAlive) begin(band *pktline.Sideband) {
	if k.stop == nil {
		k.stop = band.KeepAlive(pktline.KeepAliveInterval)
	}
}

func (k *keepAlive) end() {
	if k.stop != nil {
		k.stop()
	}
}

// drain reads what a refused client still sends, so that it listens to why. On a
// duplex stream nobody knows where it ends, and clients listen anyway.
func (p *push) drain(r io.Reader) {
	if p.transport.Stateless {
		// If the client breaks off there is nobody to tell.
		_, _ = io.CopyN(io.Discard, r, p.server.config.MaxDrain)
	}
}

// requestText is what the user is told of a request that was not understood.
func requestText(err error) string {
	var refusal *protocol.Refusal
	var format *pktline.FormatError
	var busy *admission.BusyError
	switch {
	case errors.As(err, &refusal):
		return refusal.Error()
	case errors.As(err, &format):
		return format.Error()
	case errors.As(err, &busy):
		return busy.Error()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "protocol error: the request is cut off"
	}
	return "internal error"
}

// unpackText is what the user is told of a pack that was refused.
func unpackText(err error) string {
	var corrupt *store.CorruptPackError
	var missing *store.MissingError
	var limit *store.LimitError
	var unavailable *store.UnavailableError
	var check *object.CheckError
	switch {
	case errors.As(err, &check):
		return check.Error()
	case errors.Is(err, object.ErrCollision):
		return object.ErrCollision.Error()
	case errors.As(err, &corrupt):
		return corrupt.Error()
	case errors.As(err, &missing):
		return missing.Error()
	case errors.As(err, &limit):
		return limit.Error()
	case errors.As(err, &unavailable):
		return "objects of the repository cannot be read at the moment, try again later"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the pack is cut off"
	case fullDisk(err):
		return reasonFull
	}
	return "internal error"
}

// fullDisk reports whether there is no room for a push, in the quarantine or on the
// shared home.
func fullDisk(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// commitText is what the user is told of a push that could not be committed.
func commitText(err error) string {
	var notFound *domain.NotFoundError
	var conflict *domain.ConflictError
	var invalid *domain.InvalidError
	var unavailable *domain.UnavailableError
	var unstored *store.PublishError
	switch {
	case errors.As(err, &unavailable):
		return unavailable.Message
	case errors.As(err, &notFound):
		return notFound.Message
	case errors.As(err, &conflict):
		return conflict.Message
	case errors.As(err, &invalid):
		return invalid.Message
	case fullDisk(err):
		return reasonFull
	case errors.As(err, &unstored):
		return unstored.Text()
	case eventstore.Outage(err):
		return "the database does not answer at the moment, try again in a few seconds"
	}
	return "internal error"
}
