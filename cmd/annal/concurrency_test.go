package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Operations on a branch, as clients saw them.
type (
	refInput struct {
		read     bool
		old, new string
	}
	refOutput struct {
		value string // of a read
		moved bool   // of a push
	}
)

// branch is a register with compare-and-set.
var branch = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in, out := input.(refInput), output.(refOutput)
		switch {
		case in.read:
			return out.value == state.(string), state
		case out.moved:
			return in.old == state.(string), in.new
		default:
			// A refused push may have been refused by the client, which had seen
			// another value: it says nothing about the value at that moment.
			return true, state
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// Sixteen clients push to sixteen branches of one repository, and all of them to one
// more: what was acknowledged is there, and each branch's history is a chain.
func TestSixteenClients(t *testing.T) {
	t.Parallel()
	const clients, rounds = 16, 3
	n := start(t, newHome(t))
	n.repository("busy")
	base := work(t)
	root := git(t, base, "rev-parse", "HEAD")
	git(t, base, "push", "-q", n.remote("busy"), "main:shared")

	var mu sync.Mutex
	var history []porcupine.Operation
	record := func(client int, begin time.Time, in refInput, out refOutput) {
		mu.Lock()
		defer mu.Unlock()
		history = append(history, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: begin.UnixNano(), Return: time.Now().UnixNano()})
	}
	record(clients, time.Now(), refInput{new: root}, refOutput{moved: true}) // the push above

	own := make([]string, clients) // last acknowledged id of each client's own branch
	var wg sync.WaitGroup
	for client := range clients {
		dir := filepath.Join(t.TempDir(), fmt.Sprint(client))
		git(t, base, "clone", "-q", base, dir)
		wg.Go(func() {
			for round := range rounds {
				id := commit(t, dir, fmt.Sprintf("%d of %d", round, client))
				git(t, dir, "push", "-q", n.remote("busy"), fmt.Sprintf("main:own/%d", client))
				own[client] = id

				begin := time.Now()
				old, _, _ := strings.Cut(git(t, dir, "ls-remote", n.remote("busy"), "refs/heads/shared"), "\t")
				record(client, begin, refInput{read: true}, refOutput{value: old})
				begin = time.Now()
				_, err := gitTry(t, dir, "push", "-q", "--force-with-lease=shared:"+old, n.remote("busy"), "main:shared")
				record(client, begin, refInput{old: old, new: id}, refOutput{moved: err == nil})
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if !porcupine.CheckOperations(branch, history) {
		t.Error("what the clients saw of the shared branch fits no order of their pushes")
	}

	refs := map[string]string{}
	for line := range strings.SplitSeq(git(t, base, "ls-remote", "--heads", n.remote("busy")), "\n") {
		id, name, _ := strings.Cut(line, "\t")
		refs[name] = id
	}
	for client, id := range own {
		if at := refs[fmt.Sprintf("refs/heads/own/%d", client)]; at != id {
			t.Errorf("client %d was told that its branch is at %s, it is at %s", client, id, at)
		}
	}
	chain := map[string]string{}
	for _, e := range n.pushes() {
		for _, u := range e.Body.Updates {
			if was := chain[u.Name]; was != strings.Trim(u.Old, "0") && was != u.Old {
				t.Errorf("event %d moves %s from %s, which was at %s", e.Position, u.Name, u.Old, was)
			}
			chain[u.Name] = u.New
		}
	}
	for name, id := range chain {
		if refs[name] != id {
			t.Errorf("%s is at %s, its last event says %s", name, refs[name], id)
		}
	}
	copied := filepath.Join(t.TempDir(), "copy.git")
	git(t, base, "clone", "-q", "--mirror", n.remote("busy"), copied)
	git(t, copied, "fsck", "--full", "--strict")
}
