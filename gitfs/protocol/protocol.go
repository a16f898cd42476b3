// Package protocol holds what fetching and pushing share: versions, lists of
// capabilities, and refusals meant for the client's user.
package protocol

import (
	"fmt"
	"strings"

	"github.com/annal-git/annal/domain/git"
)

// Version is a version of Git's wire protocol.
type Version int

// The versions. V1 is V0 with a first line that says so.
const (
	V0 Version = iota
	V1
	V2
)

// MaxVersionRequest is the longest Git-Protocol header or GIT_PROTOCOL variable
// that is looked at, in bytes.
const MaxVersionRequest = 256

// ParseVersion reads a Git-Protocol header or GIT_PROTOCOL variable: keys with
// values, separated by colons. It returns the highest version that is asked for
// and known, V0 if there is none.
func ParseVersion(request string) Version {
	version := V0
	if len(request) > MaxVersionRequest {
		return version
	}
	for key := range strings.SplitSeq(request, ":") {
		switch key {
		case "version=1":
			version = max(version, V1)
		case "version=2":
			version = V2
		}
	}
	return version
}

// Refusal is an error whose text is meant for the user of the client.
type Refusal struct{ Message string }

func (e *Refusal) Error() string { return e.Message }

// Refuse makes a Refusal.
func Refuse(format string, args ...any) error {
	return &Refusal{Message: fmt.Sprintf(format, args...)}
}

// Capabilities are what a client says it wants to use, with values where it gave
// some.
type Capabilities map[string]string

// ParseCapabilities reads a list separated by spaces.
func ParseCapabilities(list string) Capabilities {
	c := Capabilities{}
	for word := range strings.FieldsSeq(list) {
		c.Add(word)
	}
	return c
}

// Add adds one capability, key or key=value.
func (c Capabilities) Add(word string) {
	key, value, _ := strings.Cut(word, "=")
	c[key] = value
}

// Has reports whether a capability was named.
func (c Capabilities) Has(key string) bool { _, ok := c[key]; return ok }

// ObjectFormat is the only object format served.
const ObjectFormat = "sha1"

// CheckObjectFormat refuses a client that uses another object format.
func (c Capabilities) CheckObjectFormat() error {
	if format, ok := c["object-format"]; ok && format != ObjectFormat {
		return Refuse("mismatched object format: server %s, client %s", ObjectFormat, Clip(format))
	}
	return nil
}

// ParseID reads an object id that a client sent.
func ParseID(s string) (git.ObjectID, error) {
	id, err := git.ParseObjectID(s)
	if err != nil {
		return git.ZeroID, Refuse("protocol error: %v", err)
	}
	return id, nil
}

// Clip shortens a stranger's text for an error.
func Clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}
