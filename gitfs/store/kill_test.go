//go:build faults

package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs/store"
)

// killPack is what the process that is killed pushes.
func killPack(t *testing.T) []byte {
	f := forge(t)
	f.tree(treeEntry("100644", "a", f.blob("a blob\n")))
	f.ballast()
	for i := range store.ReverseFrom { // so many that there is a .rev
		f.blob(fmt.Sprint("blob ", i))
	}
	return f.bytes()
}

// TestKillChild is the process that is killed, when TestKilledAtEveryStep runs it.
func TestKillChild(t *testing.T) {
	shared, local := os.Getenv("KILL_SHARED_HOME"), os.Getenv("KILL_LOCAL_HOME")
	if shared == "" {
		t.Skip("runs only as a child of TestKilledAtEveryStep")
	}
	s, err := store.Open(store.Config{SharedHome: shared, LocalHome: local})
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.Receive(t.Context(), storage, nil, bytes.NewReader(killPack(t)), store.ReceiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestKilledAtEveryStep kills a process at each fault point of a push. After that
// the files that have final names are whole, the local quarantine is emptied by the
// next start, and the same push and the next one work.
func TestKilledAtEveryStep(t *testing.T) {
	for _, point := range slices.Concat(store.FaultPoints, store.LargeFaultPoints) {
		t.Run(point, func(t *testing.T) {
			config := store.Config{SharedHome: t.TempDir(), LocalHome: t.TempDir()}
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKillChild$")
			child.Env = append(os.Environ(), "ANNAL_FAULT="+point,
				"KILL_SHARED_HOME="+config.SharedHome, "KILL_LOCAL_HOME="+config.LocalHome)
			out, err := child.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("not killed: %v\n%s", err, out)
			}
			s, err := store.Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			if left, err := os.ReadDir(filepath.Join(config.LocalHome, "quarantine")); err != nil || len(left) > 0 {
				t.Errorf("%d left in quarantine, %v", len(left), err)
			}
			q := receive(t, s, nil, killPack(t))
			filesAreWhole(t, config, q.Pack())
			if err := q.Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
			f := forge(t)
			f.blob("the next push")
			packs := push(t, s, []git.Pack{q.Pack()}, f.bytes())
			for _, p := range packs {
				compareExact(t, config, p)
			}
		})
	}
}
