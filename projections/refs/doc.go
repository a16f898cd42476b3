// Package refs answers what each ref of a repository points to and which packs
// hold its objects, now and as of any position of the log.
//
// Its tables move in the transaction that appends the event, so they are never
// behind: Projection follows the events, Arbiter decides pushes by compare-and-set
// under the append lock, and Reader serves snapshots from a cache that is checked
// against the repository's version with one indexed read.
package refs
