package tree

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
)

// Key signs checkpoints.
type Key struct{ private ed25519.PrivateKey }

// NewKey makes a key.
func NewKey() (Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return Key{private}, err
}

// Public is the public half.
func (k Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign returns the checkpoint as a signed note.
func (k Key) Sign(c Checkpoint) (string, error) { return k.sign(c.Origin, c.Text()) }

func (k Key) sign(name, text string) (string, error) {
	verifier, err := verifierOf(name, k.Public())
	if err != nil {
		return "", err
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer{verifier, k.private})
	return string(signed), err
}

// signer implements note.Signer: the name that a key signs by changes with the epoch.
type signer struct {
	note.Verifier
	private ed25519.PrivateKey
}

func (s signer) Sign(text []byte) ([]byte, error) { return ed25519.Sign(s.private, text), nil }

// vouchName is what a key signs its successor by.
func vouchName(cluster string) string { return "annal/" + cluster + "/key" }

// Vouch signs the public key that shall sign after k.
func (k Key) Vouch(cluster string, next ed25519.PublicKey) (string, error) {
	name := vouchName(cluster)
	return k.sign(name, name+"\n"+PublicKeyText(next)+"\n")
}

// CheckVouch reports, as an error, if old has not vouched for next.
func CheckVouch(cluster, vouch string, old, next ed25519.PublicKey) error {
	name := vouchName(cluster)
	text, err := openNote(vouch, name, old)
	if err != nil {
		return err
	}
	if text != name+"\n"+PublicKeyText(next)+"\n" {
		return &SignatureError{name, errors.New("it vouches for another key")}
	}
	return nil
}

// Files of a key that is being replaced: a key waits beside the one in use until the
// event that introduces it is in the log.
const nextSuffix = ".next"

const pemType = "PRIVATE KEY"

// LoadKey reads the key in a file: PEM of PKCS #8, as openssl genpkey -algorithm ed25519
// writes it. The error is fs.ErrNotExist if there is none.
func LoadKey(file string) (Key, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Key{}, fmt.Errorf("signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return Key{}, fmt.Errorf("signing key: %s holds no PEM block of type %s", file, pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, fmt.Errorf("signing key: %s: %w", file, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("signing key: %s holds a key that is not of Ed25519", file)
	}
	return Key{private}, nil
}

// LoadKeyOf finds the private key of a public one: in the file, or in the one beside it
// that waits for its event, which is then put in place.
func LoadKeyOf(file string, public ed25519.PublicKey) (Key, error) {
	key, err := LoadKey(file)
	if err == nil && (public == nil || key.Public().Equal(public)) {
		return key, nil
	}
	next, nextErr := LoadKey(file + nextSuffix)
	if nextErr == nil && next.Public().Equal(public) {
		return next, AdoptKey(file)
	}
	if err != nil {
		return Key{}, err
	}
	return Key{}, fmt.Errorf("signing key: %s has the public key %s, and the log names %s: restore that key, or begin with another by 'annal audit keys rotate --lost'",
		file, PublicKeyText(key.Public()), PublicKeyText(public))
}

// AdoptKey puts the key that StageKey wrote in the place of the one before, which is gone
// then.
func AdoptKey(file string) error {
	err := os.Rename(file+nextSuffix, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another node was faster
	}
	if err == nil {
		err = syncFolder(filepath.Dir(file))
	}
	return err
}

// StageKey makes a key and writes it beside the one in a file.
func StageKey(file string) (Key, error) {
	key, err := NewKey()
	if err == nil {
		err = writeKey(file+nextSuffix, key, os.Rename)
	}
	return key, err
}

// FirstKey loads the key in a file, or makes it. Of two nodes that do so at once, one
// makes it and both load it.
func FirstKey(file string) (Key, error) {
	key, err := LoadKey(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = NewKey(); err != nil {
		return Key{}, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return Key{}, fmt.Errorf("signing key: %w", err)
	}
	// A link, unlike a renaming, never replaces a key that is there.
	if err := writeKey(file, key, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, err
	}
	return LoadKey(file)
}

func writeKey(file string, key Key, place func(from, to string) error) error {
	encoded, err := x509.MarshalPKCS8PrivateKey(key.private)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: encoded})
	temporary, err := writeTemporary(filepath.Dir(file), text)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	defer func() { _ = os.Remove(temporary) }() // fails once it is renamed
	if err := place(temporary, file); err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	return syncFolder(filepath.Dir(file))
}
