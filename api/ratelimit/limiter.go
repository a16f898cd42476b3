package ratelimit

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/ratelimit"
	shared "github.com/annal-git/annal/projections/ratelimit"
)

// Log says when something has happened. It is an eventstore.Log.
type Log interface {
	// Await returns once the log reaches beyond a position, with the newest known one.
	Await(ctx context.Context, after int64) (head int64, err error)
}

// Rules are what has been set. It is a projections/ratelimit.Reader.
type Rules interface {
	Rules(ctx context.Context, known int64) (*ratelimit.Rules, int64, error)
}

// Ledger is what all nodes share. It is a projections/ratelimit.Ledger.
type Ledger interface {
	Settle(ctx context.Context, uses []shared.Use) (balances []float64, err error)
	Record(ctx context.Context, refused []shared.Refused) error
	Sweep(ctx context.Context) error
}

// Config is what a Limiter needs. Zero values take the defaults named.
type Config struct {
	Log    Log
	Rules  Rules
	Ledger Ledger

	Every   time.Duration // between two settlements; default 200 ms
	Callers int           // users and addresses whose buckets are kept, of each; default 20,000
	Logger  *slog.Logger  // default slog.Default()
	Metrics prometheus.Registerer
	Now     func() time.Time // default time.Now
}

// Limiter lets requests through. A nil Limiter lets all through. It is safe for concurrent
// use.
type Limiter struct {
	config    Config
	rules     atomic.Pointer[ratelimit.Rules] // nil: nothing is limited
	users     *table[domain.UserID]
	addresses *table[netip.Addr]
	refused   *prometheus.CounterVec

	refreshing sync.Mutex // guards position
	position   int64      // of the newest event that is in the rules

	cutOff bool // the last settlement has failed; of Run only
}

// New makes a Limiter. It limits nothing before Refresh was called.
func New(c Config) *Limiter {
	c.Every = cmp.Or(c.Every, 200*time.Millisecond)
	c.Callers = cmp.Or(c.Callers, 20_000)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	l := &Limiter{
		config: c, position: -1, users: newTable[domain.UserID](c.Callers), addresses: newTable[netip.Addr](c.Callers),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_rate_limited_total", Help: "Requests that were refused because their caller had made too many, by what they were counted under.",
		}, []string{"by"}),
	}
	if c.Metrics != nil {
		c.Metrics.MustRegister(l.refused)
	}
	return l
}

// Take takes a token of the caller of a request, who is known by his address if he has not
// logged in. The error is an *ExceededError.
func (l *Limiter) Take(caller credentials.Caller, address string) error {
	if l == nil {
		return nil
	}
	rules := l.rules.Load()
	if rules == nil {
		return nil
	}
	limit, by := rules.Default, "address"
	var wait time.Duration
	if caller.Anonymous() {
		wait = l.addresses.take(network(address), limit, l.config.Now())
	} else {
		var limited bool
		if limit, limited = rules.Of(caller.User.ID); !limited {
			return nil
		}
		by = "user"
		wait = l.users.take(caller.User.ID, limit, l.config.Now())
	}
	if wait == 0 {
		return nil
	}
	l.refused.WithLabelValues(by).Inc()
	return &ExceededError{Limit: limit, Wait: wait, Anonymous: caller.Anonymous()}
}

// Once returns what takes the token of one request from an address, however often it is
// called. It is not safe for concurrent use.
func (l *Limiter) Once(address string) func(credentials.Caller) error {
	if l == nil || l.rules.Load() == nil {
		return nil
	}
	taken := false
	return func(caller credentials.Caller) error {
		if taken {
			return nil
		}
		taken = true
		return l.Take(caller, address)
	}
}

// network is what an address is counted under: itself, or of IPv6 the network of 2^64
// addresses that one customer has.
func network(address string) netip.Addr {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Addr{} // such as that of a Unix socket
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		prefix, _ := ip.Prefix(64) // fails for other lengths only
		return prefix.Addr()
	}
	return ip
}

// Refresh has this node judge by what has been set until now.
func (l *Limiter) Refresh(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.refreshing.Lock()
	defer l.refreshing.Unlock()
	rules, position, err := l.config.Rules.Rules(ctx, l.position)
	if err != nil || rules == nil {
		return err
	}
	l.position = position
	if !rules.Enabled {
		rules = nil
	}
	l.rules.Store(rules)
	return nil
}
