package main_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/annal-git/annal/gitfs/maintenance"
	"github.com/annal-git/annal/gitfs/store"
	upkeep "github.com/annal-git/annal/workers/maintenance"
)

// A node that is killed at any step of maintenance loses nothing: the next one clones,
// takes pushes, and carries on.
func TestKillAtEveryStepOfMaintenance(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home)
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	n.stop()
	for _, point := range slices.Concat(maintenance.FaultPoints, upkeep.FaultPoints, []string{store.Materialized}) {
		n = start(t, home, append([]string{"ANNAL_FAULT=" + point}, hasty...)...)
		head := strings.TrimSpace(git(t, dir, "rev-parse", "HEAD"))
		for round := 0; round < 8; round++ {
			next := commit(t, dir, fmt.Sprint(round, " at ", point))
			if _, err := gitTry(t, dir, "push", "-q", n.remote("demo"), "main"); err != nil {
				break // it was killed meanwhile
			}
			head = next
		}
		n.awaitExit()
		// As if some time had passed since: others do not wait any more for what it reads.
		n.sql(`update workers.pack_readers set seen_at = seen_at - interval '1 minute'`)

		n = start(t, home, hasty...)
		copied := filepath.Join(t.TempDir(), "copy")
		git(t, dir, "clone", "-q", n.remote("demo"), copied)
		git(t, copied, "fsck", "--full", "--strict")
		if at := strings.TrimSpace(git(t, copied, "rev-parse", "HEAD")); at != head && at != strings.TrimSpace(git(t, dir, "rev-parse", "HEAD")) {
			t.Errorf("%s: main is at %s, pushed was %s", point, at, head)
		}
		git(t, dir, "push", "-q", n.remote("demo"), "main")
		n.annal("fsck")
		n.annal("projections", "verify", "refs")
		n.stop()
	}
	n = start(t, home, hasty...)
	n.annal("repo", "maintenance", "PRJ/demo", "--now")
	eventually(t, func() bool { return len(packFiles(t, home)) <= 2 })
	n.annal("fsck")
	n.stop()
}
