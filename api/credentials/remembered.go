package credentials

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"time"

	"github.com/annal-git/annal/domain"
)

// Limits of what is remembered. An entry is 32 bytes of key and what a map adds to
// them, so the two generations together stay below 2 MiB.
const (
	rememberFor        = time.Minute
	rememberedPerRound = 10_000
)

// remembered holds keyed hashes of passwords that were right a moment ago. It keeps
// two generations: what is in neither was right longer than rememberFor ago, or has
// been pushed out by others.
type remembered struct {
	key [32]byte
	now func() time.Time

	mu        sync.Mutex // guards what follows
	young     map[[32]byte]struct{}
	old       map[[32]byte]struct{}
	turnAfter time.Time
}

func newRemembered(now func() time.Time) *remembered {
	r := &remembered{now: now, young: map[[32]byte]struct{}{}}
	_, _ = rand.Read(r.key[:]) // never fails: it ends the program instead
	return r
}

// entry names a password of a user, as of one version of it, from one address: whoever may not
// try at his own must not find out there what is right elsewhere. The name tells those apart
// who do not exist.
func (r *remembered) entry(user domain.UserID, version int64, name, address, password string) (entry [32]byte) {
	mac := hmac.New(sha256.New, r.key[:])
	var number [8]byte
	for _, n := range []int64{int64(user), version, int64(len(name)), int64(len(address))} {
		binary.BigEndian.PutUint64(number[:], uint64(n))
		mac.Write(number[:])
	}
	for _, text := range []string{strings.ToLower(name), address, password} {
		mac.Write([]byte(text))
	}
	mac.Sum(entry[:0])
	return entry
}

func (r *remembered) has(entry [32]byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	_, young := r.young[entry]
	_, old := r.old[entry]
	return young || old
}

func (r *remembered) add(entry [32]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	r.young[entry] = struct{}{}
}

// turn makes the young generation the old one when half the time is over or it is
// full. The mutex is held.
func (r *remembered) turn() {
	now := r.now()
	due := !now.Before(r.turnAfter)
	if !due && len(r.young) < rememberedPerRound {
		return
	}
	if due && now.Sub(r.turnAfter) >= rememberFor/2 {
		r.young = map[[32]byte]struct{}{} // nobody came for a whole round: both are too old
	}
	r.old, r.young = r.young, map[[32]byte]struct{}{}
	r.turnAfter = now.Add(rememberFor / 2)
}
