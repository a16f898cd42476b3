package main

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/projections/access"
)

// useTimeout bounds the noting of when a key or token was used.
const useTimeout = 5 * time.Second

// maxNoted bounds what is remembered of keys or tokens whose use was noted in the last minute; a key
// has at most account.MaxSSHKeyBytes, and mostly less than a hundred.
const maxNoted = 1000

// lately remembers what was noted in the last minute.
type lately[K comparable] struct {
	mu    sync.Mutex // guards what follows
	noted map[K]time.Time
}

// due reports whether the use of a key is to be noted, and remembers that it is.
func (l *lately[K]) due(key K, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.noted[key]) < time.Minute {
		return false
	}
	if l.noted == nil || len(l.noted) >= maxNoted {
		l.noted = map[K]time.Time{}
	}
	l.noted[key] = now
	return true
}

// tokenUses notes when access tokens are used.
type tokenUses struct {
	uses *access.Uses
	log  *slog.Logger
	lately[account.TokenID]
}

// used does without if the database does not answer: nothing depends on it.
func (t *tokenUses) used(ctx context.Context, id account.TokenID) {
	now := time.Now()
	if !t.due(id, now) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	if err := t.uses.Token(ctx, id, now); err != nil && ctx.Err() == nil {
		t.log.Debug("the use of a token was not noted", "error", err)
	}
}

// usedBy notes the use of the token that somebody came with before and was remembered by, if it was
// one.
func (t *tokenUses) usedBy(ctx context.Context, auth string) {
	number, ok := strings.CutPrefix(auth, "token:")
	if !ok {
		return
	}
	if id, err := strconv.ParseInt(number, 10, 64); err == nil {
		t.used(ctx, account.TokenID(id))
	}
}
