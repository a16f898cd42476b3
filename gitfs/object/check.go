package object

import (
	"fmt"

	"github.com/annal-git/annal/domain/git"
)

// Limits of what one object may hold. Git has none of its own for most of them.
const (
	MaxTreeEntries  = 1_000_000
	MaxNameBytes    = 4096 // of one name in a tree
	MaxParents      = 4096
	MaxCommitHeader = 1 << 20 // bytes of a commit or tag before its message
)

// CheckError says why an object is refused. Kind is the name that git fsck gives
// to the fault (git-fsck(1), "fsck messages"), or "limit".
type CheckError struct {
	ID     git.ObjectID
	Type   Type
	Kind   string
	Detail string
}

func (e *CheckError) Error() string {
	return fmt.Sprintf("%s %s: %s: %s", e.Type, e.ID, e.Kind, e.Detail)
}

// Check applies to an object from outside what git fsck does when
// transfer.fsckObjects is set. Errors of git fsck are errors here, as are its
// warnings about names that could be written outside of a work tree or into
// .git. Its other warnings (such as zero-padded file modes) pass, because
// histories worth keeping have them. Blobs always pass: what they may hold
// depends on their name in a tree, see SpecialFile.
//
// Errors are *CheckError.
func Check(t Type, id git.ObjectID, data []byte) error {
	var kind, detail string
	switch t {
	case TypeCommit:
		kind, detail = checkCommit(data)
	case TypeTree:
		kind, detail = checkTree(data)
	case TypeTag:
		kind, detail = checkTag(data)
	}
	if kind != "" {
		return &CheckError{ID: id, Type: t, Kind: kind, Detail: detail}
	}
	return nil
}
