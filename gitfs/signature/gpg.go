package signature

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/gpgkey"
)

// verifyGPG says why an armored signature is not by one of the keys.
func verifyGPG(keys openpgp.EntityList, payload, signature []byte) (reason string) {
	defer func() {
		if recover() != nil { // of a library that reads what strangers send
			reason = "its signature cannot be read"
		}
	}()
	block, err := armor.Decode(bytes.NewReader(signature))
	if err != nil {
		return "its signature cannot be read"
	}
	_, err = openpgp.CheckDetachedSignature(keys, bytes.NewReader(payload), block.Body, &packet.Config{})
	switch {
	case err == nil:
		return ""
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return "it is signed by a key that its committer has not added"
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return "it is signed by a key that has expired"
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return "it is signed by a key that was revoked"
	case errors.Is(err, pgperrors.ErrSignatureExpired):
		return "its signature has expired"
	}
	return "its signature is wrong"
}

// ReadKey reads one armored public key. The error is a *domain.InvalidError.
func ReadKey(text string) (key *openpgp.Entity, err error) {
	defer func() {
		if recover() != nil {
			key, err = nil, errKey()
		}
	}()
	if len(text) > gpgkey.MaxBytes {
		return nil, domain.Invalid("text", "A GPG key has at most %d bytes.", gpgkey.MaxBytes)
	}
	list, err := openpgp.ReadArmoredKeyRing(strings.NewReader(text))
	switch {
	case err != nil || len(list) == 0:
		return nil, errKey()
	case len(list) > 1:
		return nil, domain.Invalid("text", "These are %d keys. Add them one by one.", len(list))
	case list[0].PrivateKey != nil:
		return nil, domain.Invalid("text", "This is a private key, which nobody else may know. Add the public one (gpg --armor --export).")
	}
	return list[0], nil
}

func errKey() error {
	return domain.Invalid("text", "This is not a public key of GPG. It begins with -----BEGIN PGP PUBLIC KEY BLOCK----- (gpg --armor --export).")
}

// Describe reads a key to be added. It must be able to sign. The error is a
// *domain.InvalidError.
func Describe(text string, now time.Time) (gpgkey.Details, error) {
	key, err := ReadKey(text)
	if err != nil {
		return gpgkey.Details{}, err
	}
	if _, ok := key.SigningKey(now); !ok {
		return gpgkey.Details{}, domain.Invalid("text", "This key cannot sign: it has expired, was revoked, or is not made for it.")
	}
	d := gpgkey.Details{
		Fingerprint: hex.EncodeToString(key.PrimaryKey.Fingerprint), KeyID: fmt.Sprintf("%016x", key.PrimaryKey.KeyId), Text: text,
	}
	if self, err := key.PrimarySelfSignature(); err == nil {
		d.Expires = expiry(key.PrimaryKey, self)
	}
	if identity := key.PrimaryIdentity(); identity != nil && identity.UserId != nil {
		d.Email = identity.UserId.Email
	}
	for _, sub := range key.Subkeys {
		d.Subkeys = append(d.Subkeys, gpgkey.Subkey{Fingerprint: hex.EncodeToString(sub.PublicKey.Fingerprint), Expires: expiry(sub.PublicKey, sub.Sig)})
	}
	return d, nil
}

// expiry is when a key ends by its signature, nil if it does not.
func expiry(key *packet.PublicKey, by *packet.Signature) *time.Time {
	if by == nil || by.KeyLifetimeSecs == nil || *by.KeyLifetimeSecs == 0 {
		return nil
	}
	end := key.CreationTime.Add(time.Duration(*by.KeyLifetimeSecs) * time.Second).UTC()
	return &end
}
