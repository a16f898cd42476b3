package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// batch is what one transaction appends.
type batch struct {
	requests []*request
	answers  []answer // one a request, once decided

	head     int64 // position of the last event
	recorded []domain.Recorded
	entries  []entry // beside recorded
	heads    map[domain.Stream]int64
	moved    map[domain.Stream]bool
}

// decide reads what the requests depend on and gives every event its place. It
// runs under the append lock.
func (b *batch) decide(ctx context.Context, tx pgx.Tx, options Options) error {
	at, repeats, err := b.read(ctx, tx)
	if err != nil {
		return err
	}
	if err := b.arbitrate(ctx, tx, options, repeats); err != nil {
		return err
	}
	b.answers = make([]answer, len(b.requests))
	for i, r := range b.requests {
		if repeats[r.id] > 0 {
			if b.answers[i].appended, err = repeated(ctx, tx, options.Types, r.id); err != nil {
				return err
			}
			continue
		}
		if r.claim != nil && r.claim.Err != nil {
			b.answers[i].err = r.claim.Err
			continue
		}
		stream, expect := r.proposal.Stream, r.proposal.Expect
		if actual := b.heads[stream]; expect != Any && actual != int64(expect) {
			b.answers[i].err = &VersionConflictError{Stream: stream, Expected: int64(expect), Actual: actual}
			continue
		}
		b.place(i, r, at)
	}
	return nil
}

