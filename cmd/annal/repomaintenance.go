package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/maintenance"
	upkeep "github.com/annal-git/annal/workers/maintenance"
)

type repoMaintenanceCommand struct {
	Repository string `arg:"" help:"Project and repository, as PROJ/repo."`
	Now        bool   `help:"Combine all packs now. A node does it; this command waits until it has."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

// waitForMaintenance is how often the state is looked at.
const waitForMaintenance = 500 * time.Millisecond

// Run implements kong's command.
func (r repoMaintenanceCommand) Run(ctx context.Context, c console, s *settings) error {
	return withPool(ctx, c, s, func(pool *pgxpool.Pool) error {
		id, err := findRepository(ctx, pool, r.Repository)
		if err != nil {
			return err
		}
		queries := upkeep.NewQueries(pool)
		if r.Now {
			if err := request(ctx, queries, id); err != nil {
				return err
			}
		}
		state, err := queries.State(ctx, id)
		if err != nil {
			return err
		}
		if r.JSON {
			return json.NewEncoder(c.out).Encode(state)
		}
		printMaintenance(c.out, state)
		if r.Now && state.Failures > 0 {
			return errors.New("maintenance has failed")
		}
		return nil
	})
}

// request asks for maintenance and waits until a node has done it.
func request(ctx context.Context, queries *upkeep.Queries, id domain.RepositoryID) error {
	if err := queries.Request(ctx, id); err != nil {
		return err
	}
	tick := time.NewTicker(waitForMaintenance)
	defer tick.Stop()
	for {
		state, err := queries.State(ctx, id)
		if err != nil {
			return err
		}
		if state.Requested == nil && !state.Running() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func printMaintenance(w io.Writer, s maintenance.State) {
	bitmap := "without a bitmap"
	if s.Bitmap {
		bitmap = "with a bitmap"
	}
	fmt.Fprintf(w, "%d packs, %d objects, %d bytes, %s\n", s.Packs, s.Objects, s.Bytes, bitmap)
	if s.Unlisted > 0 {
		fmt.Fprintf(w, "%d files are on their way out of the shared home\n", s.Unlisted)
	}
	for _, line := range []struct {
		what string
		at   *time.Time
	}{{"requested", s.Requested}, {"started", s.Started}, {"finished", s.Finished}, {"all combined", s.Full}} {
		if line.at != nil {
			fmt.Fprintf(w, "%-13s %s\n", line.what, line.at.UTC().Format(time.RFC3339))
		}
	}
	if s.Job != "" || s.Outcome != "" {
		fmt.Fprintf(w, "last job      %s on %s: %s\n", s.Job, s.Node, s.Outcome)
	}
	if s.Failures > 0 {
		fmt.Fprintf(w, "failures      %d in a row\n", s.Failures)
	}
}
