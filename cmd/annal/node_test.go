package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/eventstore/localpostgres"
)

// binary is the program under test, built once with its fault points.
var binary string

func TestMain(m *testing.M) {
	// Most of their time tests wait for nodes: more of them fit beside each other.
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
	dir, err := os.MkdirTemp("", "annal-binary-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "annal")
	build := exec.Command("go", "build", "-tags", "faults", "-o", binary, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const password = "correct horse battery staple"

// node is a running "annal serve".
type node struct {
	t       *testing.T
	home    string
	url     string
	command *exec.Cmd
	log     *output
	exited  chan struct{} // closed when the process has ended
}

// output collects what a process writes and lets others wait for a line.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines chan string
}

func (o *output) follow(r io.Reader) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		o.mu.Lock()
		fmt.Fprintln(&o.text, scanner.Text())
		o.mu.Unlock()
		select {
		case o.lines <- scanner.Text():
		default:
		}
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// newHome is a folder for a node whose database another user can reach.
func newHome(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "annal-home-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endDatabase(dir)
		_ = os.RemoveAll(dir)
	})
	return dir
}

// endDatabase stops a database that a killed node left running.
func endDatabase(home string) {
	text, err := os.ReadFile(filepath.Join(home, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGQUIT)
	}
}

// environment is what every process of a test sees: nothing of the machine's own.
func environment(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org",
	}, extra...)
}

// start runs a node on a home and waits until it serves. environment variables may
// be added. The node and its database are stopped when the test ends.
func start(t *testing.T, home string, extra ...string) *node {
	t.Helper()
	n := &node{t: t, home: home, log: &output{lines: make(chan string, 1000)}, exited: make(chan struct{})}
	n.command = exec.Command(binary, "serve", "--home", home, "--http-addr", "127.0.0.1:0", "--ssh-addr", "127.0.0.1:0", "--gossip-addr", "127.0.0.1:0")
	n.command.Env = environment(append([]string{"ANNAL_ADMIN_PASSWORD=" + password, "ANNAL_DRAIN_GRACE=0s"}, extra...)...)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	n.command.Stdout, n.command.Stderr = writer, writer
	if err := n.command.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	var reading sync.WaitGroup
	reading.Go(func() { n.log.follow(reader) })
	go func() { // ends with the process
		_ = n.command.Wait()
		close(n.exited)
	}()
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.log)
		}
	})
	serving := regexp.MustCompile(`is running at (http://\S+)`)
	deadline := time.After(60 * time.Second)
	for {
		select {
		case line := <-n.log.lines:
			if found := serving.FindStringSubmatch(line); found != nil {
				n.url = found[1]
			}
			if strings.Contains(line, "Ctrl-C stops") { // the last of its welcome
				return n
			}
		case <-n.exited:
			t.Fatalf("the node ended before it served: %s\n%s", n.command.ProcessState, n.log)
		case <-deadline:
			t.Fatalf("the node does not serve\n%s", n.log)
		}
	}
}

// stop ends the node as an operator would, and waits.
func (n *node) stop() {
	_ = n.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.exited:
	case <-time.After(60 * time.Second):
		_ = n.command.Process.Kill()
		n.t.Errorf("the node did not stop\n%s", n.log)
	}
}

// kill is a power cut for the node; its database goes on.
func (n *node) kill() {
	_ = n.command.Process.Kill()
	n.awaitExit()
}

func (n *node) awaitExit() {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(60 * time.Second):
		n.t.Fatalf("the node did not end\n%s", n.log)
	}
}

