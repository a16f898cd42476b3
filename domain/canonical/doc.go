// Package canonical writes and reads canonical JSON (RFC 8785) by hand, for the few
// shapes that are written with every push. What it writes equals, byte for byte, what
// encoding/json and a general canonicalizer make of the same value; it takes a tenth of
// the time.
//
// A type that uses it has two methods beside its fields: AppendJSON, and DecodeJSON,
// which reads with a Reader what AppendJSON writes and leaves all other spellings to
// encoding/json, so that what a body means does not depend on who reads it.
package canonical
