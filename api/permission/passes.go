package permission

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
)

// Log says whether something has been decided since a verdict. It is an eventstore.Log.
type Log interface {
	KnownHead() int64
	Unchanged(since int64, repository domain.RepositoryID) bool
}

// Asker is who asks, before anybody has found out who that is.
type Asker struct {
	// Proof is what he proves himself by, and of what kind it is: the same proof is that of
	// the same caller, as long as nothing is decided.
	Kind, Proof string
	// Find finds him. Its errors are those of Authenticator.
	Find func(ctx context.Context) (credentials.Caller, error)
	// Admit, if set, is told who asks as soon as that is known, perhaps more than once; its
	// error is the answer. Of somebody who has not logged in it is not told before he is let
	// through: clients ask without a log-in first, and are asked for one.
	Admit func(credentials.Caller) error
}

// Admitted asks Admit.
func (a Asker) Admitted(caller credentials.Caller) error {
	if a.Admit == nil {
		return nil
	}
	return a.Admit(caller)
}

// Pass is a verdict: this caller may do this with this repository, unless something has
// been decided since.
type Pass struct {
	Caller     credentials.Caller
	Repository domain.RepositoryID

	since int64 // position of the log that the rows were read at, or before
}

// Gate lets callers through to repositories and remembers the verdicts, because most who
// fetch come again. What it remembers is named by a keyed hash of the caller's
// credentials, and it remembers no refusal. It is safe for concurrent use.
type Gate struct {
	// Denied, if set, is told of everybody whom Judge lets do less than he asks for. Set it before
	// the Gate is used.
	Denied func(ctx context.Context, caller credentials.Caller, err error)

	log   Log
	judge Judge
	now   func() time.Time
	key   [sha256.Size]byte

	mu         sync.Mutex
	young, old map[passKey]*Pass
}

type passKey [sha256.Size]byte

// passesPerRound bounds what is remembered: two rounds of it, each pass below 2 KiB since
// names have at most 255 bytes.
const passesPerRound = 4096

// NewGate makes a Gate. now may be nil.
func NewGate(log Log, judge Judge, now func() time.Time) *Gate {
	if now == nil {
		now = time.Now
	}
	g := &Gate{log: log, judge: judge, now: now, young: map[passKey]*Pass{}}
	_, _ = rand.Read(g.key[:]) // never fails: it ends the program instead
	return g
}

// Remembered returns a pass that was given before, nil if there is none. It is of no use
// before Holds has said so, after the log was asked for what is new.
func (g *Gate) Remembered(asker Asker, project, slug string, need rights.Permission) *Pass {
	key := g.keyOf(asker, project, slug, need)
	g.mu.Lock()
	defer g.mu.Unlock()
	pass := g.young[key]
	if pass == nil {
		if pass = g.old[key]; pass != nil {
			g.insert(key, pass)
		}
	}
	return pass
}

// Holds reports whether a pass still says what a new verdict would, as far as the log has
// been asked.
func (g *Gate) Holds(p *Pass) bool {
	return g.log.Unchanged(p.since, p.Repository) && (p.Caller.Until.IsZero() || g.now().Before(p.Caller.Until))
}

// Judge finds out who asks, and judges whether he may do something with a repository.
// Errors are those of asker.Find, asker.Admit and Judge.Repository.
func (g *Gate) Judge(ctx context.Context, asker Asker, project, slug string, need rights.Permission) (*Pass, error) {
	since := g.log.KnownHead()
	caller, err := asker.Find(ctx)
	if err != nil {
		return nil, err
	}
	if !caller.Anonymous() {
		if err := asker.Admitted(caller); err != nil {
			return nil, err
		}
	}
	found, err := g.judge.Repository(ctx, caller, project, slug, need)
	if err == nil && caller.Anonymous() {
		err = asker.Admitted(caller)
	}
	if err != nil {
		if g.Denied != nil {
			g.Denied(ctx, caller, err)
		}
		return nil, err
	}
	pass := &Pass{Caller: caller, Repository: found.ID, since: since}
	key := g.keyOf(asker, project, slug, need)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.insert(key, pass)
	return pass, nil
}

// insert remembers a pass; the lock is held.
func (g *Gate) insert(key passKey, pass *Pass) {
	if len(g.young) >= passesPerRound {
		g.old, g.young = g.young, map[passKey]*Pass{}
	}
	g.young[key] = pass
}

// keyOf names what is asked. A stranger cannot work out what lies under which key, so it
// does not matter that finding one takes less time than finding none.
func (g *Gate) keyOf(asker Asker, project, slug string, need rights.Permission) (key passKey) {
	mac := hmac.New(sha256.New, g.key[:])
	var length [8]byte
	for _, part := range [...]string{asker.Kind, asker.Proof, strings.ToUpper(project), strings.ToLower(slug), string(need)} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	mac.Sum(key[:0])
	return key
}
