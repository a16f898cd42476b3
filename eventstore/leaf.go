package eventstore

import (
	"crypto/sha256"

	"github.com/annal-git/annal/domain/canonical"
)

// LeafTime is how a leaf writes the time of its event: RFC 3339 in UTC, to the
// microsecond that Postgres keeps.
const LeafTime = "2006-01-02T15:04:05.000000Z"

// AppendLeaf appends what the Merkle tree holds of an event: the canonical JSON (RFC 8785)
// of {"at","body","id","meta","stream","type","version"}, body and meta as they are
// stored. The position is not in it: it is the leaf's index plus one. Personal data is
// not in it either, only the commitments to it in meta.
func (s Stored) AppendLeaf(b []byte) []byte {
	b = append(b, `{"at":"`...)
	b = s.At.UTC().AppendFormat(b, LeafTime)
	b = append(b, `","body":`...)
	b = append(b, s.Body...)
	b = append(b, `,"id":`...)
	b = canonical.AppendString(b, s.ID)
	b = append(b, `,"meta":`...)
	b = append(b, s.Meta...)
	b = append(b, `,"stream":`...)
	b = canonical.AppendString(b, string(s.Stream))
	b = append(b, `,"type":`...)
	b = canonical.AppendString(b, s.Type)
	b = append(b, `,"version":`...)
	b = canonical.AppendInt(b, s.Version)
	return append(b, '}')
}

// LeafHash is the leaf hash of RFC 6962, section 2.1: SHA-256 of a zero byte and the leaf.
func LeafHash(leaf []byte) [sha256.Size]byte {
	const small = 1023 // most are
	var buffer [1 + small]byte
	if len(leaf) <= small {
		return sha256.Sum256(append(buffer[:1], leaf...))
	}
	h := sha256.New()
	h.Write(buffer[:1])
	h.Write(leaf)
	return [sha256.Size]byte(h.Sum(nil))
}
