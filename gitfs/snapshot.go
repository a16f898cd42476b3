package gitfs

import (
	"context"
	"iter"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
)

// Refs is an immutable sorted set of refs, as of one log position. Hidden refs
// have already been left out.
type Refs interface {
	// Get finds a ref by its full name.
	Get(name string) (git.Ref, bool)
	// Prefixed yields the refs whose names start with prefix, in byte order.
	// The empty prefix yields all.
	Prefixed(prefix string) iter.Seq[git.Ref]
	// Len is the number of refs.
	Len() int
}

// Snapshot is a repository as it is, or was, at one position of the log. Its refs
// and packs belong together: every object a ref names is in the packs.
type Snapshot struct {
	Repository domain.RepositoryID
	Storage    string // name of the repository's folder on the shared home (a UUID)
	Position   int64  // of the repository's newest event
	Version    int64  // of the repository's stream
	Head       string // full name of the default branch; the ref may not exist yet
	Refs       Refs
	Packs      []git.Pack // oldest first
	Fork       bool       // the packs hold objects of another repository, which the refs need not reach

	// Demanded, if set, is what is demanded of pushes, nil for nothing.
	Demanded func(context.Context) (*rules.Effective, error)
}

// Demands asks Demanded, if it is set.
func (s *Snapshot) Demands(ctx context.Context) (*rules.Effective, error) {
	if s.Demanded == nil {
		return nil, nil
	}
	return s.Demanded(ctx)
}
