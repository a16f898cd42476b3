package projections

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Projection is a read model in Postgres tables: an Inline one or a Follower.
type Projection interface {
	// Name is also the Postgres schema of its tables.
	Name() string
	// Tables lists them, referenced ones first.
	Tables() []string
	// Needs is asked about event types that this version does not know, written by a
	// newer one: whether the tables may be wrong without such an event. The projection
	// stops there; others pass over it.
	Needs(eventType string) bool
}

// Inline is a projection that moves in the transaction that appends the events: an
// eventstore.Inline.
type Inline interface {
	Projection
	// Apply moves the tables by events in log order, and passes over types it does
	// not know. It writes table names without a schema, so that a rebuild can
	// put other tables in front, and reads nothing but its own tables and the
	// events.
	Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error
}

// Follower is a projection that follows the log on a runner of its own.
type Follower interface {
	Projection
	// Queue adds the statements to a flight that move the tables by events in log
	// order: few of them, whatever the number of events, because that decides how
	// fast it catches up. Types it does not know it passes over. What is said of
	// Inline.Apply about tables holds here, too.
	Queue(flight *pgx.Batch, events []domain.Recorded) error
	// Policy says how it is run. It is constant.
	Policy() Policy
}

// Policy is how a Follower is run.
type Policy struct {
	// Shards is into how many parts the streams are divided, each with a runner of its
	// own that may be on another node; 0 is 1. Events keep their order within a stream
	// only. Another number takes a rebuild.
	Shards int
	// Critical projections stop at an event they cannot apply, until an operator has it
	// tried again or skipped. Others set its stream aside and go on.
	Critical bool
	// Effects tells which event types have effects outside of the database, nil for none.
	// Such an event is handed over alone and counted before, and the checkpoint moves
	// when it has been dealt with: an effect is repeated if the process dies between.
	Effects func(eventType string) bool
	// FromHead lets a new one begin at the end of the log instead of at its start.
	FromHead bool
}

// shards is the number of shards, 1 for Inline projections.
func shards(p Projection) int {
	if f, ok := p.(Follower); ok {
		return max(f.Policy().Shards, 1)
	}
	return 1
}

// ShardOf is the shard that a stream belongs to, of so many.
func ShardOf(stream domain.Stream, shards int) int {
	if shards < 2 {
		return 0
	}
	hash := uint64(14695981039346656037) // FNV-1a: it must never change
	for i := range len(stream) {
		hash = (hash ^ uint64(stream[i])) * 1099511628211
	}
	return int(hash % uint64(shards))
}

// apply moves a projection's tables in a transaction.
func apply(ctx context.Context, tx pgx.Tx, p Projection, events []domain.Recorded) error {
	if len(events) == 0 {
		return nil
	}
	switch p := p.(type) {
	case Inline:
		return p.Apply(ctx, tx, events)
	case Follower:
		flight := &pgx.Batch{}
		if err := p.Queue(flight, events); err != nil || flight.Len() == 0 {
			return err
		}
		return tx.SendBatch(ctx, flight).Close()
	}
	return nil
}
