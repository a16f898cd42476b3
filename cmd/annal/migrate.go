package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/annal-git/annal/eventstore"
)

type migrateCommand struct {
	Up     migrateUpCommand     `cmd:"" help:"Apply what is missing. 'annal serve' does so by itself."`
	Status migrateStatusCommand `cmd:"" help:"List the steps and when each was applied."`
}

type migrateUpCommand struct{}

func (migrateUpCommand) Run(ctx context.Context, c console, s *settings) error {
	log := s.logger(c.err)
	db, err := openDatabase(ctx, s, log)
	if err != nil {
		return err
	}
	defer db.close(log)
	done, err := eventstore.Migrate(ctx, db.url)
	for _, m := range done {
		fmt.Fprintln(c.out, "applied", m.Name)
	}
	if err == nil && len(done) == 0 {
		fmt.Fprintln(c.out, "nothing to do: the schema is up to date")
	}
	return err
}

type migrateStatusCommand struct{}

func (migrateStatusCommand) Run(ctx context.Context, c console, s *settings) error {
	log := s.logger(c.err)
	db, err := openDatabase(ctx, s, log)
	if err != nil {
		return err
	}
	defer db.close(log)
	list, err := eventstore.MigrationStatus(ctx, db.url)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	for _, m := range list {
		applied := "missing"
		if !m.Applied.IsZero() {
			applied = m.Applied.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\n", m.Name, applied)
	}
	return table.Flush()
}
