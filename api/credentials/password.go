package credentials

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// Cost of a hash: OWASP's second recommendation for argon2id, some 30 ms.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSalt    = 16 // bytes
	hashLength  = 32 // bytes
)

// maxPassword is how long a password may be, in bytes.
const maxPassword = 1024

// hasher computes argon2id hashes, a bounded number at a time.
type hasher struct {
	slots    chan struct{}
	decoy    string       // a hash to compare with when there is no user
	computed atomic.Int64 // hashes, ever
}

func newHasher(parallel int) *hasher {
	h := &hasher{slots: make(chan struct{}, parallel)}
	h.decoy = encode(hashParameters{hashMemory, hashTime, hashThreads}, make([]byte, hashSalt), make([]byte, hashLength))
	return h
}

// hash makes a password's hash in PHC string format.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, hashSalt)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	p := hashParameters{hashMemory, hashTime, hashThreads}
	sum, err := h.compute(ctx, p, password, salt, hashLength)
	if err != nil {
		return "", err
	}
	return encode(p, salt, sum), nil
}

// verify reports whether a password has a hash. An empty hash takes as long as
// another and fits no password.
func (h *hasher) verify(ctx context.Context, password, encoded string) (bool, error) {
	compared := encoded
	if encoded == "" {
		compared = h.decoy
	}
	p, salt, want, err := decode(compared)
	if err != nil {
		return false, err
	}
	sum, err := h.compute(ctx, p, password, salt, len(want))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(sum, want) == 1 && encoded != "", nil
}

func (h *hasher) compute(ctx context.Context, p hashParameters, password string, salt []byte, length int) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.computed.Add(1)
	return argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, uint32(length)), nil
}

type hashParameters struct {
	memory, time uint32
	threads      uint8
}

func encode(p hashParameters, salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

var errHash = errors.New("stored password hash is not argon2id in PHC string format, or costs too much")

func decode(encoded string) (p hashParameters, salt, sum []byte, err error) {
	fields := strings.Split(encoded, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, nil, nil, errHash
	}
	if salt, err = base64.RawStdEncoding.DecodeString(fields[4]); err != nil {
		return p, nil, nil, errHash
	}
	if sum, err = base64.RawStdEncoding.DecodeString(fields[5]); err != nil {
		return p, nil, nil, errHash
	}
	// The bounds keep a hash from elsewhere from costing more than memory allows.
	if p.memory > 4*hashMemory || p.time == 0 || p.time > 10 || p.threads == 0 || len(salt) < 8 || len(sum) < 16 || len(sum) > 64 {
		return p, nil, nil, errHash
	}
	return p, salt, sum, nil
}
