package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
)

// releasePage is how many events that were set aside are applied at once.
const releasePage = 50

// queueParked sets events aside behind an earlier one of their stream.
func (c *Cursor) queueParked(flight *pgx.Batch, events []domain.Recorded) {
	if len(events) == 0 {
		return
	}
	positions, streams := make([]int64, len(events)), make([]string, len(events))
	for i, e := range events {
		positions[i], streams[i] = e.Position, string(e.Stream)
	}
	flight.Queue(`
		insert into projections.parked (projection, shard, position, stream, attempts, error)
		select $1, $2, position, stream, 0, 'waits behind an earlier event of its stream'
		from unnest($3::bigint[], $4::text[]) as e (position, stream)`, c.follower.Name(), c.shard, positions, streams)
}

// acts tells whether an event is an operator's decision on this projection.
func (c *Cursor) acts(e domain.Recorded) bool {
	switch decision := e.Event.(type) {
	case cluster.ProjectionRetried:
		return decision.Projection == c.follower.Name()
	case cluster.ProjectionSkipped:
		return decision.Projection == c.follower.Name()
	}
	return false
}

// act carries an operator's decision out, where it stands in the log: everything before
// it has been applied or set aside.
func (c *Cursor) act(ctx context.Context, e domain.Recorded) error {
	if c.trying == e.Position && c.attempts >= maxAttempts {
		return c.advance(ctx, []domain.Recorded{e}) // it killed whoever tried: everything stays as it is
	}
	if err := c.countAttempt(ctx, e.Position); err != nil {
		return err
	}
	var freed domain.Stream
	err := pgx.BeginFunc(ctx, c.conn, func(tx pgx.Tx) (err error) {
		freed, err = c.carryOut(ctx, tx, e)
		return err
	})
	if err != nil {
		if blameless(err) || ctx.Err() != nil {
			c.uncount(ctx)
		}
		return translate(err)
	}
	c.position = e.Position
	delete(c.held, freed)
	return nil
}

// carryOut returns the stream that has nothing set aside any more, if there is one.
func (c *Cursor) carryOut(ctx context.Context, tx pgx.Tx, e domain.Recorded) (freed domain.Stream, err error) {
	flight := &pgx.Batch{}
	c.queueMove(flight, e.Position)
	if err := tx.SendBatch(ctx, flight).Close(); err != nil {
		return "", err
	}
	stream, err := c.concerned(ctx, tx, e)
	if err != nil {
		return "", err
	}
	if c.held[stream] {
		done, err := c.release(ctx, tx, stream)
		if err != nil {
			return "", err
		}
		if done {
			freed = stream
		}
	}
	// The decision is an event like others, too.
	flight = &pgx.Batch{}
	switch {
	case !c.mine(e.Stream):
	case c.held[e.Stream] && e.Stream != freed:
		c.queueParked(flight, []domain.Recorded{e})
	default:
		err = c.queue(flight, []domain.Recorded{e})
	}
	if err != nil || flight.Len() == 0 {
		return freed, err
	}
	return freed, tx.SendBatch(ctx, flight).Close()
}

