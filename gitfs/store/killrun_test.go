//go:build !faults

package store_test

import (
	"os/exec"
	"testing"
)

// TestKilled runs the test that needs a process with fault points.
func TestKilled(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "test", "-tags", "faults", "-count=1", "-run", "^TestKilledAtEveryStep$", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
