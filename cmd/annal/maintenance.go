package main

import (
	"context"
	"path/filepath"

	"github.com/annal-git/annal/gitfs/maintenance"
	"github.com/annal-git/annal/projections/refhistory"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/lease"
	upkeep "github.com/annal-git/annal/workers/maintenance"
)

// startMaintenance starts what keeps packs few and the shared home clean.
func (n *node) startMaintenance(ctx context.Context, group *workers.Group, leases *lease.Leases) error {
	s := n.settings
	maintainer, err := maintenance.Open(maintenance.Config{
		Store: n.objects, Dir: filepath.Join(s.Home, "git", "maintenance"), Timeout: s.MaintenanceTimeout, Memory: s.MaintenanceMemory << 20,
	})
	if err != nil {
		return err
	}
	worker, reader, err := upkeep.New(upkeep.Config{
		Pool: n.pool, Log: n.events, Snapshots: n.snapshots, Named: refhistory.NewQueries(n.pool), Store: n.objects, Maintainer: maintainer,
		Leases: leases, Node: nodeName(), Metrics: n.metrics, Logger: n.log,
		Thresholds: maintenance.Thresholds{Packs: s.MaintenancePacks, Tail: s.MaintenanceTail},
		Every:      s.MaintenanceEvery, FullEvery: s.MaintenanceFullEvery, SweepEvery: s.MaintenanceSweepEvery,
		Readers: s.KeepSuperseded, Orphans: s.KeepOrphans, Trash: s.KeepTrash,
	})
	if err != nil {
		return err
	}
	group.Start(ctx, reader)
	group.Start(ctx, worker)
	return nil
}