// concerned finds the stream that a decision is about, and drops the event that it
// skips. Only the first event of a stream can be skipped: the others wait for it.
func (c *Cursor) concerned(ctx context.Context, tx pgx.Tx, e domain.Recorded) (stream domain.Stream, err error) {
	switch decision := e.Event.(type) {
	case cluster.ProjectionRetried:
		return decision.Stream, nil
	case cluster.ProjectionSkipped:
		err = tx.QueryRow(ctx, `
			delete from projections.parked p
			where projection = $1 and shard = $2 and position = $3 and not exists (
				select from projections.parked before
				where before.projection = $1 and before.shard = $2 and before.stream = p.stream and before.position < p.position)
			returning stream`, c.follower.Name(), c.shard, decision.Position).Scan(&stream)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return stream, err
}

// release applies what a stream has set aside, in order, up to the first event that
// fails. done says that none did.
func (c *Cursor) release(ctx context.Context, tx pgx.Tx, stream domain.Stream) (done bool, err error) {
	for {
		events, err := c.parked(ctx, tx, stream)
		if err != nil || len(events) == 0 {
			return err == nil, err
		}
		err = c.applyParked(ctx, tx, events)
		if err == nil {
			continue
		}
		for _, e := range events {
			err := c.applyParked(ctx, tx, []domain.Recorded{e})
			if err == nil {
				continue
			}
			if blameless(err) {
				return false, err
			}
			_, err = tx.Exec(ctx, `
				update projections.parked set attempts = attempts + 1, error = $4
				where projection = $1 and shard = $2 and position = $3`, c.follower.Name(), c.shard, e.Position, clip(err.Error()))
			return false, err
		}
	}
}

// parked reads the first events that a stream has set aside.
func (c *Cursor) parked(ctx context.Context, tx pgx.Tx, stream domain.Stream) ([]domain.Recorded, error) {
	rows, err := tx.Query(ctx, `
		select position from projections.parked where projection = $1 and shard = $2 and stream = $3 order by position limit $4`,
		c.follower.Name(), c.shard, string(stream), releasePage)
	if err != nil {
		return nil, err
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(positions) == 0 {
		return nil, err
	}
	first, err := c.log.ReadAll(ctx, positions[0]-1, 1)
	if err != nil {
		return nil, err
	}
	if len(first) == 0 {
		return nil, fmt.Errorf("the log does not have event %d, which %s has set aside", positions[0], c.follower.Name())
	}
	// All later events of the stream are set aside behind its first.
	events, err := c.log.ReadStream(ctx, stream, first[0].Version-1, len(positions))
	if err != nil {
		return nil, err
	}
	for i, e := range events {
		if i >= len(positions) || e.Position != positions[i] {
			return nil, fmt.Errorf("what %s has set aside of %s does not agree with the log at event %d", c.follower.Name(), stream, e.Position)
		}
	}
	return events, nil
}

// applyParked applies events that were set aside and forgets that they were, all of them
// or none.
func (c *Cursor) applyParked(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	flight := &pgx.Batch{}
	positions := make([]int64, len(events))
	for i, e := range events {
		positions[i] = e.Position
		if unknown, ok := e.Event.(domain.Unknown); ok && c.follower.Needs(unknown.Type) {
			return &UnknownTypeError{Type: unknown.Type}
		}
	}
	flight.Queue(`delete from projections.parked where projection = $1 and shard = $2 and position = any($3)`,
		c.follower.Name(), c.shard, positions)
	if err := c.queue(flight, events); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error { return savepoint.SendBatch(ctx, flight).Close() })
}

// obey looks for an operator's decision on the event that has stopped the projection.
// Such a decision stands behind the event, where the projection does not come to.
func (c *Cursor) obey(ctx context.Context, e domain.Recorded, failure error) error {
	decision, err := c.decision(ctx, e)
	if err != nil {
		return err
	}
	switch decision.Event.(type) {
	case cluster.ProjectionRetried:
		if err := c.update(ctx, `attempts = 0, acted = $4`, decision.Position); err != nil {
			return err
		}
		c.attempts, c.acted = 0, decision.Position
		return c.alone(ctx, e)
	case cluster.ProjectionSkipped:
		flight := &pgx.Batch{}
		c.queueMove(flight, e.Position)
		flight.Queue(`update projections.runners set acted = $4 where projection = $1 and shard = $2 and term = $3`,
			c.follower.Name(), c.shard, c.term, decision.Position)
		if err := c.conn.SendBatch(ctx, flight).Close(); err != nil {
			return translate(err)
		}
		c.position, c.acted = e.Position, decision.Position
		c.recovered(ctx)
		return nil
	}
	return c.stop(ctx, e.Position, failure)
}

// decision finds the first decision on an event that has not been carried out.
func (c *Cursor) decision(ctx context.Context, e domain.Recorded) (domain.Recorded, error) {
	for {
		events, err := c.log.ReadStream(ctx, domain.ClusterStream, c.clusterVersion, pageSize)
		if err != nil {
			return domain.Recorded{}, err
		}
		for _, d := range events {
			c.clusterVersion = d.Version
			if c.acts(d) {
				c.decisions = append(c.decisions, d)
			}
		}
		if len(events) < pageSize {
			break
		}
	}
	for _, d := range c.decisions {
		if d.Position <= max(e.Position, c.acted) {
			continue
		}
		switch decision := d.Event.(type) {
		case cluster.ProjectionRetried:
			if decision.Stream == e.Stream {
				return d, nil
			}
		case cluster.ProjectionSkipped:
			if decision.Position == e.Position {
				return d, nil
			}
		}
	}
	return domain.Recorded{}, nil
}
