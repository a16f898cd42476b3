package access

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
)

// Sessions keeps the sessions of browsers, for all nodes together, and log-ins that browsers
// remember. They are neither a projection nor in the log; but what ends all sessions of a user
// is: his users row has an epoch that the events move, and a session that began in another is
// over. So that it ends on every node at once it is asked for at each request. It is safe for
// concurrent use.
type Sessions struct {
	pool  *pgxpool.Pool
	begun atomic.Int64 // sessions since the tables were last cleared up
}

// NewSessions makes Sessions on a pool made by eventstore.Connect.
func NewSessions(pool *pgxpool.Pool) *Sessions { return &Sessions{pool: pool} }

// MaxSessions is how many sessions a user may have, and how many browsers may remember him:
// one more ends the oldest.
const MaxSessions = 100

// reuseFor is how long requests that were under way while a remembered log-in changed may bring
// what it was before.
const reuseFor = time.Minute

// Session is a session of a browser.
type Session struct {
	ID     int64
	Family []byte // of the remembered log-in that it came of; nil: none
	Ends   time.Time
	seen   time.Time
}

// Remembered is a log-in that a browser remembers.
type Remembered struct {
	Family  []byte // SHA-256 of the part of the cookie that stays
	Hash    []byte // SHA-256 of the part that changes
	User    domain.UserID
	Epoch   int64
	Ends    time.Time
	Current bool // the hash asked for was not one from before
}

// Begin begins a session for a user as he was when he proved himself.
func (s *Sessions) Begin(ctx context.Context, user Login, hash, family []byte, now, ends time.Time) (id int64, err error) {
	err = s.pool.QueryRow(ctx, `
		with crowded as (
			delete from sessions where id in (select id from sessions where user_id = $2 order by id desc offset $7)
		)
		insert into sessions (hash, user_id, epoch, family, seen_at, ends_at) values ($1, $2, $3, $4, $5, $6) returning id`,
		hash, user.ID, user.SessionEpoch, family, now, ends, MaxSessions-1).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("begin a session: %w", err)
	}
	if s.begun.Add(1)%sweepEvery == 0 {
		err = s.sweep(ctx, now)
	}
	return id, err
}

// Find finds a live session by its hash, and whose it is. One that nobody has used for idle is
// over. The error is a *domain.NotFoundError if there is none.
func (s *Sessions) Find(ctx context.Context, hash []byte, now time.Time, idle time.Duration) (Login, Session, error) {
	type both struct {
		Login
		Session
	}
	found, err := one(ctx, s.pool, func(row pgx.CollectableRow) (b both, err error) {
		err = row.Scan(append(b.fields(), &b.Session.ID, &b.Family, &b.Ends, &b.seen)...)
		return b, err
	}, noSession(), `
		select `+loginColumns+`, s.id, s.family, s.ends_at, s.seen_at from sessions s join users u on u.id = s.user_id
		where s.hash = $1 and s.ends_at > $2 and s.seen_at > $3 and s.epoch = u.session_epoch and u.active`, hash, now, now.Add(-idle))
	if err != nil {
		return Login{}, Session{}, err
	}
	if now.Sub(found.seen) >= time.Minute {
		if _, err := s.pool.Exec(ctx, `update sessions set seen_at = $2 where id = $1 and seen_at < $2`, found.Session.ID, now); err != nil {
			return Login{}, Session{}, fmt.Errorf("touch a session: %w", err)
		}
	}
	return found.Login, found.Session, nil
}

// End ends the session with a hash, if there is one, and what the browser remembers.
func (s *Sessions) End(ctx context.Context, hash []byte) error {
	_, err := s.pool.Exec(ctx, `
		with ended as (delete from sessions where hash = $1 returning family)
		delete from remembered_logins where family in (select family from ended)`, hash)
	if err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

const endFamily = `with ended as (delete from sessions where family = $1) delete from remembered_logins where family = $1`

// Forget ends a remembered log-in, and the sessions that came of it.
func (s *Sessions) Forget(ctx context.Context, family []byte) error {
	if _, err := s.pool.Exec(ctx, endFamily, family); err != nil {
		return fmt.Errorf("forget a log-in: %w", err)
	}
	return nil
}

// Remember lets a browser log in by itself.
func (s *Sessions) Remember(ctx context.Context, r Remembered, now time.Time) error {
	_, err := s.pool.Exec(ctx, `
		with crowded as (
			delete from remembered_logins where family in (select family from remembered_logins where user_id = $3 order by rotated_at desc offset $7)
		)
		insert into remembered_logins (family, hash, rotated_at, user_id, epoch, ends_at) values ($1, $2, $6, $3, $4, $5)`,
		r.Family, r.Hash, r.User, r.Epoch, r.Ends, now, MaxSessions-1)
	if err != nil {
		return fmt.Errorf("remember a log-in: %w", err)
	}
	return nil
}

// Recall takes a remembered log-in and gives the browser another secret for the next time, whose
// hash is next. Two requests at the same moment both get in, one of them without Current: its
// browser keeps what the other was given. A secret from before that means that two browsers have
// had it: neither is let in any more, and their sessions are over. The error is a
// *domain.NotFoundError if the log-in is not remembered, or no longer.
func (s *Sessions) Recall(ctx context.Context, family, hash, next []byte, now time.Time) (Login, Remembered, error) {
	found := Remembered{Family: family, Hash: hash}
	var login Login
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var current, previous []byte
		var rotated time.Time
		var live bool
		err := tx.QueryRow(ctx, `
			select r.hash, r.previous, r.rotated_at, r.user_id, r.epoch, r.ends_at, r.ends_at > $2 and r.epoch = u.session_epoch and u.active
			from remembered_logins r join users u on u.id = r.user_id where r.family = $1 for update of r`, family, now).
			Scan(&current, &previous, &rotated, &found.User, &found.Epoch, &found.Ends, &live)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return noSession()
		case err != nil:
			return err
		case live && string(current) == string(hash):
			found.Current = true
			_, err = tx.Exec(ctx, `update remembered_logins set hash = $2, previous = hash, rotated_at = $3 where family = $1`, family, next, now)
		case live && string(previous) == string(hash) && now.Sub(rotated) < reuseFor:
		default:
			found.User = 0
			_, err = tx.Exec(ctx, endFamily, family)
		}
		return err
	})
	if err == nil && found.User == 0 {
		err = noSession()
	}
	if err == nil {
		login, err = NewReader(s.pool).LoginByID(ctx, found.User)
		login.SessionEpoch = found.Epoch // if it has moved since, the session is over before it begins
	}
	if missing := (*domain.NotFoundError)(nil); err != nil && !errors.As(err, &missing) {
		err = fmt.Errorf("recall a log-in: %w", err)
	}
	return login, found, err
}

func (s *Sessions) sweep(ctx context.Context, now time.Time) error {
	flight := &pgx.Batch{}
	for _, table := range []string{"sessions", "remembered_logins"} {
		flight.Queue(`delete from `+table+` where ctid = any(array(select ctid from `+table+` where ends_at < $1 limit $2 for update skip locked))`, now, sweepRows)
	}
	if err := s.pool.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("clear up sessions: %w", err)
	}
	return nil
}

func noSession() error { return domain.NotFound("session", "The session does not exist.") }
