package main_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// storm is how often what is killed, and under how many writers.
type storm struct{ databases, nodes, pauses, writers int }

// stormy reads the length of the storm from ANNAL_STORM, such as "50,50,10,64".
func stormy(t *testing.T) storm {
	s := storm{databases: 2, nodes: 2, pauses: 1, writers: 16}
	if text := os.Getenv("ANNAL_STORM"); text != "" {
		if _, err := fmt.Sscanf(text, "%d,%d,%d,%d", &s.databases, &s.nodes, &s.pauses, &s.writers); err != nil {
			t.Fatalf("ANNAL_STORM is %q: %v", text, err)
		}
	} else if testing.Short() {
		t.Skip("SKIPPED in short mode: kills databases and nodes again and again")
	}
	return s
}

// Three nodes under writers on branches of their own and on a few that they share, while
// their database and they themselves are killed and stopped: whatever was acknowledged is
// in the log exactly once, positions are dense, each ref's history is a chain, and all
// views equal what the log says.
func TestStorm(t *testing.T) {
	t.Parallel()
	storm := stormy(t)
	home := newHome(t)
	const quiet = "ANNAL_LOG_LEVEL=error"
	first := start(t, home, quiet)
	database := "postgres://annal@/annal?" + url.Values{"host": {filepath.Join(home, "postgres", "run")}}.Encode()
	shared := "ANNAL_SHARED_HOME=" + filepath.Join(home, "shared")
	homes := [3]string{home, newHome(t), newHome(t)}
	boot := func(i int) *node {
		if i == 0 {
			return start(t, home, quiet)
		}
		return start(t, homes[i], "ANNAL_DATABASE_URL="+database, shared, quiet)
	}
	var nodes [3]atomic.Pointer[node]
	nodes[0].Store(first)
	for i := 1; i < len(nodes); i++ {
		nodes[i].Store(boot(i))
	}
	first.repository("demo")
	dir := work(t)
	one := git(t, dir, "rev-parse", "HEAD")
	two := commit(t, dir, "second")
	remote := strings.Replace(first.remote("demo"), password, strings.ReplaceAll(password, " ", "%20"), 1)
	git(t, dir, "push", "-q", remote, "main")
	w := &writers{t: t, url: func() string { return nodes[rand.IntN(len(nodes))].Load().url }, one: one, two: two, empty: gitEmptyPack(t, dir)}
	before := len(first.events())

	ctx, end := context.WithCancel(t.Context())
	defer end()
	var writing sync.WaitGroup
	for n := range storm.writers {
		writing.Go(func() { w.write(ctx, n) })
	}
	faults := append(append(repeat("database", storm.databases), repeat("node", storm.nodes)...), repeat("pause", storm.pauses)...)
	rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for _, fault := range faults {
		w.awaitMore(20)
		i := rand.IntN(len(nodes))
		switch fault {
		case "database":
			w.killDatabase(home)
		case "node":
			nodes[i].Load().kill()
			nodes[i].Store(boot(i))
		case "pause":
			process := nodes[i].Load().command.Process
			_ = process.Signal(syscall.SIGSTOP)
			<-time.After(4 * time.Second) // longer than leases last
			_ = process.Signal(syscall.SIGCONT)
		}
	}
	w.awaitMore(20)
	end()
	writing.Wait()

	n := nodes[0].Load()
	w.compare(n.events()[before:])
	for _, name := range n.awaitProjections() {
		n.annal("projections", "verify", name)
	}
	n.annal("audit", "verify")
	t.Logf("%d faults; %d pushes acknowledged, %d refused, %d without an answer", len(faults), w.acknowledged.Load(), w.refused.Load(), w.unanswered.Load())
}

func repeat(text string, times int) []string {
	list := make([]string, times)
	for i := range list {
		list[i] = text
	}
	return list
}

// writers push by hand and remember what was acknowledged.
type writers struct {
	t        *testing.T
	url      func() string
	one, two string // commits that the server has
	empty    []byte // a pack without objects

	acknowledged, refused, unanswered atomic.Int64
	acks                              sync.Map // "ref old new" to *atomic.Int64
}

const noCommit = "0000000000000000000000000000000000000000"

