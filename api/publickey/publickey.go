// Package publickey reads SSH public keys that people paste, and judges whether they are
// safe to let anybody in by.
package publickey

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/account"
)

// Bounds of RSA keys, in bits. Verifying a signature takes time that grows with the square
// of the length, and whoever has added a key decides how often that happens.
const (
	MinRSABits = 2048
	MaxRSABits = 8192
)

// maxText bounds what is looked at, in bytes: the longest key, in base64, and a comment.
const maxText = 2*account.MaxSSHKeyBytes + 1024

// Key is a public key.
type Key struct {
	Wire      []byte // in the form of RFC 4253, section 6.6
	Algorithm string // by Bitbucket's name, such as RSA
	Bits      int
	Comment   string
}

// Text is the key as authorized_keys has it, with a label behind it unless that is empty.
func Text(wire []byte, label string) string {
	text := keyType(wire) + " " + base64.StdEncoding.EncodeToString(wire)
	if label != "" {
		text += " " + label
	}
	return text
}

// Fingerprint is SHA256 and the hash in base64, as ssh-keygen -l shows it.
func Fingerprint(wire []byte) string {
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}

func keyType(wire []byte) string {
	var head struct {
		Type string
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(wire, &head) != nil {
		return ""
	}
	return head.Type
}

// Parse reads one line of an authorized_keys file without options. Errors are
// *domain.InvalidError for the field "text". That a public exponent is odd and at least 3, and
// that points are on their curve, x/crypto checks.
func Parse(text string) (Key, error) {
	if len(text) > maxText {
		return Key{}, domain.Invalid("text", "An SSH key with its comment is limited to %d bytes.", maxText)
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return Key{}, domain.Invalid("text", "The text of the SSH key is required.")
	}
	if strings.ContainsAny(text, "\x00\r\n") {
		return Key{}, domain.Invalid("text", "An SSH key is one line.")
	}
	kind, rest, _ := strings.Cut(text, " ")
	encoded, comment, _ := strings.Cut(strings.TrimLeft(rest, " \t"), " ")
	wire, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(wire) == 0 {
		return Key{}, malformed()
	}
	if len(wire) > account.MaxSSHKeyBytes {
		return Key{}, domain.Invalid("text", "An SSH key has at most %d bytes.", account.MaxSSHKeyBytes)
	}
	key := Key{Wire: wire, Comment: strings.TrimSpace(comment)}
	switch actual := keyType(wire); {
	case strings.Contains(actual, "-cert-"):
		return Key{}, domain.Invalid("text", "This is a certificate. Add the public key itself.")
	case actual == "ssh-dss":
		return Key{}, domain.Invalid("text", "DSA keys are not safe any more. Make another with ssh-keygen -t ed25519.")
	case actual != kind:
		return Key{}, malformed()
	}
	public, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return Key{}, malformed()
	}
	key.Wire = public.Marshal() // of a number that can be written in two ways one is the same key
	key.Algorithm, key.Bits, err = strength(public)
	return key, err
}

func malformed() error {
	return domain.Invalid("text", "This is not an SSH public key. Paste the line from the file that ends with .pub.")
}

// strength names the kind of a key and its length.
func strength(key ssh.PublicKey) (algorithm string, bits int, err error) {
	switch key.Type() {
	case ssh.KeyAlgoED25519:
		return "ED25519", 256, nil
	case ssh.KeyAlgoSKED25519:
		return "ED25519_SK", 256, nil
	case ssh.KeyAlgoSKECDSA256:
		return "ECDSA_SK", 256, nil
	}
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return "", 0, unsupported()
	}
	switch public := crypto.CryptoPublicKey().(type) {
	case *ecdsa.PublicKey:
		return "ECDSA", public.Params().BitSize, nil
	case *rsa.PublicKey:
		bits := public.N.BitLen()
		if bits < MinRSABits || bits > MaxRSABits {
			return "", 0, domain.Invalid("text", "An RSA key has %d to %d bits, and this one has %d.", MinRSABits, MaxRSABits, bits)
		}
		return "RSA", bits, nil
	}
	return "", 0, unsupported()
}

func unsupported() error {
	return domain.Invalid("text", "Keys of this kind are not accepted. Use Ed25519, ECDSA or RSA.")
}
