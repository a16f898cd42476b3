package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore"
)

// maxReason is how long the reason for a skip may be, in characters.
const maxReason = 500

// Operator gives orders about events that projections cannot apply. Orders are events
// themselves; the projection's runner, on whichever node it is, carries them out.
type Operator struct {
	Checkpoints *Checkpoints
	Log         *eventstore.Log
}

// Order is an order that is in the log.
type Order struct {
	Projection string
	Stream     domain.Stream // that it is about
	Position   int64         // of the order
}

// Retry orders to try again what a projection has set aside of a stream, or what has
// stopped it there. which is a stream or the position of an event of it. The error is a
// *domain.NotFoundError if there is nothing to try again.
func (o Operator) Retry(ctx context.Context, name, which string, meta domain.Metadata) (Order, error) {
	stream := domain.Stream(which)
	position, err := strconv.ParseInt(which, 10, 64)
	if err == nil {
		if stream, err = o.streamOf(ctx, position); err != nil {
			return Order{}, err
		}
	}
	first, err := o.firstOf(ctx, name, stream)
	if err != nil {
		return Order{}, err
	}
	if first == 0 {
		return Order{}, domain.NotFound("event", "The projection %q has set nothing of %s aside and has not stopped there.", name, stream)
	}
	return o.give(ctx, name, stream, cluster.ProjectionRetried{Projection: name, Stream: stream}, meta)
}

// Skip orders to leave one event out for ever: the one that has stopped the projection,
// or the first of those set aside of a stream, whose later ones are then applied. The
// error is a *domain.InvalidError without a reason, a *domain.ConflictError if it is
// another event's turn.
func (o Operator) Skip(ctx context.Context, name string, position int64, reason string, meta domain.Metadata) (Order, error) {
	if strings.TrimSpace(reason) == "" {
		return Order{}, domain.Invalid("reason", "Say why the event is left out.")
	}
	if err := domain.CheckText("reason", reason, maxReason, false); err != nil {
		return Order{}, err
	}
	stream, err := o.streamOf(ctx, position)
	if err != nil {
		return Order{}, err
	}
	first, err := o.firstOf(ctx, name, stream)
	if err != nil {
		return Order{}, err
	}
	if first != position {
		return Order{}, domain.Conflict("position", "Only an event that %q could not apply can be skipped; of %s that is event %d (0: none).", name, stream, first)
	}
	return o.give(ctx, name, stream, cluster.ProjectionSkipped{Projection: name, Position: position, Reason: reason}, meta)
}

func (o Operator) streamOf(ctx context.Context, position int64) (domain.Stream, error) {
	event, ok, err := o.Log.ReadEvent(ctx, position)
	if err == nil && !ok {
		err = domain.NotFound("event", "There is no event %d.", position)
	}
	return event.Stream, err
}

// firstOf finds the event of a stream at which a projection stands, 0 if there is none.
func (o Operator) firstOf(ctx context.Context, name string, stream domain.Stream) (position int64, err error) {
	err = o.Checkpoints.pool.QueryRow(ctx, `
		select position from projections.parked where projection = $1 and stream = $2 order by position limit 1`,
		name, string(stream)).Scan(&position)
	if err == nil || !errors.Is(err, pgx.ErrNoRows) {
		return position, err
	}
	statuses, err := o.Checkpoints.Statuses(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range statuses {
		if s.Name != name || s.Stopped == 0 {
			continue
		}
		if at, err := o.streamOf(ctx, s.Stopped); err != nil || at == stream {
			return s.Stopped, err
		}
	}
	return 0, nil
}

func (o Operator) give(ctx context.Context, name string, stream domain.Stream, order domain.Event, meta domain.Metadata) (Order, error) {
	appended, err := o.Log.Append(ctx, eventstore.Proposal{
		Stream: domain.ClusterStream, Expect: eventstore.Any, Events: []domain.Event{order}, Meta: meta,
	})
	return Order{Projection: name, Stream: stream, Position: appended.Position}, err
}

// orderPoll is how often an order is looked after.
const orderPoll = 50 * time.Millisecond

// Await waits until an order has been carried out, and returns the event at which the
// stream stands now with the reason, 0 if at none. It ends with ctx: while no node runs,
// nobody carries orders out.
func (o Operator) Await(ctx context.Context, order Order) (stands int64, reason string, err error) {
	for {
		done, err := o.done(ctx, order)
		if err != nil {
			return 0, "", fmt.Errorf("wait for the order at position %d: %w", order.Position, err)
		}
		if done {
			break
		}
		pause(ctx, orderPoll)
	}
	if stands, err = o.firstOf(ctx, order.Projection, order.Stream); err != nil || stands == 0 {
		return stands, "", err
	}
	err = o.Checkpoints.pool.QueryRow(ctx, `
		select coalesce((select error from projections.parked where projection = $1 and position = $2),
			(select max(error) from projections.runners where projection = $1), '')`, order.Projection, stands).Scan(&reason)
	return stands, reason, err
}

func (o Operator) done(ctx context.Context, order Order) (done bool, err error) {
	var shards int
	err = o.Checkpoints.pool.QueryRow(ctx, `select coalesce(max(shards), 1) from projections.runners where projection = $1`, order.Projection).Scan(&shards)
	if err != nil {
		return false, err
	}
	err = o.Checkpoints.pool.QueryRow(ctx, `
		select exists (select from projections.runners where projection = $1 and shard = $2 and acted >= $3
				and (attempts >= $4 or trying is null or exists (
					select from projections.checkpoints c where c.projection = $1 and c.shard = $2 and c.position >= trying)))
			or exists (select from projections.checkpoints where projection = $1 and shard = $2 and position >= $3)`,
		order.Projection, ShardOf(order.Stream, shards), order.Position, maxAttempts).Scan(&done)
	return done, err
}
