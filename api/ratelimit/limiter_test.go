package ratelimit_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/domain"
	limits "github.com/annal-git/annal/domain/ratelimit"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/projections/access"
	shared "github.com/annal-git/annal/projections/ratelimit"
)

func TestMain(m *testing.M) { eventstoretest.Main(m) }

var start = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// set are rules that stay.
type set struct {
	rules limits.Rules
}

func (s *set) Rules(_ context.Context, known int64) (*limits.Rules, int64, error) {
	if known >= 1 {
		return nil, known, nil
	}
	return &s.rules, 1, nil
}

func on(l limits.Limit) *set {
	return &set{limits.Rules{Settings: limits.Settings{Enabled: true, Default: l}, Users: map[domain.UserID]limits.Own{}}}
}

// memory is a ledger that keeps time by a clock, and is out of reach when it has to.
type memory struct {
	now func() time.Time

	mu      sync.Mutex
	down    error
	buckets map[string]*limits.Bucket
	refused []shared.Refused
	most    int // callers of one settlement
}

func (m *memory) Settle(_ context.Context, uses []shared.Use) ([]float64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	m.most = max(m.most, len(uses))
	balances := make([]float64, len(uses))
	for i, u := range uses {
		b := m.buckets[u.Key]
		if b == nil {
			b = &limits.Bucket{}
			m.buckets[u.Key] = b
		}
		b.Settle(m.now(), u.Limit, u.Tokens, u.Ago)
		balances[i] = b.Tokens
	}
	return balances, nil
}

func (m *memory) Record(_ context.Context, refused []shared.Refused) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = append(m.refused, refused...)
	return m.down
}

func (m *memory) Sweep(context.Context) error { return nil }

// cluster is some nodes with one ledger and one clock.
type cluster struct {
	now    time.Time
	ledger *memory
	nodes  []*ratelimit.Limiter
}

func newCluster(nodes, callers int, rules ratelimit.Rules) *cluster {
	c := &cluster{now: start}
	now := func() time.Time { return c.now }
	c.ledger = &memory{now: now, buckets: map[string]*limits.Bucket{}}
	for range nodes {
		l := ratelimit.New(ratelimit.Config{Rules: rules, Ledger: c.ledger, Now: now, Callers: callers, Logger: slog.New(slog.DiscardHandler)})
		if err := l.Refresh(context.Background()); err != nil {
			panic(err)
		}
		c.nodes = append(c.nodes, l)
	}
	return c
}

func user(id domain.UserID) credentials.Caller {
	return credentials.Caller{User: access.User{ID: id}}
}

// take takes so many tokens as it gets, up to most.
func (c *cluster) take(node int, caller credentials.Caller, address string, most int) (got int, err error) {
	for got < most {
		if err = c.nodes[node].Take(caller, address); err != nil {
			return got, err
		}
		got++
	}
	return got, nil
}

func TestCallers(t *testing.T) {
	t.Parallel()
	rules := on(limits.Limit{Capacity: 4, FillRate: 2})
	rules.rules.Users[7] = limits.Own{Limit: limits.Limit{Capacity: 2, FillRate: 1}}
	rules.rules.Users[8] = limits.Own{Exempt: true}
	c := newCluster(1, 0, rules)
	for _, caller := range []struct {
		id      domain.UserID
		address string
		want    int
	}{
		{1, "192.0.2.1", 4}, {7, "192.0.2.1", 2}, {8, "192.0.2.1", 100}, {2, "192.0.2.1", 4}, {1, "192.0.2.2", 0},
		{0, "192.0.2.1", 4}, {0, "192.0.2.2", 4}, {0, "::ffff:192.0.2.2", 0},
		{0, "2001:db8::1", 4}, {0, "2001:db8::2", 0}, {0, "2001:db8:0:1::1", 4}, {0, "@", 4}, {0, "", 0},
	} {
		if got, _ := c.take(0, user(caller.id), caller.address, 100); got != caller.want {
			t.Errorf("user %d from %q got %d tokens, want %d", caller.id, caller.address, got, caller.want)
		}
	}
	c.now = c.now.Add(time.Second)
	_, err := c.take(0, user(7), "", 100)
	var exceeded *ratelimit.ExceededError
	if !errors.As(err, &exceeded) || exceeded.RetryAfter() != 1 || exceeded.Error() != "You have made too many requests: 2 at once and then 1 per second are let through. Try again in 1 second." {
		t.Errorf("%v", err)
	}
	header := http.Header{}
	exceeded.SetHeaders(header)
	for name, want := range map[string]string{"Retry-After": "1", "X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-FillRate": "1", "X-RateLimit-Interval-Seconds": "1"} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	once := c.nodes[0].Once("192.0.2.3")
	for range 10 {
		if err := once(user(9)); err != nil {
			t.Error(err)
		}
	}
	if got, _ := c.take(0, user(9), "", 100); got != 3 {
		t.Errorf("one request took %d tokens", 4-got)
	}
}

