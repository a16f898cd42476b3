// Package object knows what Git objects look like inside: their types, how they
// are named by hash, how commits, trees and tags are read, and which of them are
// refused from strangers.
//
// There are two ways in. Reading (Commit, Tree, Tag) is lenient, because real
// histories hold objects that old tools wrote wrongly. Check is strict and stands
// at the door: it applies what git fsck does when transfer.fsckObjects is on.
//
// The package does no input or output and keeps no state.
package object
