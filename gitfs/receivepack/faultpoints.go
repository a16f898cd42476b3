package receivepack

// The fault points of a push around its commit, see package faultpoint.
const (
	PushPublished = "push.published"
	PushCommitted = "push.committed"
)

// FaultPoints are all of them, in order; they come after those of package store.
var FaultPoints = []string{PushPublished, PushCommitted}
