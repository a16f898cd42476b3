package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
)

type eventsPartitionsCommand struct {
	JSON bool `name:"json" help:"Print JSON. Sizes are in bytes."`
}

// Help is shown with --help.
func (eventsPartitionsCommand) Help() string {
	return `A partition is sealed when a signed checkpoint covers all of it: it never changes again.

Examples:
  annal events partitions
  annal events partitions --json`
}

// partitionJSON is a partition as the command prints it.
type partitionJSON struct {
	eventstore.Partition
	Sealed bool `json:"sealed"`
}

func (e eventsPartitionsCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		found, err := eventstore.Partitions(ctx, pool)
		if err != nil {
			return err
		}
		signed, err := signedSize(ctx, c, s, log, pool)
		if err != nil {
			return err
		}
		list := make([]partitionJSON, len(found))
		for i, p := range found {
			list[i] = partitionJSON{p, p.Last <= signed}
		}
		if e.JSON {
			encoder := json.NewEncoder(c.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(list)
		}
		table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "FIRST\tLAST\tEVENTS\tSIZE\tSEALED\tTABLESPACE")
		for _, p := range list {
			sealed := "no"
			if p.Sealed {
				sealed = "yes"
			}
			fmt.Fprintf(table, "%d\t%d\t%d\t%.1f MiB\t%s\t%s\n", p.First, p.Last, p.Events, float64(p.Bytes)/(1<<20), sealed, p.Tablespace)
		}
		return table.Flush()
	})
}

// signedSize is how many events the newest checkpoint covers, its signature checked; 0 if
// there is none.
func signedSize(ctx context.Context, c console, s *settings, log *eventstore.Log, pool *pgxpool.Pool) (int64, error) {
	signed, err := tree.NewReceipts(treeConfig(s, log, pool, s.logger(c.err))).Checkpoint(ctx)
	if err != nil || signed == "" {
		return 0, err
	}
	checkpoint, err := tree.PeekCheckpoint(signed)
	return checkpoint.Size, err
}

type eventsMoveCommand struct {
	First      int64         `arg:"" help:"Position that the partition begins at, as 'annal events partitions' prints it."`
	Tablespace string        `required:"" help:"Tablespace of PostgreSQL to move it to, which the owner of the database may make tables in." placeholder:"NAME"`
	Patience   time.Duration `help:"How long to wait, once it is copied, for a moment in which no long transaction, such as a dump, uses the log." default:"1m"`
}

// Help is shown with --help.
func (eventsMoveCommand) Help() string {
	return `Only a partition that is full and sealed can be moved. Both tablespaces need room for
it until the move is done. Pushes wait for some milliseconds in the end; while a dump
stands in the way, a quarter of a second every two seconds for as long as --patience says.

Examples:
  annal events move 1 --tablespace slow
  annal events move 1 --tablespace pg_default       back again`
}

func (e eventsMoveCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		signed, err := signedSize(ctx, c, s, log, pool)
		if err != nil {
			return err
		}
		bar := &progress{w: c.err}
		err = eventstore.MovePartition(ctx, pool, eventstore.Move{
			First: e.First, Sealed: signed, Tablespace: e.Tablespace, Patience: e.Patience, Progress: bar.show,
		})
		bar.end()
		if err == nil {
			fmt.Fprintf(c.out, "the partition that begins at %d lies in %s\n", e.First, e.Tablespace)
		}
		return err
	})
}
