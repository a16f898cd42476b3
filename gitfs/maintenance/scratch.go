package maintenance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/annal-git/annal/domain/git"
)

// scratch is a bare repository in the local home that native git works in.
type scratch struct {
	config *Config
	dir    string
}

const scratchConfig = `[core]
	repositoryformatversion = 0
	bare = true
	filemode = false
	logAllRefUpdates = false
[gc]
	auto = 0
[pack]
	threads = 1
	windowMemory = 256m
	deltaCacheSize = 64m
	writeReverseIndex = true
	writeBitmapHashCache = true
`

// newScratch makes a repository without objects and refs.
func (m *Maintainer) newScratch() (*scratch, error) {
	dir, err := os.MkdirTemp(m.config.Dir, "scratch-")
	if err != nil {
		return nil, err
	}
	s := &scratch{config: &m.config, dir: dir}
	for _, folder := range []string{"objects/pack", "objects/info", "refs", "out"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(folder)), 0o700); err != nil {
			return nil, errors.Join(err, s.remove())
		}
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "config"), []byte(scratchConfig), 0o600),
		os.WriteFile(filepath.Join(dir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o600),
	); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

func (s *scratch) remove() error { return os.RemoveAll(s.dir) }

func (s *scratch) packFolder() string { return filepath.Join(s.dir, "objects", "pack") }

// link makes a file visible to git as part of a pack of the scratch repository.
func (s *scratch) link(file string) error {
	return os.Symlink(file, filepath.Join(s.packFolder(), filepath.Base(file)))
}

// writeRefs makes refs, which come sorted by name and, except those of keep, are none of
// them below refs/keep/.
func (s *scratch) writeRefs(refs []git.Ref) error {
	f, err := os.Create(filepath.Join(s.dir, "packed-refs"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, _ = w.WriteString("# pack-refs with: sorted \n")
	for _, ref := range refs {
		_, _ = fmt.Fprintf(w, "%s %s\n", ref.ID, ref.Name) // the writer keeps its error
	}
	return errors.Join(w.Flush(), f.Close())
}

// stopGrace is how long a process that was told to end may take.
const stopGrace = 5 * time.Second

// git runs native git in the scratch repository and returns what it prints. Arguments are
// ours, never a user's; what is anybody's name or id goes through stdin.
func (s *scratch) git(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.config.Git, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "GIT_DIR=" + s.dir, "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1",
	}
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &limitedBuffer{to: &problems, left: 4096}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = stopGrace
	if err := cmd.Start(); err != nil {
		return "", err
	}
	// It works for nobody who waits. What cannot be lowered runs as it is.
	_ = unix.Setpriority(unix.PRIO_PGRP, cmd.Process.Pid, 19)
	memory := unix.Rlimit{Cur: uint64(s.config.Memory), Max: uint64(s.config.Memory)} //nolint:gosec // checked to be positive
	_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_DATA, &memory, nil)
	if err := cmd.Wait(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	to   *bytes.Buffer
	left int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.to.Write(p[:n])
	b.left -= n
	return len(p), nil
}