func TestNothingIsLimitedUntilItIsTurnedOn(t *testing.T) {
	t.Parallel()
	c := newCluster(1, 0, &set{})
	if got, err := c.take(0, user(1), "", 10_000); got != 10_000 {
		t.Error(got, err)
	}
	if c.nodes[0].Once("") != nil {
		t.Error("there is something to ask")
	}
	var none *ratelimit.Limiter
	if none.Take(user(1), "") != nil || none.Once("") != nil || none.Refresh(t.Context()) != nil {
		t.Error("no limiter limits")
	}
}

// In every span of time, nodes that settle in time give one caller no more than adr/0001 says.
func TestClusterStaysWithinItsError(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.IntRange(1, 4).Draw(t, "nodes")
		limit := limits.Limit{Capacity: rapid.IntRange(1, 12).Draw(t, "capacity"), FillRate: rapid.IntRange(1, 10).Draw(t, "rate")}
		every := time.Duration(rapid.IntRange(50, 500).Draw(t, "every")) * time.Millisecond
		c := newCluster(nodes, 0, on(limit))
		settled := make([]time.Time, nodes)
		var given []time.Time
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			// Mostly quick, at times as long as it takes to fill up.
			pause := time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * every / 20
			if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
				pause = time.Duration(limit.Capacity*1000/limit.FillRate) * time.Millisecond
			}
			for end := c.now.Add(pause); ; c.now = c.now.Add(every) {
				for n := range nodes {
					if c.now.Sub(settled[n]) >= every || rapid.IntRange(0, 19).Draw(t, "early") == 0 {
						c.nodes[n].Settle(context.Background())
						settled[n] = c.now
					}
				}
				if !c.now.Add(every).Before(end) {
					c.now = end
					break
				}
			}
			for n := range nodes { // nobody is later than he may be
				if c.now.Sub(settled[n]) >= every {
					c.nodes[n].Settle(context.Background())
					settled[n] = c.now
				}
			}
			got, _ := c.take(rapid.IntRange(0, nodes-1).Draw(t, "node"), user(1), "", rapid.IntRange(1, 2*limit.Capacity).Draw(t, "burst"))
			for range got {
				given = append(given, c.now)
			}
		}
		capacity, rate := float64(limit.Capacity), float64(limit.FillRate)
		excess := float64(nodes-1) * (capacity + 2*rate*(every.Seconds()+0.025))
		for i := range given {
			for j := i; j < len(given); j++ {
				if most := capacity + rate*given[j].Sub(given[i]).Seconds() + excess; float64(j-i+1) > most+1e-6 {
					t.Fatalf("%d tokens in %v of %d nodes, at most %v", j-i+1, given[j].Sub(given[i]), nodes, most)
				}
			}
		}
	})
}

