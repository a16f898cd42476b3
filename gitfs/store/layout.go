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

func stagingDir(storage string) string { return path.Join(repositoryDir(storage), "staging") }

// reverseFrom is from how many objects on a pack has a .rev file. That of a smaller one
// is made when the pack is opened, in less time than a file takes. There are packs with
// fewer objects that have one; it is not read.
const reverseFrom = 1024

// packFile names a file of a pack; suffix is "pack", "rev" or "idx".
func packFile(id git.ObjectID, suffix string) string { return "pack-" + id.String() + "." + suffix }

// Folders of the local home, relative to it.
const (
	localIndexes    = "idx"
	localQuarantine = "quarantine"
)
