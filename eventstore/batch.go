package eventstore

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/annal-git/annal/domain"
)

// batch is what one transaction appends.
type batch struct {
	requests []*request
	answers  []answer // one a request, once decided

	versions map[domain.Stream]int64 // read under the lock; of the streams of events that are decided already
	found    map[uuid.UUID]Appended  // read under the lock: in the log already

	entries  []entry // in the order of their positions
	recorded []domain.Recorded
	owners   []int // the request that each entry is of
	known    int64 // up to where the decisions have seen their streams
	ruled    int64 // up to where they have seen the rules of projects

	base int64 // position before the first entry
}

// hasFixed reports whether a request brings events that were decided by their proposer:
// the version of their stream is read under the lock.
func (b *batch) hasFixed() bool {
	for _, r := range b.requests {
		if r.claim == nil {
			return true
		}
	}
	return false
}

// read asks, under the append lock, for the versions of the streams of decided events,
// which ids are in the log behind position since (if it is not negative), and has the
// arbiter read what it has not seen of the streams of the claims.
func (b *batch) read(ctx context.Context, tx pgx.Tx, l *Log, since int64) error {
	b.versions, b.found = map[domain.Stream]int64{}, map[uuid.UUID]Appended{}
	if since >= 0 {
		if err := b.readFound(ctx, tx, l.options.Types, since); err != nil {
			return err
		}
	}
	var streams []string
	var claims []*Claim
	for _, r := range b.requests {
		if _, found := b.found[r.id]; found {
			continue
		}
		if r.claim != nil {
			claims = append(claims, r.claim)
		} else {
			streams = append(streams, string(r.proposal.Stream))
		}
	}
	if len(streams) > 0 {
		if err := b.readVersions(ctx, tx, streams); err != nil {
			return err
		}
	}
	if len(claims) > 0 {
		if err := l.arbiter.Refresh(ctx, tx, claims); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) readVersions(ctx context.Context, tx pgx.Tx, streams []string) error {
	rows, err := tx.Query(ctx, `
		select s.stream, e.version
		from unnest($1::text[]) as s (stream)
		cross join lateral (
			select version from log.events e where e.stream = s.stream collate "C" order by version desc limit 1) e`, streams)
	if err != nil {
		return fmt.Errorf("read the versions of streams: %w", err)
	}
	var stream string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&stream, &version}, func() error {
		b.versions[domain.Stream(stream)] = version
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the versions of streams: %w", err)
	}
	return nil
}

func (b *batch) readFound(ctx context.Context, tx pgx.Tx, types *Registry, since int64) error {
	ids := make([]uuid.UUID, len(b.requests))
	for i, r := range b.requests {
		ids[i] = r.id
	}
	rows, err := queryStored(ctx, tx, whole, `where e.position > $1 and e.id = any($2) order by e.position`, since, ids)
	if err != nil {
		return err
	}
	for _, row := range rows {
		event, err := row.Decode(types)
		if err != nil {
			return err
		}
		id, err := uuid.Parse(event.ID)
		if err != nil {
			return err
		}
		a := b.found[id]
		a.ID, a.Found, a.Events = event.ID, true, append(a.Events, event)
		a.Position, a.Version, a.At = event.Position, event.Version, event.At
		b.found[id] = a
	}
	return nil
}

// decide gives every event its version and its place in the batch. Unless what the log
// holds has been read under the lock, it is errDoubtful to refuse anything: memory may be
// behind, and nothing would be appended that finds out.
func (b *batch) decide(l *Log, reread bool) error {
	b.answers = make([]answer, len(b.requests))
	b.entries, b.recorded, b.owners, b.known, b.ruled = nil, nil, nil, math.MaxInt64, math.MaxInt64
	var claims []*Claim
	for _, r := range b.requests {
		if _, found := b.found[r.id]; r.claim != nil && !found {
			claims = append(claims, r.claim)
		}
	}
	if len(claims) > 0 {
		if err := l.arbiter.Decide(claims); err != nil {
			return err
		}
	}
	for _, claim := range claims {
		if !reread && (claim.Refused || claim.Err != nil) {
			return errDoubtful
		}
	}
	for i, r := range b.requests {
		if a, found := b.found[r.id]; found {
			b.answers[i].appended = a
			continue
		}
		if err := b.place(i, r, l.options.Types); err != nil {
			return err
		}
	}
	return nil
}

// place appends the entries of request i.
func (b *batch) place(i int, r *request, types *Registry) (err error) {
	stream := r.proposal.Stream
	var version int64
	if r.claim != nil {
		if r.claim.Err != nil {
			b.answers[i].err = r.claim.Err
			return nil
		}
		b.answers[i].appended.Outcome = r.claim.Outcome
		if len(r.claim.Events) == 0 {
			return nil
		}
		if err := r.encode(types); err != nil {
			return err
		}
		version = r.claim.Version
		b.known, b.ruled = min(b.known, r.claim.Known), min(b.ruled, r.claim.Ruled)
	} else {
		version = b.versions[stream]
		if expect := r.proposal.Expect; expect != Any && version != int64(expect) {
			b.answers[i].err = &VersionConflictError{Stream: stream, Expected: int64(expect), Actual: version}
			return nil
		}
		if types.stale(r.entries) {
			if r.entries, err = encode(types, r.proposal.Events, r.proposal.Meta); err != nil {
				b.answers[i].err = err
				return nil
			}
		}
		b.versions[stream] = version + int64(len(r.entries))
	}
	for n, e := range r.entries {
		b.entries = append(b.entries, e)
		b.owners = append(b.owners, i)
		b.recorded = append(b.recorded, domain.Recorded{
			Stream: stream, Version: version + int64(n) + 1, ID: r.id.String(), Event: e.event, Meta: r.proposal.Meta,
		})
	}
	return nil
}

