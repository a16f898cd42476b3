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

// The fault points of a pack that maintenance has made, of one that is removed, and of
// refs that are written for plain git.
const (
	CombinedWritten = "combined.pack.written"
	CombinedSynced  = "combined.idx.synced"
	CombinedRenamed = "combined.pack.renamed"
	CombinedPlaced  = "combined.idx.renamed"
	TrashMoved      = "trash.moved"
	Materialized    = "materialized"
)

// FaultPoints are the fault points of Receive and Publish that every push with objects
// reaches.
var FaultPoints = []string{
	QuarantineReceived, QuarantineIndexed,
	PackWritten, PackSynced, PackRenamed, FolderSynced,
}

// LargeFaultPoints are those that only a push reaches whose pack is not small and has many
// objects.
var LargeFaultPoints = []string{IdxWritten, IdxSynced, IdxRenamed, RevWritten, RevSynced, RevRenamed}
