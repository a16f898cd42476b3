package access

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Attempts limits how often passwords can be tried, for all nodes together. Failures are
// counted by account and address together, by account, and by address. After some that are
// free, each doubles the time in which further attempts are refused without a look at the
// password; the right one ends it. Where the user has logged in before with his present
// password, only failures there count: others cannot lock him out. It is safe for concurrent
// use.
//
// The counts are neither a projection nor in the log: forgetting them harms nobody.
type Attempts struct {
	pool  *pgxpool.Pool
	swept atomic.Int64 // attempts since the tables were last cleared up
}

// NewAttempts makes Attempts on a pool made by eventstore.Connect.
func NewAttempts(pool *pgxpool.Pool) *Attempts { return &Attempts{pool: pool} }

// Attempt is somebody who tries a password.
type Attempt struct {
	Name         string // as he has given it; there need be no such user
	Address      string // "" if it is not known
	PasswordHash string // that he has to match, PHC string; of a decoy if there is no such user

	known bool
}

// limit is how many failures are free, and the longest wait after that.
type limit struct {
	free int
	most time.Duration
}

// The limits. A few typing errors cost nobody a wait; whoever guesses gets four guesses an hour
// after those that are free.
var (
	atUnknown = limit{5, 15 * time.Minute}
	atKnown   = limit{100, 15 * time.Minute}
	onAccount = limit{50, 15 * time.Minute}
	fromPlace = limit{100, time.Minute}
)

const (
	forget     = time.Hour           // after the last failure
	knownFor   = 90 * 24 * time.Hour // after the last log-in
	sweepEvery = 64                  // attempts of this process
	sweepRows  = 1000
)

// Begin counts an attempt as failed before it is made, so that many at once do not slip
// through, and reports whether it may be made.
func (t *Attempts) Begin(ctx context.Context, a *Attempt) (allowed bool, err error) {
	if err := t.pool.QueryRow(ctx, `select exists (select from known_addresses where key = $1 and last > now() - $2::interval)`,
		a.place(), knownFor).Scan(&a.known); err != nil {
		return false, fmt.Errorf("read attempts to log in: %w", err)
	}
	keys, limits := a.counted()
	free, most := make([]int, len(keys)), make([]int, len(keys))
	for i, l := range limits {
		free[i], most[i] = l.free, int(l.most.Seconds())
	}
	// The rest is counted only if account and address together may go on: else one address could
	// use up what the account is given for all. In order of keys, so that two attempts do not
	// wait for each other.
	const count = `
		on conflict (key) do update set
			failures = case when f.last < now() - $4::interval then 1 else f.failures + 1 end,
			last = now(),
			until = case when f.last < now() - $4::interval or f.failures < f.free then now()
				else now() + least(f.most, power(2, least(f.failures - f.free, 20))) * interval '1 second' end
		where f.until <= now() returning key`
	err = t.pool.QueryRow(ctx, `
		with first as (
			insert into login_failures as f (key, failures, free, most, last, until)
			select ($1::bytea[])[1], 1, ($2::int[])[1], ($3::int[])[1], now(), now()`+count+`
		), rest as (
			insert into login_failures as f (key, failures, free, most, last, until)
			select k, 1, free, most, now(), now() from unnest(($1::bytea[])[2:], ($2::int[])[2:], ($3::int[])[2:]) as t (k, free, most)
			where exists (select from first) order by k`+count+`
		)
		select (select count(*) from first) + (select count(*) from rest) = $5`, keys, free, most, forget, len(keys)).Scan(&allowed)
	if err != nil {
		return false, fmt.Errorf("count an attempt to log in: %w", err)
	}
	if t.swept.Add(1)%sweepEvery == 0 {
		if err := t.sweep(ctx); err != nil {
			return false, err
		}
	}
	return allowed, nil
}

// Succeeded takes back what Begin counted: the password was right. It remembers the address.
func (t *Attempts) Succeeded(ctx context.Context, a *Attempt) error {
	keys, _ := a.counted()
	flight := &pgx.Batch{}
	flight.Queue(`delete from login_failures where key = $1`, keys[0])
	flight.Queue(`
		update login_failures f set failures = greatest(f.failures - 1, 0), until = now()
		from (select key from login_failures where key = any($1) order by key for update) of where f.key = of.key`, keys[1:])
	flight.Queue(`insert into known_addresses (key, last) values ($1, now()) on conflict (key) do update set last = now()`, a.place())
	if err := t.pool.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("count an attempt to log in: %w", err)
	}
	return nil
}

func (t *Attempts) sweep(ctx context.Context) error {
	flight := &pgx.Batch{}
	flight.Queue(`
		delete from login_failures where key in (
			select key from login_failures where last < now() - $1::interval and until <= now() order by last limit $2 for update skip locked)`, forget, sweepRows)
	flight.Queue(`
		delete from known_addresses where key in (
			select key from known_addresses where last < now() - $1::interval order by last limit $2 for update skip locked)`, knownFor, sweepRows)
	if err := t.pool.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("clear up attempts to log in: %w", err)
	}
	return nil
}

// counted is what the attempt is counted under, account and address together first.
func (a *Attempt) counted() (keys [][]byte, limits []limit) {
	name := strings.ToLower(a.Name)
	if a.known {
		return [][]byte{digest("known", name, a.Address)}, []limit{atKnown}
	}
	keys, limits = [][]byte{digest("both", name, a.Address), digest("account", name)}, []limit{atUnknown, onAccount}
	if a.Address != "" {
		keys, limits = append(keys, digest("address", a.Address)), append(limits, fromPlace)
	}
	return keys, limits
}

func (a *Attempt) place() []byte { return digest("place", a.PasswordHash, a.Address) }

func digest(parts ...string) []byte {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}
