package rest

import (
	"context"
	"io"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
)

// Contents reads what the refs of a snapshot lead to. What is not there is a
// *domain.NotFoundError about a "commit" or a "path".
type Contents interface {
	// Find returns the only object whose id starts with the digits given, of which
	// there are at least four.
	Find(ctx context.Context, s *gitfs.Snapshot, digits string) (git.ObjectID, error)
	// Peel follows tags from an object to the commit behind them.
	Peel(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (git.ObjectID, error)
	// Commit reads a commit.
	Commit(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (*object.Commit, error)
	// Log lists commits, children before their parents and newer before older. more
	// says that the history goes on behind the page.
	Log(ctx context.Context, s *gitfs.Snapshot, q LogQuery) (list []LoggedCommit, more bool, err error)
	// Entry finds what stands at a path of a commit's tree; "" is the tree itself.
	Entry(ctx context.Context, s *gitfs.Snapshot, commit git.ObjectID, path string) (object.TreeEntry, error)
	// Tree lists the entries of a tree, in Git's order.
	Tree(ctx context.Context, s *gitfs.Snapshot, tree git.ObjectID) ([]object.TreeEntry, error)
	// Files lists the paths of all files below a tree, relative to it, in Git's
	// order. more says that there are others behind the page.
	Files(ctx context.Context, s *gitfs.Snapshot, tree git.ObjectID, start, limit int) (paths []string, more bool, err error)
	// Blob opens a file's content, and Size tells its length without opening it.
	Blob(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (size int64, content io.ReadCloser, err error)
	Size(ctx context.Context, s *gitfs.Snapshot, id git.ObjectID) (int64, error)
}

// Merges says what a list of commits does with merges.
type Merges int

// The choices.
const (
	IncludeMerges Merges = iota
	ExcludeMerges
	OnlyMerges
)

// LogQuery asks for the commits reachable from Until and not from Since.
type LogQuery struct {
	Until       git.ObjectID
	Since       git.ObjectID // zero: back to the beginning
	Path        string       // only commits that change it; "" is all
	Merges      Merges
	Start, Size int
}

// LoggedCommit is a commit and its name.
type LoggedCommit struct {
	ID git.ObjectID
	*object.Commit
}
