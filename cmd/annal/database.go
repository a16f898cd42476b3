package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/localpostgres"
)

// databaseName is that of the embedded database.
const databaseName = "annal"

// database is the configured PostgreSQL or the embedded one.
type database struct {
	url      string
	embedded *localpostgres.Server // nil if configured
}

// openDatabase finds the database, starting the embedded one if it does not run.
func openDatabase(ctx context.Context, s *settings, log *slog.Logger) (*database, error) {
	if s.DatabaseURL != "" {
		return &database{url: s.DatabaseURL}, awaitDatabase(ctx, s.DatabaseURL, log)
	}
	server, err := localpostgres.Start(ctx, localpostgres.Config{Dir: filepath.Join(s.Home, "postgres"), Log: log})
	if err != nil {
		return nil, err
	}
	db := &database{url: server.URL(databaseName), embedded: server}
	if err := server.CreateDatabase(ctx, databaseName, "template1"); err != nil {
		db.close(log)
		return nil, fmt.Errorf("make the embedded database: %w", err)
	}
	return db, nil
}

// After a power cut everything comes up at once: a database that is not there yet is waited
// for, for a while.
const (
	databaseWait  = time.Minute
	databasePause = time.Second
)

func awaitDatabase(ctx context.Context, url string, log *slog.Logger) error {
	for deadline := time.Now().Add(databaseWait); ; {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		if !eventstore.Outage(err) || time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		log.Warn("the database does not answer yet, trying again", "error", err)
		select {
		case <-time.After(databasePause):
		case <-ctx.Done():
		}
	}
}

func (d *database) close(log *slog.Logger) {
	if d.embedded == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := d.embedded.Stop(ctx); err != nil {
		log.Error("could not stop the embedded database", "error", err)
	}
}

// findDatabase refuses a home in which no node has ever run: a command is not to begin an
// installation in the wrong place.
func (s *settings) findDatabase() error {
	if s.DatabaseURL != "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(s.Home, "postgres")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no Annal in %s: give the --home that 'annal serve' was started with, or its --database-url", s.Home)
	}
	return nil
}

// withPool opens the database for a command that only reads or repairs.
func withPool(ctx context.Context, c console, s *settings, use func(*pgxpool.Pool) error) error {
	log := s.logger(c.err)
	if err := s.findDatabase(); err != nil {
		return err
	}
	db, err := openDatabase(ctx, s, log)
	if err != nil {
		return err
	}
	defer db.close(log)
	pool, err := eventstore.Connect(ctx, db.url)
	if err != nil {
		return fmt.Errorf("%w (has it been migrated? 'annal migrate up')", err)
	}
	defer pool.Close()
	return use(pool)
}
