package main

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/evidence"
)

// treeConfig says where the log's tree and its key are.
func treeConfig(s *settings, events *eventstore.Log, pool *pgxpool.Pool, log *slog.Logger) tree.Config {
	return tree.Config{Log: events, Table: tree.NewTable(pool), Dir: s.logDir(), KeyFile: s.LogSigningKey, Logger: log}
}

// logDir is the folder of the log's tiles and checkpoints.
func (s *settings) logDir() string { return filepath.Join(s.SharedHome, "log") }

// witnessFile is where a node keeps the newest checkpoint it has verified.
func (s *settings) witnessFile() string { return filepath.Join(s.Home, "witness", "checkpoint") }

// startEvidence makes sure that there is a signing key, looks whether the log is the one
// that was signed, and starts what goes on looking and signing. A log that is not, is
// served but takes no changes.
func startEvidence(ctx context.Context, group *workers.Group, s *settings, events *eventstore.Log, pool *pgxpool.Pool,
	leases evidence.Leases, metrics prometheus.Registerer, log *slog.Logger,
) error {
	config := treeConfig(s, events, pool, log)
	if err := tree.PrepareKey(ctx, config); err != nil {
		return err
	}
	e, err := evidence.New(evidence.Config{
		Log: events, Integrator: tree.NewIntegrator(config), Witness: tree.NewWitness(config, s.witnessFile()),
		Leases: leases, Metrics: metrics, Logger: log,
	})
	if err != nil {
		return err
	}
	if err := e.Check(ctx); err != nil {
		log.Error("the log was looked at before this node takes changes", "error", err)
	}
	integrator, witness := e.Services()
	group.Start(ctx, integrator)
	group.Start(ctx, witness)
	return nil
}
