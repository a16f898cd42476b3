package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/gpgkeys"
	"github.com/annal-git/annal/projections/lfs"
	"github.com/annal-git/annal/projections/ratelimit"
	"github.com/annal-git/annal/projections/refhistory"
	"github.com/annal-git/annal/projections/refs"
	"github.com/annal-git/annal/projections/reposearch"
	"github.com/annal-git/annal/projections/rules"
	"github.com/annal-git/annal/workers/handlers"
)

// inlineProjections move in the transaction that appends an event.
func inlineProjections() []eventstore.Inline {
	return []eventstore.Inline{catalog.Projection{}, access.Projection{}, rules.Projection{}, gpgkeys.Projection{}, lfs.Projection{}, ratelimit.Projection{}}
}

// followers follow the log, each on runners of its own.
func followers() []projections.Follower {
	return []projections.Follower{refs.Projection{}, refhistory.Projection{}, activity.Projection{}, reposearch.Projection{}}
}

// eventHandlers have effects outside of the database. They follow the log as projections
// do, and have no tables to rebuild or verify.
func eventHandlers(log *slog.Logger) []handlers.Handler {
	return []handlers.Handler{handlers.Administration(log)}
}

// setsAside tells whether there is a follower or a handler of a name.
func setsAside(name string) error {
	if isHandler(name) {
		return nil
	}
	_, err := findProjection(name)
	return err
}

func isHandler(name string) bool {
	return slices.ContainsFunc(eventHandlers(nil), func(h handlers.Handler) bool { return h.Name == name })
}

// findProjection looks among both kinds.
func findProjection(name string) (projections.Projection, error) {
	var names []string
	for _, p := range inlineProjections() {
		if p.Name() == name {
			return p, nil
		}
		names = append(names, p.Name())
	}
	for _, p := range followers() {
		if p.Name() == name {
			return p, nil
		}
		names = append(names, p.Name())
	}
	if isHandler(name) {
		return nil, fmt.Errorf("%s has no tables: it hands events to the world outside", name)
	}
	return nil, fmt.Errorf("no projection is called %q; there are %s", name, strings.Join(names, ", "))
}

type projectionsCommand struct {
	List    projectionsListCommand    `cmd:"" help:"Show how far each has read."`
	Rebuild projectionsRebuildCommand `cmd:"" help:"Make one anew from the log, beside the live one, and swap. Nodes go on serving."`
	Verify  projectionsVerifyCommand  `cmd:"" help:"Make a copy from the log and compare it with the live one. Changes nothing."`
	Park    projectionsParkCommand    `cmd:"" help:"Events that a projection could not apply: list them, have them tried again, or skip one."`
}

type projectionsListCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

type projectionJSON struct {
	Name     string     `json:"name"`
	Inline   bool       `json:"inline"` // moves in the transaction that appends events
	Shard    int        `json:"shard"`
	Shards   int        `json:"shards"`
	Position int64      `json:"position"`
	Lag      int64      `json:"lag"` // events behind the head of the log
	MovedAt  *time.Time `json:"movedAt,omitempty"`
	Owner    string     `json:"owner,omitempty"` // node that runs it
	Term     int64      `json:"term,omitempty"`
	Parked   int        `json:"parked"`            // events set aside
	Stopped  int64      `json:"stopped,omitempty"` // event that has stopped it
	Error    string     `json:"error,omitempty"`
}

func listOf(head int64, statuses []projections.Status) (list []projectionJSON) {
	for _, p := range inlineProjections() {
		list = append(list, projectionJSON{Name: p.Name(), Inline: true, Shards: 1, Position: head})
	}
	for _, s := range statuses {
		moved := s.MovedAt.UTC()
		list = append(list, projectionJSON{
			Name: s.Name, Shard: s.Shard, Shards: s.Shards, Position: s.Position, Lag: max(head-s.Position, 0), MovedAt: &moved,
			Owner: s.Owner, Term: s.Term, Parked: s.Parked, Stopped: s.Stopped, Error: s.Error,
		})
	}
	return list
}

