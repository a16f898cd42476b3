package main

import (
	"context"

	"github.com/annal-git/annal/projections/gpgkeys"
)

// signingKeys are the keys that users sign their commits with. It implements
// signature.Keys.
type signingKeys struct {
	gpg *gpgkeys.Reader
	ssh sshKeysOfEmail // nil while users have no SSH keys
}

// sshKeysOfEmail lists the SSH keys of the active users who have an e-mail address, in the
// form of RFC 4253, section 6.6: those that have not expired, and no access keys.
type sshKeysOfEmail interface {
	SSHKeysOfEmail(ctx context.Context, email string) ([][]byte, error)
}

func newSigningKeys(gpg *gpgkeys.Reader, users any) signingKeys {
	ssh, _ := users.(sshKeysOfEmail)
	return signingKeys{gpg, ssh}
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
	if s.ssh == nil {
		return nil, nil
	}
	return s.ssh.SSHKeysOfEmail(ctx, email)
}
