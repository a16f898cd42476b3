package eventstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Expect is the version a stream must have for a proposal to be appended; 0 means
// that the stream must not exist yet.
type Expect int64

// Any lets a proposal in at whatever version its stream has.
const Any Expect = -1

// Proposal is what a caller wants appended, all of it or nothing: events that are
// decided already, or a command that the Arbiter decides when its turn has come.
type Proposal struct {
	Stream domain.Stream
	Expect Expect // of Events; a Claim looks at the stream itself
	Events []domain.Event
	Claim  any // command for the Arbiter; Events must be empty
	Meta   domain.Metadata
}

// Appended says where a proposal's events stand in the log. They are durable.
type Appended struct {
	ID       string // UUID shared by the events
	Position int64  // of the last event; 0 if a claim came to nothing
	Version  int64  // of the stream after it
	At       time.Time
	Events   []domain.Recorded
	Outcome  any // of a claim; nil if Found
	// Found means that the commit's acknowledgement was lost with the database and the
	// events were found in the log afterwards.
	Found bool
}

// Append proposes and waits for the answer. When it returns without an error, the
// events are on the database's disk, every Inline projection has moved, and
// readers on every node can see them.
//
// Errors: *VersionConflictError; errors of an Inline or the Arbiter as they are;
// *UnknownOutcomeError when the database was lost for so long that nobody can say;
// ErrClosed; ErrMaintenance; ErrWentBack; what Refuse was given; ctx.Err() if ctx ended before
// the proposal's turn came, in which case nothing happened.
func (l *Log) Append(ctx context.Context, p Proposal) (Appended, error) {
	if len(p.Events) == 0 && p.Claim == nil {
		return Appended{}, nil
	}
	if l.maintenance.Load() {
		return Appended{}, ErrMaintenance
	}
	select {
	case <-l.lost:
		return Appended{}, ErrWentBack
	default:
	}
	if refusal := l.refusal.Load(); refusal != nil {
		return Appended{}, refusal
	}
	r := &request{proposal: p, id: uuid.Must(uuid.NewV7()), answer: make(chan answer, 1)}
	r.proposal.Meta.Node = l.options.Node
	// Everything that can be done before the turn comes is done here, on the caller's time.
	var err error
	if p.Claim != nil {
		r.claim = &Claim{Stream: p.Stream, Command: p.Claim}
		r.prepared = prepare(r.proposal.Meta)
		if err = l.arbiter.Warm(ctx, r.claim); err == nil && len(r.claim.Events) > 0 {
			err = r.encode(l.options.Types)
		}
	} else {
		r.entries, err = encode(l.options.Types, p.Events, r.proposal.Meta)
	}
	if err != nil {
		return Appended{}, err
	}
	if l.committer.lone(ctx, r) {
		a := <-r.answer
		return a.appended, a.err
	}
	select {
	case l.committer.queue <- r:
	case <-l.committer.stopped:
		return Appended{}, ErrClosed
	case <-ctx.Done():
		return Appended{}, ctx.Err()
	}
	select {
	case a := <-r.answer:
		return a.appended, a.err
	case <-l.committer.stopped:
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return Appended{}, ctx.Err()
		}
	}
	// Its turn has come: the outcome is worth waiting for, and bounded.
	select {
	case a := <-r.answer:
		return a.appended, a.err
	case <-l.committer.stopped:
		select {
		case a := <-r.answer:
			return a.appended, a.err
		default:
			return Appended{}, ErrClosed
		}
	}
}

// request is a proposal waiting for its turn.
type request struct {
	proposal Proposal
	id       uuid.UUID
	prepared prepared    // of a claim
	entries  []entry     // of a claim once it is decided
	claim    *Claim      // nil if the events were decided by the proposer
	encoded  int         // the decision of the claim that entries are of
	taken    atomic.Bool // by the committer, or given up by its caller
	answer   chan answer // room for one
}

// encode makes the entries of a claim, unless they are there.
func (r *request) encode(types *Registry) (err error) {
	if r.encoded == r.claim.Decided && r.entries != nil && !types.stale(r.entries) {
		return nil
	}
	r.entries, err = r.prepared.encode(types, r.claim.Events)
	r.encoded = r.claim.Decided
	return err
}

type answer struct {
	appended Appended
	err      error
}

// size is what the request brings into a batch, in bytes, roughly.
func (r *request) size() int {
	size := 256
	if r.claim == nil {
		for _, e := range r.entries {
			size += len(e.body) + len(e.meta)
		}
	} else if sized, ok := r.claim.Command.(Sized); ok {
		size += sized.Bytes()
	}
	return size
}

// Sized is implemented by commands that may be large, so that a batch stays bounded.
type Sized interface {
	// Bytes is roughly the size of the events that the command may become.
	Bytes() int
}

// LockAppends holds all appends of all nodes until tx ends.
func LockAppends(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, int64(appendLock))
	return err
}
