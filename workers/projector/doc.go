// Package projector keeps the projections that follow the log going. Each shard of each
// has a runner on the node that holds its lease: it waits for events, reads a page of
// them, at most a thousand, and moves rows and checkpoint in one transaction that the
// lease's term fences. While one page is applied the next is read.
//
// A runner that does not get on although there are events is ended after ten seconds
// with its connection, and gives its lease back, so that another node may try.
package projector
