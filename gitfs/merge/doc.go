// Package merge merges two commits without a work tree. Native git does it, as a process in
// a scratch repository of the local home that sees the packs of the repository through
// links; nothing is written anywhere else. What the merge made comes out as a pack, which
// is received like any push.
package merge
