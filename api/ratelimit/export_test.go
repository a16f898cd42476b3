package ratelimit

import (
	"context"

	"github.com/annal-git/annal/domain"
	shared "github.com/annal-git/annal/projections/ratelimit"
)

// Settle settles once.
func (l *Limiter) Settle(ctx context.Context) { l.settle(ctx, map[domain.UserID]shared.Refused{}) }

// Forget forgets full buckets.
func (l *Limiter) Forget() { l.users.forget(l.config.Now()) }

// Kept is how many users' buckets are kept, and how many of them are to be settled.
func (l *Limiter) Kept() (buckets, touched int) {
	l.users.mu.Lock()
	defer l.users.mu.Unlock()
	return len(l.users.buckets), len(l.users.touched)
}
