// Package audit verifies a log offline: from an export, or from a database and the tiles
// on the shared home. It trusts nothing but a public key.
//
// A Source yields what there is, in order; Verify reads it in pages, parses and hashes
// them on all cores, and folds them in order. Seven classes of checks, each with a status
// of its own for the program that runs them:
//
//	signatures  checkpoints are signed by the key of their size, their sizes rise
//	tree        the events have the root of each checkpoint and the hashes in the tiles
//	form        canonical encoding; positions dense; versions of a stream, the refs of a
//	            repository, commands and times in order
//	rights      who acted existed, was active and had the right
//	personal    what is beside the log is what the log commits to, or was erased
//	refs        the refs table is the fold of the log (of a database only)
//	epochs      each epoch goes on from a proven part of the one before
//
// Memory is bounded by what the log describes (refs, users, grants), 16 bytes for each
// command and a few for each piece of personal data, and not by the size of the log.
package audit
