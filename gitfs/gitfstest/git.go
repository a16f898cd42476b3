package gitfstest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Git runs git in dir and returns what it prints, without the last newline. It
// fails the test if git does. No configuration of the machine is used.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return GitInput(t, dir, nil, args...)
}

// GitInput is Git with something on standard input.
func GitInput(t testing.TB, dir string, input []byte, args ...string) string {
	t.Helper()
	out, err := TryGit(t, dir, input, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(out, "\n")
}

// TryGit runs git and returns its standard output, or its standard error if it
// fails.
func TryGit(t testing.TB, dir string, input []byte, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + t.TempDir(),
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_AUTHOR_DATE=1700000000 +0100",
		"GIT_COMMITTER_NAME=Cleo", "GIT_COMMITTER_EMAIL=cleo@example.com", "GIT_COMMITTER_DATE=1700000100 -0330",
		"LC_ALL=C", "TZ=UTC",
	}
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stderr.String(), err
	}
	return stdout.String(), nil
}
