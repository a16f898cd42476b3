package eventstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/canonical"
)

// Parts of an event's personal data: where its cause came from, and what the
// event itself says of a person.
const (
	partOrigin = "origin"
	partEvent  = "event"
)

// personalRow is one row of log.personal.
type personalRow struct {
	part    string
	subject domain.UserID
	salt    []byte
	data    []byte
}

// saltSize is in bytes. Nobody can try 2^128 salts to find out what a commitment hides.
const saltSize = 16

// commit salts data and returns the row that keeps it and the commitment that the
// log keeps.
func commit(part string, subject domain.UserID, data []byte) (personalRow, string) {
	salted := make([]byte, saltSize+len(data))
	_, _ = rand.Read(salted[:saltSize]) // never fails: it ends the program instead
	copy(salted[saltSize:], data)
	sum := sha256.Sum256(salted)
	row := personalRow{part: part, subject: subject, salt: salted[:saltSize:saltSize], data: salted[saltSize:]}
	return row, base64.RawURLEncoding.EncodeToString(sum[:])
}

// Commitment is what the metadata of an event holds of personal data: SHA-256(salt ||
// data) in the URL alphabet of base64 (RFC 4648), unpadded.
func Commitment(salt, data []byte) string {
	h := sha256.New()
	h.Write(salt)
	h.Write(data)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// origin is the personal part of metadata.
type origin struct {
	Address string `json:"address,omitempty"`
}

// AppendJSON implements appender.
func (o origin) AppendJSON(b []byte) []byte {
	if o.Address == "" {
		return append(b, `{}`...)
	}
	return append(canonical.AppendString(append(b, `{"address":`...), o.Address), '}')
}

// decode reads what AppendJSON writes into the zero value, as encoding/json does.
func (o *origin) decode(data []byte, shared *names) error {
	r := canonical.NewReader(data)
	r.Expect(`{"address":`)
	o.Address = shared.of(r.Raw())
	r.Expect(`}`)
	if r.Done() {
		return nil
	}
	*o = origin{}
	return json.Unmarshal(data, o)
}
