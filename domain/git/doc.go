// Package git holds the few words of Git that the log speaks: object ids, ref
// names, ref updates and packs. It knows nothing of files or protocols.
package git
