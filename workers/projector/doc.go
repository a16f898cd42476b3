// Package projector keeps the asynchronous projections going: a watermill router
// whose subscriber hands out pages of the log, one at a time for each projection,
// and whose middleware recovers panics, retries, measures, and sets events aside
// that cannot be applied.
//
// A message is a page, not an event, because a transaction for each event is forty
// times slower. It is acknowledged once its rows and its checkpoint are committed
// together; a message that comes again finds the checkpoint moved and does nothing.
package projector
