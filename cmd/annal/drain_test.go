package main_test

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A node that is told to stop says so first, goes on serving, finishes the push that is
// under way, and exits with 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t), "ANNAL_DRAIN_GRACE=5s")
	n.repository("demo")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("demo"), "main")
	id := git(t, dir, "rev-parse", "HEAD")
	pack := gitEmptyPack(t, dir)

	// A push whose client is in no hurry.
	line := fmt.Sprintf("%s %s refs/heads/slow\x00report-status", strings.Repeat("0", 40), id)
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/scm/prj/demo.git/git-receive-pack", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	request.SetBasicAuth("admin", password)
	answered := make(chan string, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		text, _ := io.ReadAll(response.Body)
		answered <- string(text)
	}()
	fmt.Fprintf(writer, "%04x%s", len(line)+4, line)

	if err := n.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		status, body := n.request("", "", http.MethodGet, "/status", nil)
		return status == 503 && strings.Contains(body, "STOPPING")
	})
	git(t, dir, "clone", "-q", n.remote("demo"), filepath.Join(t.TempDir(), "copy")) // still served

	fmt.Fprint(writer, "0000", string(pack))
	_ = writer.Close()
	if answer := <-answered; !strings.Contains(answer, "ok refs/heads/slow") {
		t.Errorf("the push under way was answered %q", answer)
	}
	n.awaitExit()
	if code := n.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