// write makes branches of the writer's own, each once, and moves shared ones to and fro.
func (w *writers) write(ctx context.Context, writer int) {
	for i := 0; ctx.Err() == nil; i++ {
		w.push(ctx, fmt.Sprintf("refs/heads/w%d/%d", writer, i), noCommit, w.one)
		ref := fmt.Sprintf("refs/heads/shared%d", i%4)
		from, to := w.one, w.two
		switch rand.IntN(4) {
		case 0:
			from = noCommit
		case 1:
			from, to = to, from
		}
		w.push(ctx, ref, from, to)
	}
}

func (w *writers) push(ctx context.Context, ref, from, to string) {
	line := fmt.Sprintf("%s %s %s\x00report-status atomic agent=test", from, to, ref)
	body := fmt.Sprintf("%04x%s0000", len(line)+4, line) + string(w.empty)
	// The push under way is seen to its end: what it came to is the question.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url()+"/scm/prj/demo.git/git-receive-pack", strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	request.Header.Set("Content-Type", "application/x-git-receive-pack-request")
	request.SetBasicAuth("admin", password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.unanswered.Add(1)
		return
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err == nil && strings.Contains(string(answer), "ok "+ref):
		count, _ := w.acks.LoadOrStore(ref+" "+from+" "+to, new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
		w.acknowledged.Add(1)
	case err == nil && strings.Contains(string(answer), "ng "+ref):
		w.refused.Add(1)
	default:
		w.unanswered.Add(1)
	}
}

// awaitMore returns once some more pushes have been acknowledged.
func (w *writers) awaitMore(pushes int64) {
	w.t.Helper()
	goal, deadline := w.acknowledged.Load()+pushes, time.Now().Add(2*time.Minute)
	for w.acknowledged.Load() < goal {
		if time.Now().After(deadline) {
			w.t.Fatalf("no push is acknowledged any more: %d acknowledged, %d refused, %d without an answer",
				w.acknowledged.Load(), w.refused.Load(), w.unanswered.Load())
		}
		<-time.After(10 * time.Millisecond)
	}
}

// killDatabase ends the server at once and waits until it has ended; the node that runs it
// starts it again.
func (w *writers) killDatabase(home string) {
	text, err := os.ReadFile(filepath.Join(home, "postgres", "data", "postmaster.pid"))
	if err != nil {
		return // it is coming up from the last time
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil || pid <= 1 {
		return
	}
	for syscall.Kill(pid, syscall.SIGQUIT) == nil {
		<-time.After(10 * time.Millisecond)
	}
}

// compare checks the log against what was acknowledged.
func (w *writers) compare(events []event) {
	at, moves := map[string]string{}, map[string]int64{}
	version := int64(0)
	for _, e := range events {
		if e.Stream != "repository/1" {
			continue
		}
		if version != 0 && e.Version != version+1 {
			w.t.Errorf("event %d has version %d after %d", e.Position, e.Version, version)
		}
		version = e.Version
		for _, u := range e.Body.Updates {
			if old, known := at[u.Name]; known && old != u.Old || !known && u.Old != noCommit {
				w.t.Errorf("event %d moves %s from %s, which was at %q", e.Position, u.Name, u.Old, old)
			}
			at[u.Name] = u.New
			moves[u.Name+" "+u.Old+" "+u.New]++
		}
	}
	w.acks.Range(func(move, count any) bool {
		acknowledged, logged := count.(*atomic.Int64).Load(), moves[move.(string)]
		own := !strings.Contains(move.(string), "shared")
		if logged < acknowledged || (own && logged != 1) {
			w.t.Errorf("%s was acknowledged %d times and is in the log %d times", move, acknowledged, logged)
		}
		return true
	})
	if w.acknowledged.Load() == 0 {
		w.t.Error("nothing was acknowledged")
	}
}

// awaitProjections returns the names of all projections once they have followed the log
// to its end.
func (n *node) awaitProjections() (names []string) {
	n.t.Helper()
	eventually(n.t, func() bool {
		lines := strings.Split(strings.TrimSpace(n.annal("projections", "list", "--log-level", "error")), "\n")
		names = nil
		for _, line := range lines[1:] { // without the head of the table
			if !strings.Contains(line, " 0 events") {
				return false
			}
			if !strings.Contains(line, "hands on") { // what has no tables
				names = append(names, strings.Fields(line)[0])
			}
		}
		return true
	})
	return names
}
