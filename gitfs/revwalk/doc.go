// Package revwalk follows the links between objects: which commits are reachable
// from which, where two histories part, what a shallow clone leaves out, and
// which objects somebody who wants some commits and has others still needs.
//
// Walks go in order of commit time, newest first, as Git's do. A commit that is
// older than its parents can make a walk name more than it must, never less.
package revwalk
