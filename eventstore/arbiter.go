package eventstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Arbiter decides claims: proposals whose events depend on the state of their stream at
// the moment they are appended. It keeps that state in memory, and the append refuses
// what was decided on a state that is not the newest; then it is decided again after
// Refresh, under the append lock.
type Arbiter interface {
	// Warm brings the state of a claim's stream into memory and may decide the claim
	// already: it is called by the proposer, whose time is cheaper than that of the
	// committer, without any lock. An error refuses the claim.
	Warm(ctx context.Context, claim *Claim) error
	// Refresh reads, under the append lock, what the log holds of the claims' streams
	// and memory does not.
	Refresh(ctx context.Context, tx pgx.Tx, claims []*Claim) error
	// Decide decides the claims of one batch in order from memory, each seeing what the
	// ones before it changed; a claim that was decided on the same state stays as it
	// is. It fills in Version, Known and Ruled, and Events, Outcome, Refused or Err.
	Decide(claims []*Claim) error
	// Committed tells that the claims' Recorded are in the log.
	Committed(claims []*Claim)
}

// Claim is a command and, once decided, what came of it.
type Claim struct {
	Stream  domain.Stream
	Command any

	Decided int            // how many times
	Version int64          // of the stream before Events
	Known   int64          // position up to which the decision has seen the stream
	Ruled   int64          // position up to which it has seen the rules of projects
	Events  []domain.Event // to append; none if nothing happened
	Outcome any            // handed to the proposer
	Refused bool           // the state of the stream spoke against it, or against a part
	Err     error          // refuses the whole claim
	State   any            // the arbiter's own

	Recorded []domain.Recorded // Events as the log has them, once committed
}

// Undecided takes back what was decided, to decide it again.
func (c *Claim) Undecided() {
	c.Version, c.Known, c.Ruled, c.Events, c.Outcome, c.Refused, c.Err = 0, 0, 0, nil, nil, false, nil
	c.Decided++
}

// Arbitrate makes a the arbiter of this log. It is called once, before any claim.
func (l *Log) Arbitrate(a Arbiter) { l.arbiter = a }
