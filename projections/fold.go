package projections

import (
	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Folder is a projection whose rows a rebuild makes in memory, from ranges of the log at
// the same time, and copies into the tables. Others are rebuilt event by event.
type Folder interface {
	Projection
	NewFold() Fold
	// Independent says that no two events touch the same row, so that the rows of a range
	// can be written without those of the ranges before it.
	Independent() bool
}

// Fold is what a range of the log makes of empty tables. It is used by one goroutine at
// a time.
type Fold interface {
	// Add takes the next events in.
	Add(events []domain.Recorded)
	// Merge takes in what the range behind makes, and may use up its memory. It is not
	// called if ranges are independent.
	Merge(later Fold)
	// Bytes is about how much memory the fold takes.
	Bytes() int
	// Rows are the rows of a table and the names of its columns.
	Rows(table string) (columns []string, rows pgx.CopyFromSource)
}