// A node without the database limits by itself, and what it has given meanwhile is no debt for
// ever.
func TestNodeThatIsCutOff(t *testing.T) {
	t.Parallel()
	limit := limits.Limit{Capacity: 10, FillRate: 2}
	c := newCluster(2, 0, on(limit))
	c.ledger.down = errors.New("no connection")
	got := 0
	for range 600 { // a minute
		n, _ := c.take(0, user(1), "", 1)
		got += n
		c.nodes[0].Settle(t.Context())
		c.now = c.now.Add(100 * time.Millisecond)
	}
	if most := 10 + 2*60; got > most || got < most-1 {
		t.Errorf("%d requests in a minute without the database, want %d", got, most)
	}
	c.ledger.down = nil
	c.nodes[0].Settle(t.Context())
	_, err := c.take(0, user(1), "", 1)
	var exceeded *ratelimit.ExceededError
	if err != nil && (!errors.As(err, &exceeded) || exceeded.RetryAfter() > 2) {
		t.Errorf("after the outage: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := newCluster(1, 100, on(limits.Limit{Capacity: 2, FillRate: 1}))
	for i := range 10_000 {
		if _, err := c.take(0, user(domain.UserID(i+1)), "", 1); err != nil {
			t.Fatal(err)
		}
	}
	if kept, touched := c.nodes[0].Kept(); kept > 100 || touched > 100 {
		t.Errorf("%d buckets are kept, and %d to be settled", kept, touched)
	}
	c.nodes[0].Settle(t.Context())
	if c.ledger.most > 100 {
		t.Errorf("%d callers in a settlement", c.ledger.most)
	}
	c.now = c.now.Add(time.Minute)
	c.nodes[0].Forget()
	if kept, _ := c.nodes[0].Kept(); kept != 0 {
		t.Errorf("%d full buckets are kept", kept)
	}
	// One whose bucket was forgotten is settled once, with all that he was given.
	for i := range 300 {
		_, _ = c.take(0, user(domain.UserID(i%150+1)), "", 1)
	}
	c.nodes[0].Settle(t.Context())
}

// Two nodes on one database: turned on at one, the other limits, and they share.
func TestNodes(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Inline: []eventstore.Inline{access.Projection{}, shared.Projection{}}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	var nodes []*ratelimit.Limiter
	for range 2 {
		l := ratelimit.New(ratelimit.Config{Log: log, Rules: shared.NewReader(pool), Ledger: shared.NewLedger(pool), Every: 20 * time.Millisecond})
		if err := l.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, l)
		running.Go(func() {
			if err := l.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	limit := limits.Limit{Capacity: 50, FillRate: 1}
	if _, err := log.Append(ctx, eventstore.Proposal{Stream: limits.Stream, Expect: eventstore.Any, Events: []domain.Event{
		limits.SettingsChanged{Settings: limits.Settings{Enabled: true, Default: limit}},
	}}); err != nil {
		t.Fatal(err)
	}
	heard := time.NewTicker(time.Millisecond)
	defer heard.Stop()
	for _, l := range nodes {
		for l.Once("") == nil {
			select {
			case <-heard.C:
			case <-time.After(time.Minute):
				t.Fatal("a node has not heard that limits are on")
			}
		}
	}
	cancel()
	running.Wait()
	// By turns, settled after each request: as from one bucket.
	began, got := time.Now(), 0
	for i := range 150 {
		if nodes[i%2].Take(user(1), "") == nil {
			got++
		}
		nodes[i%2].Settle(t.Context())
	}
	// Each may be one request behind the other.
	if most := 51 + time.Since(began).Seconds(); got < 50 || float64(got) > most+1 {
		t.Errorf("two nodes let %d requests through, want from 50 to %.0f", got, most)
	}
	// Both at once before either settles: that is the error. Then they wait until it is made up for.
	began, got = time.Now(), 0
	for i := range 300 {
		if nodes[i%2].Take(user(3), "") == nil {
			got++
		}
	}
	if most := 100 + 2*time.Since(began).Seconds(); got < 100 || float64(got) > most {
		t.Errorf("two nodes that have not settled let %d requests through, want from 100 to %.0f", got, most)
	}
	nodes[0].Settle(t.Context())
	nodes[1].Settle(t.Context())
	err := nodes[1].Take(user(3), "")
	var exceeded *ratelimit.ExceededError
	if passed := time.Since(began).Seconds(); !errors.As(err, &exceeded) || float64(exceeded.RetryAfter()) < 51-passed || exceeded.RetryAfter() > 52 {
		t.Errorf("after 100 of 50 requests: %v", err)
	}
}

func BenchmarkTake(b *testing.B) {
	for name, rules := range map[string]ratelimit.Rules{"off": &set{}, "on": on(limits.Limit{Capacity: 1 << 30, FillRate: 1 << 30})} {
		l := ratelimit.New(ratelimit.Config{Rules: rules})
		if err := l.Refresh(b.Context()); err != nil {
			b.Fatal(err)
		}
		for kind, c := range map[string]credentials.Caller{"user": user(1), "address": {}} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if once := l.Once("192.0.2.1"); once != nil {
						_ = once(c)
					}
				}
			})
			b.Run(name+"/"+kind+"/parallel", func(b *testing.B) {
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						_ = l.Take(c, "192.0.2.1")
					}
				})
			})
		}
	}
}
