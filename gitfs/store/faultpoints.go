package store

// The fault points of a push, see package faultpoint.
const (
	QuarantineReceived = "quarantine.received"
	QuarantineIndexed  = "quarantine.indexed"
	PackWritten        = "publish.pack.written"
	PackSynced         = "publish.pack.synced"
	RevWritten         = "publish.rev.written"
	RevSynced          = "publish.rev.synced"
	IdxWritten         = "publish.idx.written"
	IdxSynced          = "publish.idx.synced"
	PackRenamed        = "publish.pack.renamed"
	RevRenamed         = "publish.rev.renamed"
	IdxRenamed         = "publish.idx.renamed"
	FolderSynced       = "publish.folder.synced"
)

// FaultPoints are all fault points of Receive and Publish, in the order in which a
// push reaches them.
var FaultPoints = []string{
	QuarantineReceived, QuarantineIndexed,
	PackWritten, PackSynced, RevWritten, RevSynced, IdxWritten, IdxSynced,
	PackRenamed, RevRenamed, IdxRenamed, FolderSynced,
}
