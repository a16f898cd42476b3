package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// maxAttempts is how often an event is tried alone before it is set aside or stops the
// projection.
const maxAttempts = 3

// attemptPause is how long to wait after the first failed attempt, and twice after the
// second.
const attemptPause = 20 * time.Millisecond

// maxHeld is how many streams a projection sets aside: beyond, not the events are at
// fault but the projection, and it stops.
const maxHeld = 1000

// History is the log as a cursor reads it again.
type History interface {
	// ReadAll reads up to limit events after a position, in order and without a gap.
	ReadAll(ctx context.Context, after int64, limit int) ([]domain.Recorded, error)
	// ReadStream reads up to limit events of a stream after a version, in order.
	ReadStream(ctx context.Context, stream domain.Stream, afterVersion int64, limit int) ([]domain.Recorded, error)
}

// Cursor moves one shard of a Follower along the log, under the term of a lease. It is
// for one goroutine.
type Cursor struct {
	conn     *pgx.Conn
	log      History
	follower Follower
	shard    int
	shards   int
	term     int64

	position int64
	held     map[domain.Stream]bool // streams that have events set aside
	careful  int64                  // events up to here go one by one
	trying   int64                  // as in projections.runners
	attempts int
	acted    int64
	innocent int    // attempts that are counted and should not be
	noted    string // error in projections.runners

	clusterVersion int64 // up to which decisions of operators were looked for
	decisions      []domain.Recorded

	// Parked is called for each event that is set aside because it cannot be
	// applied; it may be nil.
	Parked func(position int64, stream domain.Stream, err error)
}

// NewCursor makes a cursor for a shard of f under a term. It must be opened.
func NewCursor(log History, f Follower, shard int, term int64) *Cursor {
	return &Cursor{log: log, follower: f, shard: shard, shards: shards(f), term: term}
}

// Open takes the shard over, on a connection that is the cursor's alone from now on. It
// may be opened again after an error, on the same connection or on a new one. The error
// is ErrFenced if a later term has taken the shard over.
func (c *Cursor) Open(ctx context.Context, conn *pgx.Conn) error {
	c.conn, c.held = conn, map[domain.Stream]bool{}
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return c.takeOver(ctx, tx) }); err != nil {
		return fmt.Errorf("take over %s: %w", LeaseName(c.follower.Name(), c.shard), err)
	}
	return nil
}

func (c *Cursor) takeOver(ctx context.Context, tx pgx.Tx) error {
	name := c.follower.Name()
	if _, err := tx.Exec(ctx, `
		insert into projections.runners (projection, shard, shards) values ($1, $2, $3) on conflict do nothing`,
		name, c.shard, c.shards); err != nil {
		return err
	}
	var term int64
	var made int
	var clean bool
	var noted string
	err := tx.QueryRow(ctx, `
		select term, shards, clean, coalesce(trying, 0), attempts, acted, coalesce(error, '') from projections.runners
		where projection = $1 and shard = $2 for no key update`, name, c.shard,
	).Scan(&term, &made, &clean, &c.trying, &c.attempts, &c.acted, &noted)
	switch {
	case err != nil:
		return err
	case term > c.term:
		return ErrFenced
	case made != c.shards:
		return fmt.Errorf("it was made with %d shards and has %d in this version: 'annal projections rebuild %s' makes it anew", made, c.shards, name)
	}
	c.noted = noted
	c.attempts = max(c.attempts-c.innocent, 0)
	if _, err := tx.Exec(ctx, `
		update projections.runners set term = $3, clean = false where projection = $1 and shard = $2`, name, c.shard, c.term); err != nil {
		return err
	}
	err = tx.QueryRow(ctx, `
		select position from projections.checkpoints
		where projection = $1 and shard = $2 order by position desc limit 1`, name, c.shard).Scan(&c.position)
	if errors.Is(err, pgx.ErrNoRows) {
		err = tx.QueryRow(ctx, `
			insert into projections.checkpoints (projection, shard, position)
			values ($1, $2, case when $3 then coalesce((select position from log.events order by position desc limit 1), 0) else 0 end)
			returning position`, name, c.shard, c.follower.Policy().FromHead).Scan(&c.position)
	}
	if err != nil {
		return err
	}
	if !clean && term != c.term {
		// What was under way may have killed the one who did it.
		c.careful = c.position + pageSize
	}
	return c.readHeld(ctx, tx)
}

// pageSize is how many events a careless owner may have had under way.
const pageSize = 1000

