// Package nativegit runs the git program for what it does best, in scratch repositories of
// the local home and never for a request that could do without. It is the one place that
// starts it, so that every process has a deadline, a bound on its memory and output, and an
// environment that is ours alone.
package nativegit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Runner says how git is run. Zero fields take the defaults named.
type Runner struct {
	Program string        // default git, looked for in PATH
	Timeout time.Duration // for one process; required
	Memory  int64         // a process may take, in bytes; required
	Output  int           // bytes taken of what it prints; default 256 MiB
	Patient bool          // runs at the lowest priority: nobody waits for it
}

// Output is what a process printed. Problems is the beginning of what it complained of.
type Output struct {
	Text, Problems string
	Code           int // exit status
}

// ErrOutput says that a process printed more than is taken.
var ErrOutput = errors.New("git printed more than is taken")

// ExitError is the end of a process with a status that is not 0.
type ExitError struct {
	Command string
	Output  Output
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("git %s: exit status %d: %s", e.Command, e.Output.Code, e.Output.Problems)
}

// stopGrace is how long a process that was told to end may take; maxProblems is how much of
// its complaints is kept, in bytes.
const (
	stopGrace   = 5 * time.Second
	maxProblems = 4096
)

// Run runs git in a repository. Arguments are the caller's own and hexadecimal ids, never
// a user's text; what is anybody's goes through stdin. Errors: *ExitError, which comes with
// the output; ErrOutput; the cause of ctx's end.
func (r Runner) Run(ctx context.Context, dir string, stdin io.Reader, args ...string) (Output, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, cmp.Or(r.Program, "git"), args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_DIR=" + dir, "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
	}
	text, problems := &bounded{left: cmp.Or(r.Output, 256<<20)}, &bounded{left: maxProblems, silent: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, text, problems
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = stopGrace
	if err := cmd.Start(); err != nil {
		return Output{}, err
	}
	r.bound(cmd.Process.Pid)
	err := cmd.Wait()
	out := Output{Text: text.buffer.String(), Problems: strings.TrimSpace(problems.buffer.String()), Code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	switch cause := context.Cause(ctx); {
	case err == nil:
		return out, nil
	case cause != nil:
		return out, fmt.Errorf("git %s: %w", args[0], cause)
	case text.over:
		return out, fmt.Errorf("git %s: %w", args[0], ErrOutput)
	case errors.As(err, &exit) && out.Code > 0:
		return out, &ExitError{Command: args[0], Output: out}
	}
	return out, fmt.Errorf("git %s: %w: %s", args[0], err, out.Problems)
}

// bound limits a process. What cannot be limited runs as it is.
func (r Runner) bound(pid int) {
	if r.Patient {
		_ = unix.Setpriority(unix.PRIO_PGRP, pid, 19)
	}
	memory := unix.Rlimit{Cur: uint64(r.Memory), Max: uint64(r.Memory)} //nolint:gosec // checked to be positive by whoever configures it
	_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &memory, nil)
}

// bounded keeps the beginning of what is written to it, and refuses or drops the rest.
type bounded struct {
	buffer bytes.Buffer
	left   int
	silent bool
	over   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.buffer.Write(p[:n])
	b.left -= n
	if n < len(p) && !b.silent {
		b.over = true
		return n, ErrOutput
	}
	return len(p), nil
}
