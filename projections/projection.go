package projections

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Projection is a read model in Postgres tables.
type Projection interface {
	// Name is also the Postgres schema of its tables.
	Name() string
	// Tables lists them, referenced ones first.
	Tables() []string
	// Apply moves the tables by events in log order, and passes over types it does
	// not know. It writes table names without a schema, so that a rebuild can
	// put other tables in front, and reads nothing but its own tables and the
	// events.
	Apply(ctx context.Context, tx pgx.Tx, events []domain.Recorded) error
}
