// Package tree is the log's tamper evidence: a Merkle tree (RFC 6962) over the events,
// kept as tiles on the shared home, and checkpoints that sign its size and root.
//
// Event at position p is leaf p-1; eventstore.Stored.AppendLeaf says what a leaf is. The
// files have the layout of C2SP tlog-tiles, the checkpoints that of C2SP tlog-checkpoint:
//
//	log/<epoch>/checkpoint                    the newest, signed
//	log/<epoch>/tile/<level>/<index>[.p/<width>]
//	log/<epoch>/tile/entries/<index>[.p/<width>]
//
// # What is trusted
//
// Tiles and entries are a pure function of the log: two writers write equal bytes, and
// whoever reads a tile proves it against a signed root. A row of log.tree_checkpoints names
// the one it follows, and each is followed by at most one: two integrators cannot sign two
// histories by accident. Every node keeps the newest checkpoint it has verified on its
// own disk (Witness) and believes a newer one only with a proof that the newer tree
// contains the older.
//
// # Keys and epochs
//
// The signing key is a file outside the database. Another key is introduced by an event
// that carries a note signed by the key before. A log that was restored to a state before
// its newest checkpoint goes on only in a new epoch, which an operator begins with an
// event that names that checkpoint and the cut. Which key and which epoch sign a size
// follows from the events up to it (History).
//
// Nothing of this is on the path of a push.
package tree