// read asks in one flight for the head of the log, the versions of the streams
// and which ids are in the log already (and how often).
func (b *batch) read(ctx context.Context, tx pgx.Tx) (at time.Time, repeats map[uuid.UUID]int, err error) {
	streams := make([]string, len(b.requests))
	ids := make([]uuid.UUID, len(b.requests))
	for i, r := range b.requests {
		streams[i], ids[i] = string(r.proposal.Stream), r.id
	}
	b.heads, b.moved, repeats = map[domain.Stream]int64{}, map[domain.Stream]bool{}, map[uuid.UUID]int{}
	flight := &pgx.Batch{}
	// The highest position is read from the index: a counter row would slow down
	// under every old snapshot. Time never goes back along the log.
	flight.Queue(`
		select coalesce(max(last.position), 0), greatest(max(last.at), clock_timestamp())
		from (select position, at from log.events order by position desc limit 1) last`,
	).QueryRow(func(row pgx.Row) error { return row.Scan(&b.head, &at) })
	flight.Queue(`select stream, version from log.heads where stream = any($1)`, streams).Query(func(rows pgx.Rows) error {
		var stream string
		var version int64
		_, err := pgx.ForEachRow(rows, []any{&stream, &version}, func() error {
			b.heads[domain.Stream(stream)] = version
			return nil
		})
		return err
	})
	flight.Queue(`select id, count(*) from log.events where id = any($1) group by id`, ids).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		var count int
		_, err := pgx.ForEachRow(rows, []any{&id, &count}, func() error {
			repeats[id] = count
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, flight).Close(); err != nil {
		return at, nil, fmt.Errorf("read the head of the log: %w", err)
	}
	return at, repeats, nil
}

// arbitrate has the claims decided, all at once.
func (b *batch) arbitrate(ctx context.Context, tx pgx.Tx, options Options, repeats map[uuid.UUID]int) error {
	var claims []*Claim
	for _, r := range b.requests {
		if r.proposal.Claim == nil || repeats[r.id] > 0 {
			continue
		}
		r.claim = &Claim{Stream: r.proposal.Stream, Command: r.proposal.Claim}
		claims = append(claims, r.claim)
	}
	if len(claims) == 0 {
		return nil
	}
	if err := options.Arbiter.Arbitrate(ctx, tx, claims); err != nil {
		return err
	}
	for _, r := range b.requests {
		if r.claim == nil || r.claim.Err != nil {
			continue
		}
		var err error
		if r.entries, err = encode(options.Types, r.claim.Events, r.proposal.Meta); err != nil {
			return err
		}
	}
	return nil
}

// place gives the events of request i the next positions.
func (b *batch) place(i int, r *request, at time.Time) {
	stream := r.proposal.Stream
	appended := Appended{At: at}
	if r.claim != nil {
		appended.Outcome = r.claim.Outcome
	}
	for _, e := range r.entries {
		b.head++
		b.heads[stream]++
		b.moved[stream] = true
		event := domain.Recorded{
			Position: b.head, Stream: stream, Version: b.heads[stream],
			ID: r.id.String(), At: at, Event: e.event, Meta: r.proposal.Meta,
		}
		b.recorded = append(b.recorded, event)
		b.entries = append(b.entries, e)
		appended.Events = append(appended.Events, event)
		appended.Position = b.head
	}
	appended.Version = b.heads[stream]
	b.answers[i].appended = appended
}

// write sends the rows, lets the inline projections follow and wakes the readers.
func (b *batch) write(ctx context.Context, tx pgx.Tx, options Options) error {
	if len(b.recorded) == 0 {
		return nil
	}
	flight := &pgx.Batch{}
	b.queueEvents(flight)
	b.queueHeads(flight)
	b.queuePersonal(flight)
	// One notification a batch: each costs every listener and a lock at commit.
	flight.Queue(`select pg_notify('annal_log', $1::text)`, fmt.Sprint(b.head))
	if err := tx.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("append to the log: %w", err)
	}
	for _, inline := range options.Inline {
		if err := inline.Apply(ctx, tx, b.recorded); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) queueEvents(flight *pgx.Batch) {
	n := len(b.recorded)
	positions, versions, at := make([]int64, n), make([]int64, n), make([]time.Time, n)
	ids, streams, types := make([]string, n), make([]string, n), make([]string, n)
	bodies, metas := make([]string, n), make([]string, n)
	for i, e := range b.recorded {
		positions[i], versions[i], at[i] = e.Position, e.Version, e.At
		ids[i], streams[i], types[i] = e.ID, string(e.Stream), e.Event.EventType()
		bodies[i], metas[i] = string(b.entries[i].body), string(b.entries[i].meta)
	}
	flight.Queue(`
		insert into log.events (position, version, at, id, stream, type, body, meta)
		select position, version, at, id::uuid, stream, type, body::json, meta::json
		from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
			as e (position, version, at, id, stream, type, body, meta)`,
		positions, versions, at, ids, streams, types, bodies, metas)
}

func (b *batch) queueHeads(flight *pgx.Batch) {
	var streams []string
	var versions []int64
	for stream := range b.moved {
		streams, versions = append(streams, string(stream)), append(versions, b.heads[stream])
	}
	flight.Queue(`
		insert into log.heads (stream, version)
		select stream, version from unnest($1::text[], $2::bigint[]) as h (stream, version)
		on conflict (stream) do update set version = excluded.version`,
		streams, versions)
}

func (b *batch) queuePersonal(flight *pgx.Batch) {
	var positions, subjects []int64
	var parts []string
	var salts, data [][]byte
	for i, e := range b.entries {
		for _, p := range e.personal {
			positions, subjects = append(positions, b.recorded[i].Position), append(subjects, int64(p.subject))
			parts, salts, data = append(parts, p.part), append(salts, p.salt), append(data, p.data)
		}
	}
	if len(positions) == 0 {
		return
	}
	flight.Queue(`
		insert into log.personal (position, part, subject, salt, data)
		select position, part, subject, salt, data
		from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[])
			as p (position, part, subject, salt, data)`,
		positions, parts, subjects, salts, data)
}

// repeated is the answer to a proposal whose id is in the log: what was appended
// the first time.
func repeated(ctx context.Context, tx pgx.Tx, types *Registry, id uuid.UUID) (Appended, error) {
	rows, err := queryStored(ctx, tx, whole, `where e.id = $1 order by e.position`, id)
	if err != nil {
		return Appended{}, err
	}
	appended := Appended{Repeated: true}
	for _, row := range rows {
		event, err := row.Decode(types)
		if err != nil {
			return Appended{}, err
		}
		appended.Events = append(appended.Events, event)
		appended.Position, appended.Version, appended.At = event.Position, event.Version, event.At
	}
	return appended, nil
}
