// Package store keeps the objects of all repositories as pack files on the shared
// home and reads them through caches in memory and in the local home.
//
// On the shared home a repository is a folder that is a valid Git object
// directory, and nothing else of Git:
//
//	repos/<aa>/<storage>/objects/pack/pack-<id>.pack, .idx unless it is small, .rev if it is large,
//	                                      .bitmap and .graph if a full repack made it
//	repos/<aa>/<storage>/staging/<node>/<uuid>.pack, .rev, .idx
//
// where aa is the first two letters of the storage name. Files are written once
// under a unique name and never changed, so that no cache of a network file system
// can show two versions of one. Which packs a repository has is for the caller to
// know: the store opens the names that it is told and never looks for others.
// Files of the shared home are read with pread, never mapped, because a mapping
// of a file that another host removed kills the process.
//
// The local home belongs to one process and may be lost at any time:
//
//	idx/<storage>/pack-<id>.idx, .rev     copies, mapped into memory
//	quarantine/<uuid>/                    packs being received
//
// Readers pin an immutable set of packs (Objects). Writers go through Receive,
// which checks a pack in quarantine, and Quarantine.Publish, which makes it
// durable on the shared home. A pack counts only once the caller has registered
// it, which is not the store's business.
package store
