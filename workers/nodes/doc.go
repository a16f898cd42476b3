// Package nodes keeps the table of live nodes, and with it the rule that an event is
// written in a version that every live node reads.
//
// Each node says which event types it reads when it joins, is seen once a second, and
// goes by what all others read when it writes. Join returns only when every live node
// goes by what the new one reads, so that nothing is written any more that it could not
// read by the time it serves. See eventstore/adr/0003-versions-of-event-types.md.
package nodes
