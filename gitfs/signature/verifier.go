package signature

import (
	"bytes"
	"context"
	"strings"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Keys knows the public keys of users by their e-mail addresses.
type Keys interface {
	// GPGKeys are armored.
	GPGKeys(ctx context.Context, email string) ([]string, error)
	// SSHKeys have the form of RFC 4253, section 6.6.
	SSHKeys(ctx context.Context, email string) ([][]byte, error)
}

// maxSignature is how long a signature may be, in bytes.
const maxSignature = 64 << 10

// Verifier verifies the signatures of one push; it asks for the keys of each user once. It
// is safe for concurrent use.
type Verifier struct {
	keys Keys

	mu  sync.Mutex
	gpg map[string]openpgp.EntityList
	ssh map[string][][]byte
}

// maxRemembered bounds how many users' keys are remembered.
const maxRemembered = 1000

// NewVerifier makes a Verifier. keys may be nil: nobody has any.
func NewVerifier(keys Keys) *Verifier {
	return &Verifier{keys: keys, gpg: map[string]openpgp.EntityList{}, ssh: map[string][][]byte{}}
}

// Verify says why a signature of a payload is not by a key of the user with an e-mail
// address, "" if it is. Errors are those of asking for keys.
func (v *Verifier) Verify(ctx context.Context, payload, signature []byte, email string) (reason string, err error) {
	trimmed := bytes.TrimSpace(signature)
	switch {
	case len(signature) > maxSignature:
		return "its signature is too long", nil
	case v.keys == nil || email == "":
		return "its committer has no key", nil
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN PGP SIGNATURE-----")):
		keys, err := v.gpgKeys(ctx, email)
		if err != nil {
			return "", err
		}
		return verifyGPG(keys, payload, trimmed), nil
	case bytes.HasPrefix(trimmed, []byte(sshBegin)):
		keys, err := v.sshKeys(ctx, email)
		if err != nil {
			return "", err
		}
		return verifySSH(keys, payload, trimmed), nil
	}
	return "its signature is neither of GPG nor of an SSH key", nil
}

func (v *Verifier) gpgKeys(ctx context.Context, email string) (openpgp.EntityList, error) {
	return remembered(v, v.gpg, email, func() (list openpgp.EntityList, err error) {
		texts, err := v.keys.GPGKeys(ctx, email)
		for _, text := range texts {
			if key, err := ReadKey(text); err == nil { // it was read when it was added
				list = append(list, key)
			}
		}
		return list, err
	})
}

func (v *Verifier) sshKeys(ctx context.Context, email string) ([][]byte, error) {
	return remembered(v, v.ssh, email, func() ([][]byte, error) { return v.keys.SSHKeys(ctx, email) })
}

func remembered[T any](v *Verifier, known map[string]T, email string, ask func() (T, error)) (T, error) {
	email = strings.ToLower(email)
	v.mu.Lock()
	defer v.mu.Unlock()
	if keys, ok := known[email]; ok {
		return keys, nil
	}
	keys, err := ask()
	if err == nil && len(known) < maxRemembered {
		known[email] = keys
	}
	return keys, err
}
