package object

import "fmt"

// Type is one of the four object types. The numbers are those of pack entries.
type Type uint8

// The object types.
const (
	TypeCommit Type = 1
	TypeTree   Type = 2
	TypeBlob   Type = 3
	TypeTag    Type = 4
)

var typeNames = [...]string{TypeCommit: "commit", TypeTree: "tree", TypeBlob: "blob", TypeTag: "tag"}

// String is the type's name in object headers: "commit", "tree", "blob" or "tag".
func (t Type) String() string {
	if !t.Valid() {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return typeNames[t]
}

// Valid reports whether t is one of the four types.
func (t Type) Valid() bool { return t >= TypeCommit && t <= TypeTag }

// ParseType reads a type's name.
func ParseType(s string) (Type, error) {
	for t := TypeCommit; t <= TypeTag; t++ {
		if s == typeNames[t] {
			return t, nil
		}
	}
	return 0, fmt.Errorf("unknown object type %q", clip(s))
}

// clip keeps a stranger's text short in an error.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
