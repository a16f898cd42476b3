package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
)

// Projection keeps the tables of rules. It implements eventstore.Inline.
type Projection struct{}

// Name implements eventstore.Inline.
func (Projection) Name() string { return "rules" }

// Tables implements eventstore.Inline.
func (Projection) Tables() []string {
	return []string{"rule_states", "ruled_repositories", "rule_epoch"}
}

// Needs implements eventstore.Inline.
func (Projection) Needs(eventType string) bool {
	switch eventType {
	case repository.Created{}.EventType(), repository.Moved{}.EventType(), repository.Restored{}.EventType():
		return true
	}
	return strings.HasPrefix(eventType, rules.EventTypes)
}

// Apply implements eventstore.Inline.
func (Projection) Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error {
	for _, recorded := range events {
		if err := apply(ctx, tx, recorded); err != nil {
			return fmt.Errorf("rules at event %d: %w", recorded.Position, err)
		}
	}
	return nil
}

func apply(ctx context.Context, tx pgx.Tx, recorded domain.Recorded) error {
	switch e := recorded.Event.(type) {
	case repository.Created:
		return belongs(ctx, tx, e.ID, e.Project)
	case repository.Moved:
		return belongs(ctx, tx, e.ID, e.Project)
	case repository.Restored:
		return belongs(ctx, tx, e.ID, e.Project)
	}
	target, ok := rules.TargetOf(recorded.Event)
	if !ok {
		return nil
	}
	if err := change(ctx, tx, target, recorded.Event); err != nil || target.Repository != 0 {
		return err
	}
	return exec(ctx, tx, `insert into rule_epoch (one, position) values (true, $1) on conflict (one) do update set position = excluded.position`, recorded.Position)
}

func belongs(ctx context.Context, tx pgx.Tx, id domain.RepositoryID, project domain.ProjectID) error {
	return exec(ctx, tx, `insert into ruled_repositories (repository, project) values ($1, $2) on conflict (repository) do update set project = excluded.project`, id, project)
}

// change folds an event into the state of its target.
func change(ctx context.Context, tx pgx.Tx, target rules.Target, event domain.Event) error {
	level, id := address(target)
	var text string
	var state rules.State
	err := tx.QueryRow(ctx, `select state from rule_states where level = $1 and target = $2`, level, id).Scan(&text)
	switch {
	case err == nil:
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			return err
		}
	case !errors.Is(err, pgx.ErrNoRows):
		return err
	}
	changed, err := json.Marshal(rules.Evolve(state, event))
	if err != nil {
		return err
	}
	return exec(ctx, tx, `
		insert into rule_states (level, target, state) values ($1, $2, $3)
		on conflict (level, target) do update set state = excluded.state`, level, id, string(changed))
}

func address(t rules.Target) (level string, id int64) {
	if t.Repository != 0 {
		return "repository", int64(t.Repository)
	}
	return "project", int64(t.Project)
}

func exec(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	_, err := tx.Exec(ctx, sql, args...)
	return err
}
