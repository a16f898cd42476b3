package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/domain"
)

// Difference is a table whose copy does not equal the live one.
type Difference struct {
	Table   string `json:"table"`
	Missing int64  `json:"missing"` // rows that only the rebuilt copy has
	Surplus int64  `json:"surplus"` // rows that only the live table has
}

// errChanged says that what a projection leaves out changed while it was copied.
var errChanged = errors.New("events were set aside or released meanwhile")

// Verify makes a copy of p from position zero and compares it with the live tables, both
// as of the same position, which it returns (of the shard that has read least). What is
// set aside is left out of the copy, too. It changes nothing and holds nobody up.
func (b Builder) Verify(ctx context.Context, p Projection) (differences []Difference, position int64, err error) {
	for range 3 {
		err = b.withCopy(ctx, p, func(c *construction) error {
			differences, position, err = c.verify(ctx)
			return err
		})
		if !errors.Is(err, errChanged) {
			break
		}
	}
	return differences, position, err
}

// standing is where the live tables are.
type standing struct {
	positions []int64 // by shard; only one for Inline projections
	parked    map[int64]bool
}

func (s standing) least() int64 { return slices.Min(s.positions) }

func (c *construction) verify(ctx context.Context) ([]Difference, int64, error) {
	var first, now standing
	err := pgx.BeginTxFunc(ctx, c.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) (err error) {
		first, err = c.standing(ctx, tx)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	maps.Copy(c.leaveOut, first.parked)
	if err := c.build(ctx, first.least()); err != nil {
		return nil, 0, err
	}
	var differences []Difference
	// In this transaction every read sees the database as of its start.
	err = pgx.BeginTxFunc(ctx, c.conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) (err error) {
		if now, err = c.standing(ctx, tx); err != nil {
			return err
		}
		if !c.sameBelow(first.parked, now.parked) || now.least() < c.built {
			return errChanged
		}
		if err := c.catchUp(ctx, tx, now); err != nil {
			return err
		}
		differences, err = c.compare(ctx, tx)
		return err
	})
	return differences, now.least(), err
}

// standing reads where the live tables are, as a transaction sees them.
func (c *construction) standing(ctx context.Context, tx pgx.Tx) (s standing, err error) {
	if _, inline := c.projection.(Inline); inline {
		head, err := c.logHead(ctx, tx)
		return standing{positions: []int64{head}}, err
	}
	rows, err := tx.Query(ctx, `
		select coalesce(max(c.position), 0) from generate_series(0, $2 - 1) as s (shard)
		left join projections.checkpoints c on c.projection = $1 and c.shard = s.shard
		group by s.shard order by s.shard`, c.projection.Name(), shards(c.projection))
	if err != nil {
		return s, err
	}
	if s.positions, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return s, err
	}
	rows, err = tx.Query(ctx, `select position from projections.parked where projection = $1`, c.projection.Name())
	if err != nil {
		return s, err
	}
	s.parked = map[int64]bool{}
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&position}, func() error {
		s.parked[position] = true
		return nil
	})
	return s, err
}

// sameBelow tells whether the same events of those that the copy has seen are set aside.
func (c *construction) sameBelow(before, now map[int64]bool) bool {
	seen := func(position int64, _ bool) bool { return position > c.built }
	before, now = maps.Clone(before), maps.Clone(now)
	maps.DeleteFunc(before, seen)
	maps.DeleteFunc(now, seen)
	return maps.Equal(before, now)
}

// catchUp applies what each shard has applied since the copy was built. All shards have
// read up to where it was built.
func (c *construction) catchUp(ctx context.Context, tx pgx.Tx, now standing) error {
	if err := c.readSkips(ctx); err != nil {
		return err
	}
	maps.Copy(c.leaveOut, now.parked)
	for most := slices.Max(now.positions); c.built < most; {
		events, err := c.next(ctx, most)
		if err != nil {
			return err
		}
		last := events[len(events)-1].Position
		applied := slices.DeleteFunc(events, func(e domain.Recorded) bool {
			return e.Position > now.positions[ShardOf(e.Stream, len(now.positions))]
		})
		if len(applied) > 0 {
			if err := c.apply(ctx, tx, applied); err != nil {
				return err
			}
		}
		c.built = last
	}
	return nil
}

func (c *construction) compare(ctx context.Context, tx pgx.Tx) ([]Difference, error) {
	var differences []Difference
	for _, table := range c.projection.Tables() {
		d := Difference{Table: table}
		query := strings.NewReplacer("LIVE", quote(c.shadow.live, table), "COPY", quote(c.shadow.copy, table)).Replace(`
			select coalesce(sum(n) filter (where n > 0), 0)::bigint, coalesce(-sum(n) filter (where n < 0), 0)::bigint
			from (
				select sum(n) as n from (select c::text as row, 1 as n from COPY c union all select l::text, -1 from LIVE l) rows
				group by row having sum(n) <> 0) different`)
		if err := tx.QueryRow(ctx, query).Scan(&d.Missing, &d.Surplus); err != nil {
			return nil, fmt.Errorf("compare %s: %w", table, err)
		}
		if d.Missing > 0 || d.Surplus > 0 {
			differences = append(differences, d)
		}
	}
	return differences, nil
}
