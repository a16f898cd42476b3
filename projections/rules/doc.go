// Package rules keeps the branch permissions, branch models and push rules of projects
// and repositories, in the transaction that appends their events, and hands them to
// whoever judges pushes.
//
// Rules of a repository are part of its refs.Snapshot, whose version is checked when a
// push is appended. Those of projects are on other streams: a node keeps them with the
// position of the newest event about any project's rules that they include (their epoch),
// and an append that was decided by an older epoch than the table has is refused, and
// decided anew. adr/0001 has the reasons.
package rules
