package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/rules"
)

// Querier is a pool or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Reader asks for rules as they are now. It is safe for concurrent use.
type Reader struct{ db Querier }

// NewReader makes a Reader on a pool made by eventstore.Connect.
func NewReader(db Querier) *Reader { return &Reader{db} }

// State returns the rules of a project or repository itself, nil if it has none.
func (r *Reader) State(ctx context.Context, t rules.Target) (*rules.State, error) {
	return state(ctx, r.db, t)
}

func state(ctx context.Context, db Querier, t rules.Target) (*rules.State, error) {
	level, id := address(t)
	rows, err := db.Query(ctx, `select state from rule_states where level = $1 and target = $2`, level, id)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return decode(&text)
}

// OfRepository returns the rules of a repository itself, nil if it has none, and its
// project, 0 if the repository was never made.
func OfRepository(ctx context.Context, db Querier, id domain.RepositoryID) (*rules.State, domain.ProjectID, error) {
	rows, err := db.Query(ctx, `
		select r.project, s.state from ruled_repositories r
		left join rule_states s on s.level = 'repository' and s.target = r.repository where r.repository = $1`, id)
	if err != nil {
		return nil, 0, fmt.Errorf("read the rules of a repository: %w", err)
	}
	var project domain.ProjectID
	var text *string
	if _, err = pgx.ForEachRow(rows, []any{&project, &text}, func() error { return nil }); err != nil {
		return nil, 0, fmt.Errorf("read the rules of a repository: %w", err)
	}
	state, err := decode(text)
	return state, project, err
}

// ofProject returns the rules of a project, nil if it has none, and the epoch that they
// are of. Both are of one view of the database.
func ofProject(ctx context.Context, db Querier, id domain.ProjectID) (*rules.State, int64, error) {
	rows, err := db.Query(ctx, `
		select coalesce((select position from rule_epoch), 0), (select state from rule_states where level = 'project' and target = $1)`, id)
	if err != nil {
		return nil, 0, fmt.Errorf("read the rules of a project: %w", err)
	}
	var epoch int64
	var text *string
	if _, err = pgx.ForEachRow(rows, []any{&epoch, &text}, func() error { return nil }); err != nil {
		return nil, 0, fmt.Errorf("read the rules of a project: %w", err)
	}
	state, err := decode(text)
	return state, epoch, err
}

func decode(text *string) (*rules.State, error) {
	if text == nil {
		return nil, nil
	}
	state := &rules.State{}
	if err := json.Unmarshal([]byte(*text), state); err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return state, nil
}
