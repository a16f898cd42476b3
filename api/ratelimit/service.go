package ratelimit

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/annal-git/annal/domain"
	shared "github.com/annal-git/annal/projections/ratelimit"
)

const (
	settleTimeout = 2 * time.Second        // of one question to the database
	onTheWay      = 25 * time.Millisecond  // that the question may be, so that nobody waits longer than he was told
	settleAtOnce  = 4096                   // callers in one question
	recordEvery   = time.Second            // refusals; roughly
	sweepEvery    = time.Minute            // roughly
	refreshPause  = 100 * time.Millisecond // between two looks at what has been set, however busy the log is
)

// Name implements workers.Service.
func (*Limiter) Name() string { return "rate limits" }

// Run implements workers.Service: it settles with the other nodes and takes over what is set on
// them.
func (l *Limiter) Run(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { l.watch(ctx) })
	ticker := time.NewTicker(l.config.Every)
	defer ticker.Stop()
	refused := map[domain.UserID]shared.Refused{}
	recorded, swept := l.config.Now(), l.config.Now()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			last := context.WithoutCancel(ctx) // each question has its own end
			l.settle(last, refused)
			l.record(last, refused)
			return nil
		}
		l.settle(ctx, refused)
		now := l.config.Now()
		if now.Sub(recorded) >= recordEvery {
			recorded = now
			l.record(ctx, refused)
		}
		if now.Sub(swept) >= sweepEvery {
			swept = now
			l.sweep(ctx, now)
		}
	}
}

// watch follows what is set on all nodes.
func (l *Limiter) watch(ctx context.Context) {
	head := int64(0)
	for {
		var err error
		if head, err = l.config.Log.Await(ctx, head); err != nil {
			return // ctx has ended
		}
		if err := l.refresh(ctx); err != nil && ctx.Err() == nil {
			l.config.Logger.Warn("could not read the rate limits, trying again", "error", err)
			head = 0
		}
		select {
		case <-time.After(refreshPause):
		case <-ctx.Done():
			return
		}
	}
}

func (l *Limiter) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return l.Refresh(ctx)
}

// settle tells the other nodes what this one has given, and learns what they have. It adds
// to the refusals.
func (l *Limiter) settle(ctx context.Context, refused map[domain.UserID]shared.Refused) {
	users := l.users.collect()
	for _, d := range users {
		if d.refused > 0 && (len(refused) < l.config.Callers || refused[d.bucket.key].Count > 0) {
			refused[d.bucket.key] = shared.Refused{User: d.bucket.key, Count: refused[d.bucket.key].Count + d.refused, Last: d.last}
		}
	}
	err := settle(ctx, l, l.users, users, func(id domain.UserID) string { return fmt.Sprintf("user/%d", id) })
	if ours := settle(ctx, l, l.addresses, l.addresses.collect(), func(ip netip.Addr) string { return "address/" + ip.String() }); err == nil {
		err = ours
	}
	switch {
	case err != nil && !l.cutOff:
		l.config.Logger.Warn("rate limits hold for this node alone until the database answers", "error", err)
	case err == nil && l.cutOff:
		l.config.Logger.Info("rate limits hold for all nodes together again")
	}
	l.cutOff = err != nil
}

// settle is settle for callers of one kind.
func settle[K comparable](ctx context.Context, l *Limiter, t *table[K], list []due[K], name func(K) string) error {
	list = slices.DeleteFunc(list, func(d due[K]) bool { return d.spent == 0 })
	for len(list) > 0 {
		part := list[:min(len(list), settleAtOnce)]
		if err := settlePart(ctx, l, t, part, name); err != nil {
			t.unsettled(list)
			return err
		}
		list = list[len(part):]
	}
	return nil
}

func settlePart[K comparable](ctx context.Context, l *Limiter, t *table[K], part []due[K], name func(K) string) error {
	asked := l.config.Now()
	places := make(map[string]int, len(part)) // one bucket may have been forgotten and made anew
	uses := make([]shared.Use, 0, len(part))
	for _, d := range part {
		key := name(d.bucket.key)
		if at, again := places[key]; again {
			uses[at].Tokens += d.spent
			uses[at].Ago = max(uses[at].Ago, asked.Sub(d.since)+onTheWay)
			continue
		}
		places[key] = len(uses)
		uses = append(uses, shared.Use{Key: key, Limit: d.limit, Tokens: d.spent, Ago: max(asked.Sub(d.since), 0) + onTheWay})
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	balances, err := l.config.Ledger.Settle(ctx, uses)
	if err != nil {
		return err
	}
	for _, d := range part {
		t.settled(d.bucket, balances[places[name(d.bucket.key)]], asked)
	}
	return nil
}

// record writes refusals down and forgets them, or keeps them for the next time.
func (l *Limiter) record(ctx context.Context, refused map[domain.UserID]shared.Refused) {
	if len(refused) == 0 {
		return
	}
	list := make([]shared.Refused, 0, len(refused))
	for _, r := range refused {
		list = append(list, r)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := l.config.Ledger.Record(ctx, list); err != nil {
		l.config.Logger.Debug("could not record who was refused", "error", err)
		return
	}
	clear(refused)
}

// sweep forgets full buckets, here and for all nodes.
func (l *Limiter) sweep(ctx context.Context, now time.Time) {
	l.users.forget(now)
	l.addresses.forget(now)
	if l.rules.Load() == nil {
		return // some other minute, if there is anything
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := l.config.Ledger.Sweep(ctx); err != nil {
		l.config.Logger.Debug("could not clear up rate limits", "error", err)
	}
}
