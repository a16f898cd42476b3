package eventstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"github.com/annal-git/annal/domain"
)

// Parts of an event's personal data: where its cause came from, and what the
// event itself says of a person.
const (
	partOrigin = "origin"
	partEvent  = "event"
)

// origin is the personal part of metadata.
type origin struct {
	Address string `json:"address,omitempty"`
}

// storedMeta is domain.Metadata as the log keeps it: without personal data, with
// the commitments to it.
type storedMeta struct {
	Actor       domain.UserID     `json:"actor,omitempty"`
	Auth        string            `json:"auth,omitempty"`
	RequestID   string            `json:"request,omitempty"`
	Correlation string            `json:"correlation,omitempty"`
	Causation   string            `json:"causation,omitempty"`
	Node        string            `json:"node,omitempty"`
	Commitments map[string]string `json:"commitments,omitempty"`
}

// personalRow is one row of log.personal.
type personalRow struct {
	part    string
	subject domain.UserID
	salt    []byte
	data    []byte
}

// commit salts data and returns the row that keeps it and the commitment that the
// log keeps: SHA-256(salt || data) in hexadecimal.
func commit(part string, subject domain.UserID, data []byte) (personalRow, string) {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails: it ends the program instead
	sum := sha256.Sum256(append(append([]byte(nil), salt...), data...))
	return personalRow{part: part, subject: subject, salt: salt, data: data}, hex.EncodeToString(sum[:])
}
