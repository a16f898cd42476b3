package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/refhistory"
	"github.com/annal-git/annal/projections/refs"
	"github.com/annal-git/annal/projections/reposearch"
)

// inlineProjections move in the transaction that appends an event.
func inlineProjections() []eventstore.Inline {
	return []eventstore.Inline{catalog.Projection{}, access.Projection{}}
}

// followers follow the log, each on runners of its own.
func followers() []projections.Follower {
	return []projections.Follower{refs.Projection{}, refhistory.Projection{}, activity.Projection{}, reposearch.Projection{}}
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
	return nil, fmt.Errorf("no projection is called %q; there are %s", name, strings.Join(names, ", "))
}

type projectionsCommand struct {
	List    projectionsListCommand    `cmd:"" help:"Show how far each has read."`
	Rebuild projectionsRebuildCommand `cmd:"" help:"Make one anew from the log, beside the live one, and swap. Nodes go on serving."`
	Verify  projectionsVerifyCommand  `cmd:"" help:"Make a copy from the log and compare it with the live one. Changes nothing."`
}

type projectionsListCommand struct{}

func (projectionsListCommand) Run(ctx context.Context, c console, s *settings) error {
	return withLog(ctx, c, s, func(log *eventstore.Log, pool *pgxpool.Pool) error {
		head, err := log.Head(ctx)
		if err != nil {
			return err
		}
		statuses, err := projections.NewCheckpoints(pool).Statuses(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tMOVES\tPOSITION\tBEHIND\tSET ASIDE\tLAST MOVED\tERROR")
		for _, p := range inlineProjections() {
			fmt.Fprintf(table, "%s\twith the log\t%d\t0 events\t0\t\t\n", p.Name(), head)
		}
		for _, st := range statuses {
			fmt.Fprintf(table, "%s\tbehind the log\t%d\t%d events\t%d\t%s\t%s\n",
				st.Name, st.Position, max(head-st.Position, 0), st.Parked, st.MovedAt.UTC().Format(time.RFC3339), st.Error)
		}
		return table.Flush()
	})
}

type projectionsRebuildCommand struct {
	Name string `arg:"" help:"Name of the projection."`
}

func (p projectionsRebuildCommand) Run(ctx context.Context, c console, s *settings) error {
	projection, err := findProjection(p.Name)
	if err != nil {
		return err
	}
	return withBuilder(ctx, c, s, func(b projections.Builder) error {
		position, err := b.Rebuild(ctx, projection)
		if err == nil {
			fmt.Fprintf(c.out, "%s is rebuilt from %d events\n", p.Name, position)
		}
		return err
	})
}

type projectionsVerifyCommand struct {
	Name string `arg:"" help:"Name of the projection."`
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
		if len(differences) == 0 {
			fmt.Fprintf(c.out, "%s equals what the log says at position %d\n", p.Name, position)
			return nil
		}
		for _, d := range differences {
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

// progress shows how far a long command is, at most ten times a second.
type progress struct {
	w     io.Writer
	shown time.Time
}

func (p *progress) show(done, all int64) {
	if time.Since(p.shown) < 100*time.Millisecond && done < all {
		return
	}
	p.shown = time.Now()
	const width = 30
	full := int(width * done / max(all, 1))
	fmt.Fprintf(p.w, "\r[%s%s] %d of %d events", strings.Repeat("#", full), strings.Repeat(".", width-full), done, all)
}

func (p *progress) end() {
	if !p.shown.IsZero() {
		fmt.Fprintln(p.w)
	}
}