// request sends a REST request as a user ("" for nobody) and returns status and body.
func (n *node) request(user, secret, method, path string, body any) (int, string) {
	n.t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			n.t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(n.t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, n.url+path, content)
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if user != "" {
		request.SetBasicAuth(user, secret)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// admin sends a request as the administrator and demands a status.
func (n *node) admin(want int, method, path string, body any) string {
	n.t.Helper()
	status, text := n.request("admin", password, method, path, body)
	if status != want {
		n.t.Fatalf("%s %s: %d, want %d: %s", method, path, status, want, text)
	}
	return text
}

// repository makes a project PRJ, if need be, and a repository in it.
func (n *node) repository(slug string) {
	n.t.Helper()
	if status, text := n.request("admin", password, "POST", "/rest/api/1.0/projects", map[string]any{"key": "PRJ", "name": "Project"}); status != 201 && status != 409 {
		n.t.Fatalf("create a project: %d %s", status, text)
	}
	n.admin(201, "POST", "/rest/api/1.0/projects/PRJ/repos", map[string]any{"name": slug, "scmId": "git"})
}

// clone URL with the administrator's credentials in it.
func (n *node) remote(slug string) string {
	return strings.Replace(n.url, "http://", "http://admin:"+strings.ReplaceAll(password, " ", "%20")+"@", 1) + "/scm/prj/" + slug + ".git"
}

// git runs a git command and returns its output; it fails the test on error.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := gitTry(t, dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

func gitTry(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "git", append([]string{"-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main", "-c", "gc.auto=0"}, args...)...)
	command.Dir = dir
	command.Env = environment()
	out, err := command.CombinedOutput()
	return string(out), err
}

// work makes a repository with one commit on main.
func work(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	commit(t, dir, "first")
	return dir
}

// commit adds a commit that changes a file, and returns its id.
func commit(t testing.TB, dir, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "file.txt"), []byte(text+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "--allow-empty", "-m", text)
	return git(t, dir, "rev-parse", "HEAD")
}

// event is one of the log, as the REST feed shows it.
type event struct {
	At       string `json:"at"`
	Position int64  `json:"position"`
	Stream   string `json:"stream"`
	Version  int64  `json:"version"`
	Type     string `json:"type"`
	Body     struct {
		Updates []struct {
			Name   string `json:"name"`
			Old    string `json:"old"`
			New    string `json:"new"`
			Forced bool   `json:"forced"`
		} `json:"updates"`
		Pack *struct {
			ID      string `json:"id"`
			Objects int64  `json:"objects"`
			Bytes   int64  `json:"bytes"`
		} `json:"pack"`
	} `json:"body"`
}

// events reads the whole log with the program itself.
func (n *node) events() []event {
	n.t.Helper()
	command := exec.CommandContext(n.t.Context(), binary, "events", "tail", "--home", n.home, "--after", "0", "--json", "--log-level", "error")
	command.Env = environment()
	out, err := command.Output()
	if err != nil {
		n.t.Fatalf("events tail: %v %s", err, out)
	}
	var list []event
	decoder := json.NewDecoder(bytes.NewReader(out))
	for decoder.More() {
		var e event
		if err := decoder.Decode(&e); err != nil {
			n.t.Fatal(err)
		}
		list = append(list, e)
	}
	for i, e := range list {
		if e.Position != int64(i+1) {
			n.t.Fatalf("event %d has position %d", i+1, e.Position)
		}
	}
	return list
}

// pushes are the events that moved refs.
func (n *node) pushes() []event {
	var list []event
	for _, e := range n.events() {
		if e.Type == "repository.refs_updated.v1" {
			list = append(list, e)
		}
	}
	return list
}

// command runs one of the program's verbs on the node's home.
func (n *node) annal(args ...string) string {
	n.t.Helper()
	command := exec.CommandContext(n.t.Context(), binary, append(args, "--home", n.home)...)
	command.Env = environment()
	out, err := command.CombinedOutput()
	if err != nil {
		n.t.Fatalf("annal %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// gitInput runs a git command with something to read.
func gitInput(t testing.TB, dir, input string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir, command.Env, command.Stdin = dir, environment(), strings.NewReader(input)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// sql changes the embedded database behind the program's back, whether the node runs or not.
func (n *node) sql(statement string) {
	n.t.Helper()
	server, err := localpostgres.Start(n.t.Context(), localpostgres.Config{Dir: filepath.Join(n.home, "postgres"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		n.t.Fatal(err)
	}
	conn, err := pgx.Connect(n.t.Context(), server.URL("annal"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = errors.Join(conn.Close(n.t.Context()), server.Stop(n.t.Context())) }()
	if _, err := conn.Exec(n.t.Context(), statement); err != nil {
		n.t.Fatal(err)
	}
}
