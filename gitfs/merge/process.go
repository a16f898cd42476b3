package merge

import (
	"bytes"
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

// stopGrace is how long a process that was told to end may take; maxOutput is how much of
// what it prints is taken, in bytes.
const (
	stopGrace = 5 * time.Second
	maxOutput = 256 << 20
)

type output struct{ text, problems string }

var errOutput = errors.New("merge: git printed more than is taken")

// run runs native git in a scratch repository. Arguments are ours and hexadecimal ids,
// never a user's text. An exit code is no error here.
func (m *Merger) run(ctx context.Context, dir string, stdin io.Reader, args ...string) (output, int, error) {
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.config.Git, args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_DIR=" + dir, "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
	}
	text, problems := &bounded{left: maxOutput}, &bounded{left: 4096, silent: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, text, problems
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = stopGrace
	if err := cmd.Start(); err != nil {
		return output{}, 0, err
	}
	// What cannot be bounded runs as it is.
	memory := unix.Rlimit{Cur: uint64(m.config.Memory), Max: uint64(m.config.Memory)} //nolint:gosec // checked to be positive
	_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_DATA, &memory, nil)
	err := cmd.Wait()
	out := output{text.buffer.String(), strings.TrimSpace(problems.buffer.String())}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return out, 0, fmt.Errorf("git %s: %w", args[0], cause)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 && text.left > 0 {
		return out, exit.ExitCode(), nil
	}
	if err != nil {
		return out, 0, fmt.Errorf("git %s: %w: %s", args[0], err, out.problems)
	}
	return out, 0, nil
}

// bounded keeps the beginning of what is written to it, and refuses or drops the rest.
type bounded struct {
	buffer bytes.Buffer
	left   int
	silent bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.buffer.Write(p[:n])
	b.left -= n
	if n < len(p) && !b.silent {
		return n, errOutput
	}
	return len(p), nil
}
