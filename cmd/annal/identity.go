package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/eventstore"
)

// marker is the file on the shared home that says which cluster it belongs to.
const marker = "annal.json"

type sharedIdentity struct {
	Cluster string `json:"cluster"` // UUID
}

// identify makes sure that the database and the shared home belong together, and
// gives both an identity if both are new. A shared home that is not mounted yet
// looks like an empty folder: serving from it would lose every object, so it is
// refused.
func identify(ctx context.Context, log *eventstore.Log, s *settings) error {
	if err := os.MkdirAll(s.SharedHome, 0o700); err != nil {
		return fmt.Errorf("shared home: %w", err)
	}
	shared, err := readMarker(s.SharedHome)
	if err != nil {
		return err
	}
	known, err := clusterID(ctx, log)
	if err != nil {
		return err
	}
	switch {
	case known == "" && shared == "":
		return found(ctx, log, s, uuid.Must(uuid.NewV7()).String())
	case known == "":
		if _, err := os.Stat(filepath.Join(s.SharedHome, "repos")); err == nil {
			return fmt.Errorf("the database is empty, but the shared home %s holds the repositories of cluster %s: check database-url and shared-home", s.SharedHome, shared)
		}
		return found(ctx, log, s, shared) // the first start was interrupted between the two
	case shared == "":
		return fmt.Errorf("the shared home %s has no %s, which belongs there: is it mounted? The database is that of cluster %s", s.SharedHome, marker, known)
	case shared != known:
		return fmt.Errorf("the shared home %s belongs to cluster %s and the database to cluster %s: check database-url and shared-home", s.SharedHome, shared, known)
	}
	return nil
}

// found writes the marker first: an event without it would say that it was lost.
func found(ctx context.Context, log *eventstore.Log, s *settings, id string) error {
	if err := writeMarker(s.SharedHome, id); err != nil {
		return fmt.Errorf("shared home: %w", err)
	}
	_, err := log.Append(ctx, eventstore.Proposal{
		Stream: domain.ClusterStream, Expect: 0,
		Events: []domain.Event{cluster.Created{ID: id, Name: s.ClusterName}},
		Meta:   domain.Metadata{Auth: "system"},
	})
	var conflict *eventstore.VersionConflictError
	if errors.As(err, &conflict) {
		return errors.New("another node founded the cluster at the same moment: start again")
	}
	return err
}

// clusterID is that of the log's first event, "" for an empty log.
func clusterID(ctx context.Context, log *eventstore.Log) (string, error) {
	events, err := log.ReadStream(ctx, domain.ClusterStream, 0, 1)
	if err != nil || len(events) == 0 {
		return "", err
	}
	created, ok := events[0].Event.(cluster.Created)
	if !ok {
		return "", fmt.Errorf("the cluster's first event is a %s", events[0].Event.EventType())
	}
	return created.ID, nil
}

func readMarker(sharedHome string) (string, error) {
	text, err := os.ReadFile(filepath.Join(sharedHome, marker))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("shared home: %w", err)
	}
	var identity sharedIdentity
	if err := json.Unmarshal(text, &identity); err != nil || identity.Cluster == "" {
		return "", fmt.Errorf("shared home: %s does not name a cluster", filepath.Join(sharedHome, marker))
	}
	return identity.Cluster, nil
}

func writeMarker(sharedHome, id string) error {
	text, err := json.Marshal(sharedIdentity{Cluster: id})
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(sharedHome, marker+".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // fails once it is renamed
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), filepath.Join(sharedHome, marker))
}
