package eventstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/annal-git/annal/domain"
)

// maxExecutions bounds how often a command is decided again because somebody else
// moved its stream meanwhile.
const maxExecutions = 20

// Execute folds a stream into the state of its aggregate, lets decide answer a
// command with events, and appends them if the stream has not moved meanwhile;
// else it starts over. The state it returns includes the new events. Pushes are
// left out of the fold: no administrative decision rests on them.
//
// Errors of decide and of Append come through as they are. A stream that holds an event
// of a type that is not registered cannot be decided on: *UnknownTypeError.
func Execute[S any](
	ctx context.Context, l *Log, stream domain.Stream, evolve func(S, domain.Event) S,
	meta domain.Metadata, decide func(S) ([]domain.Event, error),
) (S, Appended, error) {
	for range maxExecutions {
		state, version, err := fold(ctx, l, stream, evolve)
		if err != nil {
			return state, Appended{}, err
		}
		events, err := decide(state)
		if err != nil {
			return state, Appended{}, err
		}
		appended, err := l.Append(ctx, Proposal{Stream: stream, Expect: Expect(version), Events: events, Meta: meta})
		var conflict *VersionConflictError
		if errors.As(err, &conflict) {
			continue
		}
		if err != nil {
			return state, Appended{}, err
		}
		for _, event := range appended.Events {
			state = evolve(state, event.Event)
		}
		return state, appended, nil
	}
	var none S
	return none, Appended{}, fmt.Errorf("stream %s moved %d times while a command was being decided", stream, maxExecutions)
}

// fold reads the stream's version first: an event appended between the two reads
// makes the append conflict, never go unseen.
func fold[S any](ctx context.Context, l *Log, stream domain.Stream, evolve func(S, domain.Event) S) (state S, version int64, err error) {
	err = l.pool.QueryRow(ctx, `
		select coalesce((select version from log.events where stream = $1 order by version desc limit 1), 0)`, string(stream)).Scan(&version)
	if err != nil {
		return state, 0, fmt.Errorf("read the version of %s: %w", stream, err)
	}
	events, err := queryRecorded(ctx, l.pool, l.options.Types,
		`where e.stream = $1 and e.type <> 'repository.refs_updated.v1' and e.version <= $2 order by e.version`, string(stream), version)
	if err != nil {
		return state, 0, err
	}
	for _, event := range events {
		if unknown, ok := event.Event.(domain.Unknown); ok {
			return state, 0, &UnknownTypeError{Position: event.Position, Type: unknown.Type}
		}
		state = evolve(state, event.Event)
	}
	return state, version, nil
}
