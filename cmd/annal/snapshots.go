package main

import (
	"context"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/projections/refs"
)

// snapshots hands the refs projection to those who speak of gitfs.
type snapshots struct{ reader *refs.Reader }

// Snapshot gives the refs and packs of a repository as they are now.
func (s snapshots) Snapshot(ctx context.Context, id domain.RepositoryID) (*gitfs.Snapshot, error) {
	found, err := s.reader.Snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	return snapshotOf(found), nil
}

func snapshotOf(found *refs.Snapshot) *gitfs.Snapshot {
	return &gitfs.Snapshot{
		Repository: found.Repository, Storage: found.Storage, Position: found.Position, Version: found.Version,
		Head: found.Head, Refs: found.Refs, Packs: found.Packs(),
	}
}
