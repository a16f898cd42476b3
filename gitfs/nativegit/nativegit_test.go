package nativegit_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/annal-git/annal/gitfs/gitfstest"
	"github.com/annal-git/annal/gitfs/nativegit"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	gitfstest.Git(t, "", "init", "--quiet", "--bare", dir)
	t.Setenv("GIT_DIR", "/nonexistent") // nothing of our environment reaches the process
	r := nativegit.Runner{Timeout: time.Minute, Memory: 1 << 30}

	out, err := r.Run(t.Context(), dir, strings.NewReader("x\n"), "hash-object", "-w", "--stdin")
	require.NoError(t, err)
	require.Equal(t, "587be6b4c3f93f93c489c0111bba5596147a26cb\n", out.Text)

	_, err = r.Run(t.Context(), dir, nil, "cat-file", "-p", strings.Repeat("1", 40))
	var exit *nativegit.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 128, exit.Output.Code)
	require.Contains(t, exit.Output.Problems, "Not a valid object name")

	r.Output = 10
	_, err = r.Run(t.Context(), dir, nil, "cat-file", "-p", "587be6b4c3f93f93c489c0111bba5596147a26cb")
	require.NoError(t, err)
	_, err = r.Run(t.Context(), dir, nil, "help", "-a")
	require.ErrorIs(t, err, nativegit.ErrOutput)

	r.Timeout = 50 * time.Millisecond
	_, err = r.Run(t.Context(), dir, endless{}, "hash-object", "--stdin")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// endless never says anything and never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
