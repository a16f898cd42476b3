package store

import (
	"errors"
	"fmt"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/pack"
)

// ErrNotFound says that an object is in none of the packs of a set.
var ErrNotFound = errors.New("object not found")

// CorruptPackError says that a pack is not what the format asks for.
type CorruptPackError = pack.CorruptError

// MissingError says that an object links to another that is nowhere.
type MissingError struct {
	From git.ObjectID // the object with the link; zero if it is a delta without base
	ID   git.ObjectID // what is missing
}

func (e *MissingError) Error() string {
	if e.From.IsZero() {
		return fmt.Sprintf("missing necessary objects: base %s of a delta is neither in the pack nor in the repository", e.ID)
	}
	return fmt.Sprintf("missing necessary objects: %s, to which %s links", e.ID, e.From)
}

// LimitError says that a pack or an object in it is over a limit.
type LimitError struct {
	What  string // such as "pack" or "size of blob <id>"
	Limit int64
	Unit  string // "bytes", "objects", ...
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s is over the limit of %d %s", e.What, e.Limit, e.Unit)
}

// TooLargeError says that an object is too large to be held in memory. It can be
// streamed with Open.
type TooLargeError struct {
	ID   git.ObjectID
	Size int64 // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("object %s of %d bytes is too large for this", e.ID, e.Size)
}

// UnavailableError says that a registered pack cannot be read now, though it must
// be there. It is never to be taken for the absence of an object. Its text is for the log
// only: why may name a path.
type UnavailableError struct {
	Pack git.ObjectID
	Err  error // why, for the log
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("pack %s is not available at the moment: %v", e.Pack, e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }
