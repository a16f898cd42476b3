package ratelimit_test

import (
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/ratelimit"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	shared "github.com/annal-git/annal/projections/ratelimit"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

func open(t *testing.T) (*pgxpool.Pool, func(domain.Stream, ...domain.Event), func()) {
	t.Helper()
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}, shared.Projection{}}})
	return pool, func(stream domain.Stream, events ...domain.Event) {
			t.Helper()
			if _, err := log.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events}); err != nil {
				t.Fatal(err)
			}
		}, func() {
			t.Helper()
			builder := projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends}
			if differences, _, err := builder.Verify(t.Context(), shared.Projection{}); err != nil || len(differences) > 0 {
				t.Errorf("%+v, %v", differences, err)
			}
		}
}

func TestSettings(t *testing.T) {
	pool, must, verify := open(t)
	r := shared.NewReader(pool)
	rules, position, err := r.Rules(t.Context(), -1)
	if err != nil || position != 0 || rules.Enabled || rules.Default != ratelimit.Default {
		t.Fatalf("%+v %d %v", rules, position, err)
	}
	own := ratelimit.Own{Limit: ratelimit.Limit{Capacity: 9, FillRate: 3}}
	for id, name := range map[domain.UserID]string{7: "ada", 8: "bob"} {
		must(domain.UserStream(id), account.Created{ID: id, Type: account.Normal, Profile: account.Profile{Name: name, Slug: name, DisplayName: "The " + name}})
	}
	if rules, _, err := r.Rules(t.Context(), 0); rules != nil || err != nil {
		t.Errorf("what is no rate limit counts as one: %+v %v", rules, err)
	}
	must(ratelimit.Stream, ratelimit.UsersSet{Users: []domain.UserID{7, 8}, Own: own})
	rules, position, err = r.Rules(t.Context(), 0)
	if err != nil || position == 0 || rules.Enabled || rules.Default != ratelimit.Default || len(rules.Users) != 2 || rules.Users[8] != own {
		t.Fatalf("%+v %d %v", rules, position, err)
	}
	settings := ratelimit.Settings{Enabled: true, Default: ratelimit.Limit{Capacity: 6, FillRate: 2}}
	must(ratelimit.Stream, ratelimit.SettingsChanged{Settings: settings})
	must(ratelimit.Stream, ratelimit.UsersSet{Users: []domain.UserID{7}, Own: ratelimit.Own{Exempt: true}})
	rules, position, err = r.Rules(t.Context(), position)
	if err != nil || rules.Settings != settings || !rules.Users[7].Exempt || rules.Users[8] != own {
		t.Fatalf("%+v %d %v", rules, position, err)
	}
	if again, _, err := r.Rules(t.Context(), position); again != nil || err != nil {
		t.Errorf("read once more: %+v %v", again, err)
	}
	must(ratelimit.Stream, ratelimit.UserReset{User: 8})
	var missing *domain.NotFoundError
	if _, err := r.User(t.Context(), 8); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
	if own, err := r.User(t.Context(), 7); err != nil || !own.Exempt {
		t.Errorf("%+v %v", own, err)
	}
	verify()
	must(domain.UserStream(7), account.Deactivated{ID: 7}, account.Erased{ID: 7})
	if list, more, err := r.Users(t.Context(), "", shared.Page{Limit: 10}); len(list) != 0 || more || err != nil {
		t.Errorf("%v %t %v", list, more, err)
	}
	verify()
}

// The database computes what domain/ratelimit.Bucket says.
func TestLedger(t *testing.T) {
	pool, _, _ := open(t)
	l, ctx := shared.NewLedger(pool), t.Context()
	settle := func(want float64, key string, capacity, rate int, tokens float64) {
		t.Helper()
		got, err := l.Settle(ctx, []shared.Use{{Key: key, Limit: ratelimit.Limit{Capacity: capacity, FillRate: rate}, Tokens: tokens}})
		if err != nil || math.Abs(got[0]-want) > 1e-6 {
			t.Errorf("%s: %v tokens left, want %v: %v", key, got, want, err)
		}
	}
	// The clock is set by moving what is in the table.
	pass := func(d time.Duration, tokens float64) {
		t.Helper()
		if _, err := pool.Exec(ctx, `update ratelimit.balances set at = at - $1::interval, tokens = $2`, d, tokens); err != nil {
			t.Fatal(err)
		}
	}
	exact := func(key string, capacity, rate int, d time.Duration, before, used float64, ago time.Duration) {
		t.Helper()
		pass(d, before)
		at := time.Now()
		b := ratelimit.Bucket{Tokens: before, At: at.Add(-d)}
		limit := ratelimit.Limit{Capacity: capacity, FillRate: rate}
		b.Settle(at, limit, used, ago)
		got, err := l.Settle(ctx, []shared.Use{{Key: key, Limit: limit, Tokens: used, Ago: ago}})
		// Real time goes on between: at most some seconds' worth.
		if want := b.Tokens; err != nil || got[0] < want-1e-3 || got[0] > want+10*float64(rate) || got[0] > float64(capacity) {
			t.Errorf("%v tokens after %v: %v left, want %v: %v", before, d, got, want, err)
		}
	}
	settle(59, "user/1", 60, 1, 1)
	exact("user/1", 60, 1, 0, 59, 10, 0)
	exact("user/1", 60, 1, 20*time.Second, -30, 5, 0)
	exact("user/1", 60, 1, time.Hour, -30, 5, 0)
	exact("user/1", 60, 1, time.Hour, -30, 50, 20*time.Second) // it was full when the first was taken
	exact("user/1", 60, 1, 20*time.Second, 0, 50, time.Hour)   // it was settled meanwhile
	exact("user/1", 60, 1, time.Hour, 0, 5, time.Minute)
	exact("user/1", 10, 1, 0, 60, 5, 0) // made smaller
	settle(-40, "user/2", 60, 1, 100)

	// Many at once, in any order and from several sides.
	var keys []shared.Use
	for i := range 100 {
		keys = append(keys, shared.Use{Key: "many/" + string(rune('A'+i)), Limit: ratelimit.Limit{Capacity: 1000, FillRate: 1}, Tokens: float64(i)})
	}
	var sides sync.WaitGroup
	for side := range 4 {
		mine := slices.Clone(keys)
		if side%2 == 1 {
			slices.Reverse(mine)
		}
		sides.Go(func() {
			for range 5 {
				if _, err := l.Settle(ctx, mine); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sides.Wait()
	got, err := l.Settle(ctx, keys)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if used := 1000 - got[i]; used > 21*float64(i) || used < 21*float64(i)-60 {
			t.Errorf("%v were taken of what 21 times %d were taken of", used, i)
		}
	}

	// What is full is no row, and what is not stays.
	pass(time.Hour, 0)
	settle(-40, "user/3", 60, 1, 100)
	if err := l.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := pool.QueryRow(ctx, `select array_agg(key) from ratelimit.balances`).Scan(&left); err != nil || !slices.Equal(left, []string{"user/3"}) {
		t.Errorf("%v %v", left, err)
	}
}
