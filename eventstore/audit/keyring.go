package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"

	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore/tree"
)

// keyring follows which key signs. Those who try signatures before their turn ask it,
// too, and may be told too little: then it is tried again in its turn.
type keyring struct {
	mu      sync.Mutex
	known   []ed25519.PublicKey // that have signed, or may
	signing ed25519.PublicKey
	past    []ed25519.PublicKey // all that have ever signed
}

func (k *keyring) keys() []ed25519.PublicKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known
}

func (k *keyring) current() ed25519.PublicKey { return k.signing }

func (k *keyring) use(key ed25519.PublicKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signing = key
	k.known = []ed25519.PublicKey{key}
	k.past = append(k.past, key)
}

// trust begins with a key that is trusted.
func (v *verifier) trust(h Header, keys []ed25519.PublicKey) error {
	var named ed25519.PublicKey
	if h.PublicKey != "" {
		var err error
		if named, err = tree.ParsePublicKey(h.PublicKey); err != nil {
			return &InputError{0, err}
		}
	}
	if len(keys) == 0 {
		if named == nil {
			return errors.New("give the public key of the log (--key)")
		}
		v.report.Notes = append(v.report.Notes, fmt.Sprintf("No key was given: %s was taken, which is named by what is verified itself. Compare it with the one you were given.", tree.PublicKeyText(named)))
		v.use(named)
		return nil
	}
	// If the one that the source names first is trusted, or vouches for one that is, it
	// does not matter where trust begins.
	for _, key := range keys {
		if named == nil || key.Equal(named) {
			v.use(key)
			return nil
		}
	}
	v.use(keys[0])
	return nil
}

// changeKey takes in a change of the key. The one before must have vouched for it, or it
// must be one of those that are trusted anyway.
func (v *verifier) changeKey(position int64, e cluster.SigningKeyChanged) {
	next, err := tree.ParsePublicKey(e.New)
	if err != nil {
		v.findings.at(Signatures, position, "%s", err)
		return
	}
	v.history.Add(position, e)
	for _, trusted := range v.options.Keys {
		if trusted.Equal(next) {
			v.use(next)
			return
		}
	}
	if e.Vouch == "" {
		v.findings.at(Signatures, position, "the signing key was lost and nothing vouches for the next, %s: if it is the right one, give it with --key", e.New)
		v.use(next)
		return
	}
	if err := tree.CheckVouch(v.header.Cluster, e.Vouch, v.current(), next); err != nil {
		// Or an event before it is missing that changed the key.
		v.findings.order(Signatures, position, "a key is introduced that the one before has not vouched for: %s", err)
		return // the one before stays
	}
	v.use(next)
}