func (p projectionsListCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		head, err := log.Head(ctx)
		if err != nil {
			return err
		}
		statuses, err := projections.NewCheckpoints(pool).Statuses(ctx)
		if err != nil {
			return err
		}
		list := listOf(head, statuses)
		if p.JSON {
			return json.NewEncoder(c.out).Encode(list)
		}
		table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tSHARD\tMOVES\tPOSITION\tBEHIND\tSET ASIDE\tRUN BY\tLAST MOVED\tSTANDS AT")
		for _, row := range list {
			moves, last, stands := "with the log", "", row.Error
			if !row.Inline {
				moves, last = "behind the log", row.MovedAt.Format(time.RFC3339)
			}
			if isHandler(row.Name) {
				moves = "hands on"
			}
			if row.Stopped != 0 {
				stands = fmt.Sprintf("event %d: %s", row.Stopped, row.Error)
			}
			fmt.Fprintf(table, "%s\t%d of %d\t%s\t%d\t%d events\t%d\t%s\t%s\t%s\n",
				row.Name, row.Shard+1, row.Shards, moves, row.Position, row.Lag, row.Parked, row.Owner, last, stands)
		}
		return table.Flush()
	})
}

type projectionsRebuildCommand struct {
	Name string `arg:"" help:"Name of the projection, such as refs."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (p projectionsRebuildCommand) Run(ctx context.Context, c console, s *settings) error {
	projection, err := findProjection(p.Name)
	if err != nil {
		return err
	}
	return withBuilder(ctx, c, s, func(b projections.Builder) error {
		start := time.Now()
		b.Waiting = func(err error) { fmt.Fprintf(c.err, "\nwaiting to swap the tables: %v\n", err) }
		position, err := b.Rebuild(ctx, projection)
		took := time.Since(start)
		switch {
		case err != nil:
			return err
		case p.JSON:
			return json.NewEncoder(c.out).Encode(map[string]any{"name": p.Name, "position": position, "seconds": took.Seconds()})
		}
		fmt.Fprintf(c.out, "%s is rebuilt from %d events in %v\n", p.Name, position, took.Round(10*time.Millisecond))
		return nil
	})
}

type projectionsVerifyCommand struct {
	Name string `arg:"" help:"Name of the projection, such as refs."`
	JSON bool   `name:"json" help:"Print JSON. The exit status tells as well: 0 for equal."`
}

func (p projectionsVerifyCommand) Run(ctx context.Context, c console, s *settings) error {
	projection, err := findProjection(p.Name)
	if err != nil {
		return err
	}
	return withBuilder(ctx, c, s, func(b projections.Builder) error {
		differences, position, err := b.Verify(ctx, projection)
		if err != nil {
			return err
		}
		if p.JSON {
			if differences == nil {
				differences = []projections.Difference{}
			}
			err := json.NewEncoder(c.out).Encode(map[string]any{"name": p.Name, "position": position, "differences": differences})
			if err != nil {
				return err
			}
		}
		switch {
		case len(differences) == 0 && p.JSON:
			return nil
		case len(differences) == 0:
			fmt.Fprintf(c.out, "%s equals what the log says at position %d\n", p.Name, position)
			return nil
		}
		for _, d := range differences {
			if p.JSON {
				break
			}
			fmt.Fprintf(c.out, "%s: %d rows are missing and %d should not be there\n", d.Table, d.Missing, d.Surplus)
		}
		return fmt.Errorf("%s does not equal what the log says at position %d; 'annal projections rebuild %s' mends it", p.Name, position, p.Name)
	})
}

func withBuilder(ctx context.Context, c console, s *settings, use func(projections.Builder) error) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		bar := &progress{w: c.err}
		defer bar.end()
		return use(projections.Builder{Pool: pool, Log: log, LockLog: eventstore.LockAppends, Progress: bar.show})
	})
}
