package store

import (
	"fmt"
	"path"

	"github.com/annal-git/annal/domain/git"
)

// checkStorage keeps anything that is not a folder's name out of paths.
func checkStorage(storage string) error {
	if !isPlainName(storage) || len(storage) < 2 {
		return fmt.Errorf("store: %q cannot name a repository's folder", storage)
	}
	return nil
}

// Names of the shared home, relative to it.

func repositoryDir(storage string) string { return path.Join("repos", storage[:2], storage) }

func packDir(storage string) string { return path.Join(repositoryDir(storage), "objects", "pack") }

func stagingDir(storage string) string { return path.Join(repositoryDir(storage), packStaging) }

// packStaging is where packs are written, relative to the folder of a repository.
const packStaging = "staging"

// LFSStaging is where objects of Git LFS are written before they get their names, relative to
// the folder of a repository and with a folder for each node. It is not the one of packs, for
// there are folders for packs if that is there.
const LFSStaging = "lfs/staging"

// reverseFrom is from how many objects on a pack has a .rev file. That of a smaller one
// is made when the pack is opened, in less time than a file takes. There are packs with
// fewer objects that have one; it is not read.
const reverseFrom = 1024

// A small pack has at most smallPack bytes, which is one block, and its objects, with the
// deltas that they are made of, at most smallObjects. It is alone on the shared home: its
// index is made when the pack is opened, in less time than a file takes, and written there
// only for plain git, a while after the push. There are small packs that have indexes
// nevertheless; they are not read.
const (
	smallPack    = blockSize
	smallObjects = 1 << 20
)

// packFile names a file of a pack; suffix is "pack", "rev" or "idx".
func packFile(id git.ObjectID, suffix string) string { return "pack-" + id.String() + "." + suffix }

// Folders of the local home, relative to it.
const (
	localIndexes    = "idx"
	localQuarantine = "quarantine"
)
