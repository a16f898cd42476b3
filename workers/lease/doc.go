// Package lease says which node does the work of which there may be one in the
// cluster: a projection, the integration of the log's tree.
//
// A lease is a row with an owner, a term and the time at which it ends unless it is
// renewed, all by the database's clock. It is renewed each second and ends after three.
// A node that stops gives its leases back and wakes the others; of one that dies they
// are taken when their time has passed. Nodes that hold more than others hand leases
// over, one at a time, until they are shared out evenly.
//
// # Terms
//
// The lease decides who should work, and cannot decide who does: a process that was
// stopped wakes up in the middle of a statement, after its lease has gone to somebody
// else. So each change of owner raises the term, and whoever works under a lease
// carries it into every write: it first writes its term beside its own position, which
// succeeds unless a later term stands there, and then writes only where its own
// stands.
package lease
