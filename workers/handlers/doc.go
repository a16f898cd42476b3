// Package handlers runs what has effects outside of the database, such as a line in the
// node's log: watermill handlers behind a router with its middleware, one message, which
// is one event, at a time.
//
// A handler follows the log like a projection, on the node that holds its lease, and
// with the same rules: an event is counted before it is handed over, one that fails three
// times is set aside with its stream, and an operator may have it tried again or
// skipped. The checkpoint moves once the router has acknowledged the message, so an
// effect happens at least once, and again if the process dies between.
package handlers
