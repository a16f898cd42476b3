// Package eventstore is the log: append, read, follow. It leaves deciding to the
// domain and every read model to the projections.
//
// # Order
//
// Positions are dense and in commit order. One committer per node takes a
// transaction-wide advisory lock, then takes every proposal that is waiting, gives
// them the positions after the highest one and commits them together. The lock
// outlives the moment the events become visible, and a transaction that fails
// gives out no position, so a reader that asks for "position > p" in order can
// never pass an event that commits later: it needs no gap detection and no horizon.
//
// # What an append moves
//
// The event rows, the head of each stream (the expected-version check), the
// personal data beside the log, and the rows of every Inline projection: all in one
// transaction. A proposal may carry a Claim instead of events; the Arbiter then
// decides under the lock what happened (a push: which refs still had the old
// value).
//
// # Lost answers
//
// Every proposal has an id. When the connection is lost while committing, the
// committer takes the lock again, which waits for the lost transaction to end, and
// looks for the id: the caller learns what happened and never a guess.
package eventstore
