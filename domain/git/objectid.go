package git

import (
	"encoding/hex"
	"fmt"
)

// ObjectID is the SHA-1 name of a Git object or pack. Its zero value means "no
// object", written as forty zeros.
//
// Every package takes the width from this type, so a second object format is a
// change here and not a search through the code.
type ObjectID [20]byte

// ZeroID stands for "no object": the old side of a create, the new side of a delete.
var ZeroID ObjectID

// ParseObjectID reads exactly forty lower-case hexadecimal digits.
func ParseObjectID(s string) (ObjectID, error) {
	var id ObjectID
	if len(s) != 2*len(id) {
		return ZeroID, fmt.Errorf("object id %q is not %d hexadecimal digits", clip(s), 2*len(id))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ZeroID, fmt.Errorf("object id %q is not lower-case hexadecimal", s)
		}
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err
}

// MustParseObjectID is ParseObjectID for constants in tests; it panics on error.
func MustParseObjectID(s string) ObjectID {
	id, err := ParseObjectID(s)
	if err != nil {
		panic(err)
	}
	return id
}

// IsZero reports whether id means "no object".
func (id ObjectID) IsZero() bool { return id == ZeroID }

func (id ObjectID) String() string { return hex.EncodeToString(id[:]) }

// Abbrev returns the first eleven digits, as Bitbucket's displayId does.
func (id ObjectID) Abbrev() string { return id.String()[:11] }

// MarshalText writes forty hexadecimal digits.
func (id ObjectID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (id *ObjectID) UnmarshalText(text []byte) error {
	parsed, err := ParseObjectID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// clip keeps a stranger's text short in an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
