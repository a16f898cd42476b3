// Package gitfs is the room for Git objects: packs on the shared home, the
// protocols that read and write them, browsing, and what keeps packs few and whole.
// It asks an interface for refs and never learns where they are stored.
//
// A push becomes durable in this order, and a crash between two steps leaves
// what stands behind the arrow:
//
//  1. the pack is received into quarantine in the local home, indexed and checked
//     -> a quarantine folder, removed at the next start
//  2. .pack, .rev and .idx are written under staging/ on the shared home and synced;
//     of a small pack, the .pack alone
//     -> a staging folder, which nobody reads
//  3. they are renamed to their final names, .idx last, and the folder is synced
//     -> a pack no repository lists: never opened
//  4. one Postgres transaction registers the pack, moves the refs by
//     compare-and-set and appends the event
//     -> the push has happened
//  5. the client is answered
//
// No ref and no list of packs is ever read from the shared home: a node opens
// only names that it learnt from Postgres, and never probes for a file.
package gitfs
