package eventstore_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
)

// elsewhere opens the log of the same database as another node does, which hears of nothing
// by itself for a long time.
func elsewhere(t *testing.T, url string) *eventstore.Log {
	t.Helper()
	pool, err := eventstore.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	log, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: eventstore.Types(), Node: "test", Poll: time.Hour})
	require.NoError(t, err)
	t.Cleanup(log.Close)
	return log
}

func pushed(n byte) domain.Event {
	return repository.RefsUpdated{Updates: []git.RefUpdate{{Name: "refs/heads/main", New: git.ObjectID{n}}}}
}

func described(text string) domain.Event {
	return repository.SettingsChanged{Settings: repository.Settings{Description: text}}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	url := eventstoretest.URL(t)
	here, there := elsewhere(t, url), elsewhere(t, url)
	there.SetAlone(true) // here is told of nothing
	add := func(stream domain.Stream, events ...domain.Event) eventstore.Appended {
		t.Helper()
		added, err := there.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events})
		require.NoError(t, err)
		return added
	}
	since := here.KnownHead()
	require.True(t, here.Unchanged(since, 1))

	add("repository/1", pushed(1), pushed(2))
	last := add("repository/1", pushed(3))
	tail := &eventstore.Tail{Stream: "repository/1", Version: 1}
	require.NoError(t, here.Fresh(t.Context(), tail))
	require.Len(t, tail.Events, 2)
	require.Equal(t, last.Position, tail.Events[1].Position)
	require.True(t, here.Unchanged(since, 1), "pushes decide nothing")

	add("repository/1", described("new"))
	require.True(t, here.Unchanged(since, 1), "not asked yet")
	require.NoError(t, here.Fresh(t.Context(), nil))
	require.False(t, here.Unchanged(since, 1))
	require.True(t, here.Unchanged(since, 2), "another repository")
	require.True(t, here.Unchanged(last.Position+1, 1), "judged after that")

	everywhere := add("project/1", described("concerns no repository alone"))
	require.NoError(t, here.Fresh(t.Context(), &eventstore.Tail{Stream: "repository/2"}))
	require.False(t, here.Unchanged(since, 2))
	require.True(t, here.Unchanged(everywhere.Position, 2))

	many := make([]domain.Event, 300)
	for i := range many {
		many[i] = described(fmt.Sprint(i))
	}
	add("repository/3", many...)
	require.NoError(t, here.Fresh(t.Context(), nil))
	require.False(t, here.Unchanged(everywhere.Position, 2), "more than is listed: everything may have changed")
	require.True(t, here.Unchanged(everywhere.Position+int64(len(many)), 2))

	after := add("repository/1", pushed(4))
	tail = &eventstore.Tail{Stream: "repository/1", Version: after.Version - 1, Known: after.Position - 1}
	same := *tail
	var asking sync.WaitGroup
	for _, tail := range []*eventstore.Tail{tail, &same, {Stream: "repository/1", Version: after.Version}, nil} {
		asking.Go(func() {
			if err := here.Fresh(t.Context(), tail); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	require.Len(t, tail.Events, 1)
	require.Equal(t, tail.Events, same.Events)

	require.Error(t, here.Fresh(t.Context(), &eventstore.Tail{Stream: "repository/1", Version: 1, Known: after.Position - 1}), "versions with a gap")
}

// What was acknowledged before Fresh is called, Fresh knows, however many ask at once.
func TestFreshWhileOthersWrite(t *testing.T) {
	t.Parallel()
	url := eventstoretest.URL(t)
	here, there := elsewhere(t, url), elsewhere(t, url)
	const clients, rounds = 8, 20
	var writing sync.WaitGroup
	for client := range clients {
		writing.Go(func() {
			id := domain.RepositoryID(client + 1)
			stream := domain.RepositoryStream(id)
			for round := range rounds {
				since := there.KnownHead()
				event := pushed(byte(round + 1))
				if round%2 == 1 {
					event = described(fmt.Sprint(round))
				}
				if _, err := there.Append(t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: []domain.Event{event}}); err != nil {
					t.Error(err)
					return
				}
				tail := &eventstore.Tail{Stream: stream, Version: int64(round)}
				if err := here.Fresh(t.Context(), tail); err != nil || len(tail.Events) != 1 {
					t.Errorf("after version %d there are %d events, %v", round, len(tail.Events), err)
				}
				if round%2 == 1 && here.Unchanged(since, id) {
					t.Errorf("repository %d: a decision behind %d is not known", id, since)
				}
			}
		})
	}
	writing.Wait()
}
