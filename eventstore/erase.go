package eventstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
)

// Bounds of one step of an erasure. Its transaction holds all appends up for as long as
// it takes to delete that many rows.
const (
	eraseRows   = 1000    // personal rows deleted
	eraseWindow = 100_000 // positions looked through
)

// Erase forgets a user: it deletes every personal part of an event that is about him, and
// where his own requests came from. Each step appends an account.Erased that says from
// which events, in the transaction that deletes them; the first one shuts him out. There
// is no index to find the rows by, which every push would pay for: the log is looked
// through, half a million events in about a second. progress is told how far that is, in
// events; it may be nil.
//
// An erasure that was broken off goes on when it is asked for again. Errors:
// *domain.NotFoundError; *domain.ConflictError for the last system administrator; those of
// Append.
func Erase(ctx context.Context, l *Log, user domain.UserID, meta domain.Metadata, progress func(done, all int64)) error {
	if meta.Actor == user {
		meta.Address = "" // else each step would leave something for the next
	}
	if err := eraseStep(ctx, l, user, meta, nil); err != nil {
		return err // refused, before anything is lost
	}
	for after := int64(0); ; {
		// Read anew each time: what he was doing while he was shut out comes last.
		head, err := l.Head(ctx)
		if err != nil {
			return err
		}
		if progress != nil {
			progress(after, head)
		}
		if after >= head {
			return nil
		}
		positions, err := l.personalOf(ctx, user, after, min(after+eraseWindow, head))
		if err != nil {
			return err
		}
		if len(positions) > 0 {
			if err := eraseStep(ctx, l, user, meta, ranges(positions)); err != nil {
				return err
			}
		}
		if after = min(after+eraseWindow, head); len(positions) == eraseRows {
			after = positions[eraseRows-1]
		}
	}
}

func eraseStep(ctx context.Context, l *Log, user domain.UserID, meta domain.Metadata, positions [][2]int64) error {
	_, _, err := Execute(ctx, l, domain.UserStream(user), account.Evolve, meta, func(s account.State) ([]domain.Event, error) {
		return account.Decide(s, account.Erase{Positions: positions})
	})
	return err
}

// personalOf finds the positions after one and up to another of events with personal
// parts about a user: the first eraseRows of them, in order.
func (l *Log) personalOf(ctx context.Context, user domain.UserID, after, upTo int64) ([]int64, error) {
	rows, err := l.pool.Query(ctx, `
		select distinct position from log.personal
		where position > $1 and position <= $2 and subject = $3
		order by position limit $4`, after, upTo, user, eraseRows)
	if err != nil {
		return nil, fmt.Errorf("look for personal data: %w", err)
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for personal data: %w", err)
	}
	return positions, nil
}

// ranges joins positions, which rise, where they follow each other.
func ranges(positions []int64) [][2]int64 {
	var joined [][2]int64
	for _, p := range positions {
		if n := len(joined); n > 0 && joined[n-1][1] == p-1 {
			joined[n-1][1] = p
		} else {
			joined = append(joined, [2]int64{p, p})
		}
	}
	return joined
}

// erasure deletes what account.Erased events name. It is an Inline of every log.
type erasure struct{}

func (erasure) Name() string { return "log" }

func (erasure) Tables() []string { return nil }

func (erasure) Needs(eventType string) bool { return eventType == account.Erased{}.EventType() }

func (erasure) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	for _, e := range events {
		erased, ok := e.Event.(account.Erased)
		if !ok {
			continue
		}
		first, last := make([]int64, len(erased.Positions)), make([]int64, len(erased.Positions))
		for i, r := range erased.Positions {
			first[i], last[i] = r[0], r[1]
		}
		_, err := tx.Exec(ctx, `
			delete from log.personal p using unnest($1::bigint[], $2::bigint[]) as r (first, last)
			where p.position between r.first and r.last and p.subject = $3`, first, last, erased.ID)
		if err != nil {
			return fmt.Errorf("erase personal data: %w", err)
		}
	}
	return nil
}
