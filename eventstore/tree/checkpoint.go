package tree

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is the state of a tree: what a signature is put under.
type Checkpoint struct {
	Origin string // which tree, see Origin
	Size   int64
	Root   tlog.Hash
}

// Origin names the tree of a cluster in one epoch. It is also the name that its
// checkpoints are signed by.
func Origin(cluster string, epoch int64) string { return fmt.Sprintf("annal/%s/%d", cluster, epoch) }

// ParseOrigin is the inverse of Origin.
func ParseOrigin(origin string) (cluster string, epoch int64, err error) {
	parts := strings.Split(origin, "/")
	if len(parts) == 3 {
		epoch, err = strconv.ParseInt(parts[2], 10, 64)
		if err == nil && epoch > 0 && parts[1] != "" && Origin(parts[1], epoch) == origin {
			return parts[1], epoch, nil
		}
	}
	return "", 0, fmt.Errorf("%.100q is not the origin of a log of Annal, which is annal/<cluster>/<epoch>", origin)
}

// Text is what is signed (C2SP tlog-checkpoint): origin, size and root, a line each.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// ParseCheckpoint reads what Text wrote, and refuses any other spelling.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, errors.New("a checkpoint has three lines: origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, fmt.Errorf("the size %.30q of a checkpoint is not a number", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return Checkpoint{}, errors.New("the root of a checkpoint is not 32 bytes in base64")
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	if _, _, err := ParseOrigin(c.Origin); err != nil {
		return Checkpoint{}, err
	}
	if c.Text() != text {
		return Checkpoint{}, errors.New("the checkpoint is not written in its one form")
	}
	return c, nil
}

// maxNote is the longest signed note that is read, in bytes.
const maxNote = 16 << 10

// SignatureError says that a note is not signed by the key it must be signed by.
type SignatureError struct {
	Origin string
	Err    error
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("the note of %s is not signed by the key it must be signed by: %v", e.Origin, e.Err)
}

// Unwrap gives the reason.
func (e *SignatureError) Unwrap() error { return e.Err }

// OpenCheckpoint reads a signed checkpoint and checks its signature. That is a
// *SignatureError if key has not signed it.
func OpenCheckpoint(signed string, key ed25519.PublicKey) (Checkpoint, error) {
	c, err := PeekCheckpoint(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	if _, err := openNote(signed, c.Origin, key); err != nil {
		return Checkpoint{}, err
	}
	return c, nil
}

// PeekCheckpoint reads a signed checkpoint without checking the signature: to learn what
// key must have signed it.
func PeekCheckpoint(signed string) (Checkpoint, error) {
	text, _, ok := strings.Cut(signed, "\n\n")
	if !ok || len(signed) > maxNote {
		return Checkpoint{}, errors.New("this is no signed checkpoint")
	}
	return ParseCheckpoint(text + "\n")
}

func openNote(signed, name string, key ed25519.PublicKey) (string, error) {
	if len(signed) > maxNote {
		return "", &SignatureError{name, fmt.Errorf("it is longer than %d bytes", maxNote)}
	}
	verifier, err := verifierOf(name, key)
	if err != nil {
		return "", &SignatureError{name, err}
	}
	opened, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return "", &SignatureError{name, err}
	}
	return opened.Text, nil
}

func verifierOf(name string, key ed25519.PublicKey) (note.Verifier, error) {
	text, err := note.NewEd25519VerifierKey(name, key)
	if err != nil {
		return nil, err
	}
	return note.NewVerifier(text)
}

// VerifierKey is a public key as tools of the C2SP formats take it: name, hash and key.
func VerifierKey(origin string, key ed25519.PublicKey) string {
	text, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return ""
	}
	return text
}

// ParsePublicKey reads a public key: 32 bytes in base64, or the form of VerifierKey.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	text = strings.TrimSpace(text)
	if strings.Count(text, "+") >= 2 && strings.Contains(text, "/") && !isBase64Key(text) {
		if _, err := note.NewVerifier(text); err != nil {
			return nil, fmt.Errorf("%.100q is not a public key: %w", text, err)
		}
		_, rest, _ := strings.Cut(text, "+")
		_, encoded, _ := strings.Cut(rest, "+")
		key, _ := base64.StdEncoding.DecodeString(encoded)
		return ed25519.PublicKey(key[1:]), nil
	}
	if !isBase64Key(text) {
		return nil, fmt.Errorf("%.100q is not a public key, which is 32 bytes in base64", text)
	}
	key, _ := base64.StdEncoding.DecodeString(text)
	return ed25519.PublicKey(key), nil
}

func isBase64Key(text string) bool {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(key) == ed25519.PublicKeySize
}

// PublicKeyText is a public key in base64.
func PublicKeyText(key ed25519.PublicKey) string { return base64.StdEncoding.EncodeToString(key) }