const appendCall = `select log.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`

// arguments are those of the call that appends the entries. They must get positions within
// a partition, if one is given; horizon is a position that the log has reached.
func (b *batch) arguments(horizon int64, within partition, wake bool) []any {
	n := len(b.entries)
	streams, types := make([]string, n), make([]string, n)
	versions, ids := make([]int64, n), make(pgtype.FlatArray[pgtype.UUID], n)
	bodies, metas := make(pgtype.FlatArray[[]byte], n), make(pgtype.FlatArray[[]byte], n)
	// Empty and not nil, which would be null.
	personalEvents, parts, subjects := make([]int32, 0, n), make([]string, 0, n), make([]int64, 0, n)
	salts, data := make(pgtype.FlatArray[[]byte], 0, n), make(pgtype.FlatArray[[]byte], 0, n)
	for i, e := range b.entries {
		r := b.recorded[i]
		streams[i], types[i], versions[i] = string(r.Stream), e.name, r.Version
		ids[i] = pgtype.UUID{Bytes: b.requests[b.owners[i]].id, Valid: true}
		bodies[i], metas[i] = e.body, e.meta
		for _, p := range e.personal {
			personalEvents, parts, subjects = append(personalEvents, int32(i+1)), append(parts, p.part), append(subjects, int64(p.subject))
			salts, data = append(salts, p.salt), append(data, p.data)
		}
	}
	return []any{
		horizon, within.first, within.last, wake, streams, versions, ids, types, bodies, metas,
		personalEvents, parts, subjects, salts, data, b.ruled,
	}
}

const appendOneCall = `select log.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`

// isOne reports whether the batch is what log.append_one takes.
func (b *batch) isOne() bool { return len(b.entries) == 1 && len(b.entries[0].personal) <= 1 }

// oneArguments are those of log.append_one; see arguments.
func (b *batch) oneArguments(horizon int64, within partition, wake bool) []any {
	e, r := b.entries[0], b.recorded[0]
	id := pgtype.UUID{Bytes: b.requests[0].id, Valid: true}
	args := []any{horizon, within.first, within.last, wake, string(r.Stream), r.Version, id, e.name, e.body, e.meta}
	if len(e.personal) == 0 {
		return append(args, nil, nil, nil, nil, b.ruled)
	}
	p := e.personal[0]
	return append(args, p.part, int64(p.subject), p.salt, p.data, b.ruled)
}

// placedOne is placed for log.append_one, which may have done nothing.
func (b *batch) placedOne(row pgx.Row) (placed bool, err error) {
	var answer []int64
	if err := row.Scan(&answer); err != nil || answer == nil {
		return false, appendError(err)
	}
	b.give(answer)
	return true, nil
}

// placed takes the answer to the call: the recorded events have positions and times now.
func (b *batch) placed(row pgx.Row) error {
	var answer []int64
	if err := row.Scan(&answer); err != nil {
		return appendError(err)
	}
	b.give(answer)
	return nil
}

// give sets the positions and times of the recorded events by the answer of the database.
func (b *batch) give(answer []int64) {
	b.base = answer[0]
	moment := time.UnixMicro(answer[1]).UTC()
	for i := range b.recorded {
		b.recorded[i].Position, b.recorded[i].At = b.base+int64(i)+1, moment
	}
}

// inline reports whether an inline projection has to do with an event of the batch.
func (b *batch) inline(all []Inline) bool {
	for _, e := range b.recorded {
		for _, inline := range all {
			if inline.Needs(e.Event.EventType()) {
				return true
			}
		}
	}
	return false
}

func (b *batch) applyInline(ctx context.Context, tx pgx.Tx, all []Inline) error {
	for _, inline := range all {
		if err := inline.Apply(ctx, tx, b.recorded); err != nil {
			return err
		}
	}
	return nil
}

// finish answers the requests of a batch that has been committed.
func (b *batch) finish(l *Log) {
	for i, e := range b.recorded {
		a := &b.answers[b.owners[i]].appended
		a.ID, a.Position, a.Version, a.At = e.ID, e.Position, e.Version, e.At
		a.Events = append(a.Events, e)
	}
	var claims []*Claim
	for i, r := range b.requests {
		if r.claim != nil && len(b.answers[i].appended.Events) > 0 && !b.answers[i].appended.Found {
			r.claim.Recorded = b.answers[i].appended.Events
			claims = append(claims, r.claim)
		}
	}
	if len(claims) > 0 {
		l.arbiter.Committed(claims)
	}
	for i, r := range b.requests {
		r.answer <- b.answers[i]
	}
	if n := len(b.recorded); n > 0 {
		b.keep(&l.recent)
		l.follower.saw(b.base + int64(n))
	}
}
