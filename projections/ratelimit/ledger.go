package ratelimit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain/ratelimit"
)

// remembered is for how long refusals are.
const remembered = 24 * time.Hour

// Ledger holds the balances of callers for all nodes together. It is safe for concurrent use.
type Ledger struct{ pool *pgxpool.Pool }

// NewLedger makes a Ledger on a pool made by eventstore.Connect.
func NewLedger(pool *pgxpool.Pool) *Ledger { return &Ledger{pool} }

// Use is what a node has given one caller.
type Use struct {
	Key    string // that all nodes call him by
	Limit  ratelimit.Limit
	Tokens float64
	Ago    time.Duration // since the first of them was given
}

// Settle takes uses off the balances, each of a caller of its own, and returns what is left in
// their order, as ratelimit.Bucket.Settle computes it. The database's clock fills the buckets.
func (l *Ledger) Settle(ctx context.Context, uses []Use) (balances []float64, err error) {
	keys, tokens := make([]string, len(uses)), make([]float64, len(uses))
	ages := make([]float64, len(uses))
	capacities, rates := make([]int, len(uses)), make([]int, len(uses))
	places := make(map[string]int, len(uses))
	for i, u := range uses {
		ages[i] = u.Ago.Seconds()
		keys[i], tokens[i], capacities[i], rates[i] = u.Key, u.Tokens, u.Limit.Capacity, u.Limit.FillRate
		places[u.Key] = i
	}
	// In order of keys, so that two nodes do not wait for each other.
	rows, err := l.pool.Query(ctx, `
		with used as (
			select * from unnest($1::text[], $2::float8[], $3::float8[], $4::int[], $5::int[]) as u (key, tokens, ago, capacity, fill_rate)
		)
		insert into balances as b (key, tokens, at, capacity, fill_rate)
		select key, least(capacity, capacity - tokens + fill_rate * ago), clock_timestamp(), capacity, fill_rate from used order by key collate "C"
		on conflict (key) do update set (tokens, at, capacity, fill_rate) = (
			select least(u.capacity, least(u.capacity, b.tokens + u.fill_rate * (passed - least(u.ago, passed))) - u.tokens + u.fill_rate * least(u.ago, passed)),
				greatest(b.at, clock_timestamp()), u.capacity, u.fill_rate
			from used u, greatest(extract(epoch from clock_timestamp() - b.at)::float8, 0) passed where u.key = b.key)
		returning key, tokens`, keys, tokens, ages, capacities, rates)
	if err != nil {
		return nil, fmt.Errorf("settle rate limits: %w", err)
	}
	balances = make([]float64, len(uses))
	var key string
	var left float64
	if _, err := pgx.ForEachRow(rows, []any{&key, &left}, func() error {
		balances[places[key]] = left
		return nil
	}); err != nil {
		return nil, fmt.Errorf("settle rate limits: %w", err)
	}
	return balances, nil
}

// Record adds refusals, each of a user of his own, to those of the hour.
func (l *Ledger) Record(ctx context.Context, refused []Refused) error {
	users, counts, last := make([]int64, len(refused)), make([]int64, len(refused)), make([]time.Time, len(refused))
	for i, r := range refused {
		users[i], counts[i], last[i] = int64(r.User), r.Count, r.Last
	}
	if _, err := l.pool.Exec(ctx, `
		insert into rejections as r (user_id, hour, rejected, last)
		select id, date_trunc('hour', last, 'UTC'), count, last from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as u (id, count, last) order by 2, 1
		on conflict (hour, user_id) do update set rejected = r.rejected + excluded.rejected, last = greatest(r.last, excluded.last)`,
		users, counts, last); err != nil {
		return fmt.Errorf("record who was refused: %w", err)
	}
	return nil
}

// sweepRows bounds what one Sweep deletes of each table.
const sweepRows = 10_000

// Sweep deletes what says nothing any more: full buckets, and refusals of more than a day ago.
func (l *Ledger) Sweep(ctx context.Context) error {
	flight := &pgx.Batch{}
	flight.Queue(`
		delete from balances where key in (select key from balances
			where tokens + fill_rate * extract(epoch from now() - at) >= capacity order by key limit $1 for update skip locked)`, sweepRows)
	flight.Queue(`
		delete from rejections where (hour, user_id) in (select hour, user_id from rejections
			where last < now() - $1::interval order by hour, user_id limit $2 for update skip locked)`, remembered, sweepRows)
	if err := l.pool.SendBatch(ctx, flight).Close(); err != nil {
		return fmt.Errorf("clear up rate limits: %w", err)
	}
	return nil
}
