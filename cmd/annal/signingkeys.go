package main

import (
	"context"

	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/gpgkeys"
)

// signingKeys are the keys that users sign their commits with. It implements
// signature.Keys.
type signingKeys struct {
	gpg *gpgkeys.Reader
	ssh *access.Reader
}

// GPGKeys implements signature.Keys.
func (s signingKeys) GPGKeys(ctx context.Context, email string) ([]string, error) {
	keys, err := s.gpg.OfEmail(ctx, email)
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.Text
	}
	return texts, err
}

// SSHKeys implements signature.Keys.
func (s signingKeys) SSHKeys(ctx context.Context, email string) ([][]byte, error) {
	return s.ssh.SSHKeysOfEmail(ctx, email)
}
