package lfs

import (
	"encoding/hex"
	"fmt"
)

// OID is the SHA-256 of an object's content, by which Git LFS names it.
type OID [32]byte

// ParseOID reads exactly 64 lower-case hexadecimal digits.
func ParseOID(s string) (OID, error) {
	var oid OID
	if len(s) != 2*len(oid) {
		return OID{}, fmt.Errorf("an object id has %d hexadecimal digits", 2*len(oid))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return OID{}, fmt.Errorf("an object id has lower-case hexadecimal digits alone")
		}
	}
	_, err := hex.Decode(oid[:], []byte(s))
	return oid, err
}

func (oid OID) String() string { return hex.EncodeToString(oid[:]) }

// MarshalText writes 64 hexadecimal digits.
func (oid OID) MarshalText() ([]byte, error) { return []byte(oid.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (oid *OID) UnmarshalText(text []byte) error {
	parsed, err := ParseOID(string(text))
	if err != nil {
		return err
	}
	*oid = parsed
	return nil
}