func (c *Cursor) readHeld(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `select distinct stream from projections.parked where projection = $1 and shard = $2`, c.follower.Name(), c.shard)
	if err != nil {
		return err
	}
	var stream domain.Stream
	_, err = pgx.ForEachRow(rows, []any{&stream}, func() error {
		c.held[stream] = true
		return nil
	})
	return err
}

// Position is up to where the shard has read.
func (c *Cursor) Position() int64 { return c.position }

// Close notes that the shard is left in good order. A cursor whose Apply has failed is
// not closed.
func (c *Cursor) Close(ctx context.Context) error {
	_, err := c.conn.Exec(ctx, `
		update projections.runners set clean = true where projection = $1 and shard = $2 and term = $3`, c.follower.Name(), c.shard, c.term)
	return err
}

// Apply moves the shard by events, which follow its position without a gap: rows and
// checkpoint in one transaction, exactly once, whatever crashes.
//
// If that fails, the events go one by one. One that fails three times, or that was being
// tried when the process died three times, is set aside with all later ones of its
// stream, or stops a critical projection.
//
// The error is a *StoppedError, whose position Stopped takes; ErrFenced; or what keeps
// the database from answering. Position tells how far it came.
func (c *Cursor) Apply(ctx context.Context, events []domain.Recorded) error {
	if len(events) > 0 && events[0].Position != c.position+1 {
		return fmt.Errorf("%s is at position %d, and was given event %d", c.follower.Name(), c.position, events[0].Position)
	}
	for len(events) > 0 {
		n, err := c.step(ctx, events)
		if err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// step applies the first of some events, and says how many.
func (c *Cursor) step(ctx context.Context, events []domain.Recorded) (int, error) {
	if c.acts(events[0]) {
		return 1, c.act(ctx, events[0])
	}
	together := c.together(events)
	if len(together) == 0 {
		unknown, _ := events[0].Event.(domain.Unknown)
		return 0, c.stop(ctx, events[0].Position, &UnknownTypeError{Type: unknown.Type})
	}
	if c.hasEffects(together[0]) {
		return 1, c.oneByOne(ctx, together[:1])
	}
	if c.position >= max(c.careful, c.trying) {
		err := c.advance(ctx, together)
		if err == nil {
			c.recovered(ctx)
			return len(together), nil
		}
		if blameless(err) || ctx.Err() != nil {
			return 0, err
		}
	}
	return len(together), c.oneByOne(ctx, together)
}

// together is how many of the next events can be tried at once.
func (c *Cursor) together(events []domain.Recorded) []domain.Recorded {
	for i, e := range events {
		unknown, ok := e.Event.(domain.Unknown)
		if ok && c.mine(e.Stream) && c.follower.Needs(unknown.Type) || c.acts(e) || (i > 0 && c.hasEffects(e)) {
			return events[:i]
		}
	}
	return events
}

func (c *Cursor) hasEffects(e domain.Recorded) bool {
	effects := c.follower.Policy().Effects
	return effects != nil && effects(e.Event.EventType())
}

func (c *Cursor) mine(stream domain.Stream) bool { return ShardOf(stream, c.shards) == c.shard }

// advance applies events in one flight and one transaction. Those of held streams are
// set aside behind what holds them.
func (c *Cursor) advance(ctx context.Context, events []domain.Recorded) error {
	free, behind := c.sort(events)
	flight := &pgx.Batch{}
	to := events[len(events)-1].Position
	c.queueMove(flight, to)
	c.queueParked(flight, behind)
	if err := c.queue(flight, free); err != nil {
		return err
	}
	if err := c.conn.SendBatch(ctx, flight).Close(); err != nil {
		return translate(err)
	}
	c.position = to
	return nil
}

// sort parts the shard's events into those that can be applied and those that wait.
func (c *Cursor) sort(events []domain.Recorded) (free, behind []domain.Recorded) {
	if c.shards == 1 && len(c.held) == 0 {
		return events, nil
	}
	for _, e := range events {
		switch {
		case !c.mine(e.Stream):
		case c.held[e.Stream]:
			behind = append(behind, e)
		default:
			free = append(free, e)
		}
	}
	return free, behind
}

func (c *Cursor) queueMove(flight *pgx.Batch, to int64) {
	flight.Queue(`select projections.advance($1, $2, $3, $4, $5)`, c.follower.Name(), c.shard, c.term, c.position, to)
}

// queue asks the projection for its statements; a panic becomes an error.
func (c *Cursor) queue(flight *pgx.Batch, events []domain.Recorded) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if len(events) == 0 {
		return nil
	}
	return c.follower.Queue(flight, events)
}

// oneByOne tries each event alone and counts the attempts.
func (c *Cursor) oneByOne(ctx context.Context, events []domain.Recorded) error {
	for _, e := range events {
		if free, _ := c.sort([]domain.Recorded{e}); len(free) == 0 {
			if err := c.advance(ctx, []domain.Recorded{e}); err != nil {
				return err
			}
			continue
		}
		if err := c.alone(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// alone tries an event until it is applied or set aside, or has stopped the projection.
func (c *Cursor) alone(ctx context.Context, e domain.Recorded) error {
	failure := fmt.Errorf("the process ended while it was applied, %d times", maxAttempts)
	if c.noted != "" {
		failure = errors.New(c.noted)
	}
	for {
		if c.trying == e.Position && c.attempts >= maxAttempts {
			return c.giveUp(ctx, e, failure)
		}
		if err := c.countAttempt(ctx, e.Position); err != nil {
			return err
		}
		err := c.advance(ctx, []domain.Recorded{e})
		if err == nil {
			c.recovered(ctx)
			return nil
		}
		if blameless(err) || ctx.Err() != nil {
			c.uncount(ctx)
			return err
		}
		failure = err
		if err := c.note(ctx, failure); err != nil {
			return err
		}
		if c.attempts < maxAttempts {
			pause(ctx, time.Duration(c.attempts)*attemptPause)
		}
	}
}

// countAttempt raises the attempts of an event, durably, before it is tried.
func (c *Cursor) countAttempt(ctx context.Context, position int64) error {
	attempts := 1
	if c.trying == position {
		attempts = c.attempts + 1
	}
	if err := c.update(ctx, `trying = $4, attempts = $5`, position, attempts); err != nil {
		return err
	}
	c.trying, c.attempts, c.innocent = position, attempts, 0
	return nil
}

// uncount takes back an attempt that came to nothing by no fault of the event. If the
// database does not answer, the cursor remembers it.
func (c *Cursor) uncount(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if c.update(ctx, `attempts = $4`, c.attempts-1) != nil {
		c.innocent = 1
		return
	}
	c.attempts--
}

// note keeps what went wrong for operators.
func (c *Cursor) note(ctx context.Context, failure error) error {
	text := clip(failure.Error())
	if text == c.noted {
		return nil
	}
	c.noted = text
	return c.update(ctx, `error = $4`, text)
}

// recovered takes back what was noted once the projection moves again.
func (c *Cursor) recovered(ctx context.Context) {
	if c.noted != "" && c.update(ctx, `error = null`) == nil {
		c.noted = ""
	}
}

// update changes the shard's row of projections.runners, in its own transaction.
func (c *Cursor) update(ctx context.Context, columns string, args ...any) error {
	tag, err := c.conn.Exec(ctx, `update projections.runners set `+columns+` where projection = $1 and shard = $2 and term = $3`,
		append([]any{c.follower.Name(), c.shard, c.term}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrFenced
	}
	return err
}

// giveUp sets an event aside, or stops.
func (c *Cursor) giveUp(ctx context.Context, e domain.Recorded, failure error) error {
	switch {
	case c.follower.Policy().Critical:
		return c.obey(ctx, e, failure)
	case len(c.held) >= maxHeld:
		return c.stop(ctx, e.Position, fmt.Errorf("it has set %d streams aside, which is too many: %w", len(c.held), failure))
	}
	flight := &pgx.Batch{}
	c.queueMove(flight, e.Position)
	flight.Queue(`
		insert into projections.parked (projection, shard, position, stream, attempts, error) values ($1, $2, $3, $4, $5, $6)`,
		c.follower.Name(), c.shard, e.Position, string(e.Stream), c.attempts, clip(failure.Error()))
	if err := c.conn.SendBatch(ctx, flight).Close(); err != nil {
		return translate(err)
	}
	c.position = e.Position
	c.held[e.Stream] = true
	if c.Parked != nil {
		c.Parked(e.Position, e.Stream, failure)
	}
	return nil
}

func (c *Cursor) stop(ctx context.Context, position int64, failure error) error {
	if err := c.note(ctx, failure); err != nil {
		return err
	}
	return &StoppedError{Projection: c.follower.Name(), Position: position, Err: failure}
}

// maxNote is how much of an error is kept, in bytes.
const maxNote = 1000

func clip(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s[:min(len(s), maxNote)], "\x00", ""), "")
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
