package main

import (
	"context"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/projections/refs"
)

// snapshots hands the refs projection to those who speak of gitfs.
type snapshots struct {
	reader *refs.Reader
	log    *eventstore.Log
}

// Snapshot gives the refs and packs of a repository as they are now.
func (s snapshots) Snapshot(ctx context.Context, id domain.RepositoryID) (*gitfs.Snapshot, error) {
	found, err := s.reader.Snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	now := shown(found)
	now.Demanded = func(ctx context.Context) (*rules.Effective, error) { return s.reader.Demanded(ctx, found) }
	return now, nil
}

// At gives the refs and packs of a repository as they were at a position of the log or at a
// time, written as domain.ParseMoment reads it. What has not come yet, and what was before
// the repository, is a *domain.NotFoundError about the "position".
func (s snapshots) At(ctx context.Context, id domain.RepositoryID, moment string) (*gitfs.Snapshot, error) {
	when, err := domain.ParseMoment(moment)
	if err != nil {
		return nil, err
	}
	position := when.Position
	if position == 0 {
		if when.Time.After(time.Now()) {
			return nil, domain.NotFound("position", "It is not %s yet.", when.Time.Format(time.RFC3339))
		}
		if position, err = s.log.PositionAt(ctx, when.Time); err != nil {
			return nil, err
		}
	}
	found, err := s.reader.At(ctx, id, position)
	if err != nil {
		return nil, err
	}
	return shown(found), nil
}

func shown(s *refs.Snapshot) *gitfs.Snapshot {
	return &gitfs.Snapshot{
		Repository: s.Repository, Storage: s.Storage, Position: s.Position, Version: s.Version,
		Head: s.Head, Refs: s.Refs, Packs: s.Packs(), Fork: s.Fork,
	}
}
