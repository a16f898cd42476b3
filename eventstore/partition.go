package eventstore

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
)

// partition is a range of positions, both ends included, whose events share indexes.
type partition struct{ first, last int64 }

// anywhere is no particular partition.
var anywhere = partition{0, math.MaxInt64}

// readPartitions reads where the partitions of the log begin and end.
func (c *committer) readPartitions(ctx context.Context) error {
	rows, err := c.conn.Query(ctx, `select first, last from log.partitions order by first`)
	if err == nil {
		c.partitions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p partition, err error) {
			err = row.Scan(&p.first, &p.last)
			return p, err
		})
	}
	if err != nil {
		return fmt.Errorf("read the partitions of the log: %w", err)
	}
	return nil
}

// extend makes the next partition, unless another node has.
func (c *committer) extend(ctx context.Context) error {
	if _, err := c.conn.Exec(ctx, `select log.extend()`); err != nil {
		return fmt.Errorf("extend the log: %w", err)
	}
	return c.readPartitions(ctx)
}
