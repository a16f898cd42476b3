package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// status runs annal and returns how it ended.
func (n *node) status(args ...string) (int, string) {
	n.t.Helper()
	command := exec.CommandContext(n.t.Context(), binary, append(args, "--home", n.home, "--log-level", "error")...)
	command.Env = environment()
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return 0, string(out)
}

// An auditor's way: the key, an export, a receipt; and what becomes of them when somebody
// changes something.
func TestAudit(t *testing.T) {
	t.Parallel()
	n := start(t, newHome(t))
	n.repository("beta")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("beta"), "main")
	commit(t, dir, "second")
	git(t, dir, "push", "-q", n.remote("beta"), "main", "main:other")
	pushed := n.pushes()
	position := pushed[len(pushed)-1].Position

	receipt := n.admin(200, "GET", fmt.Sprintf("/rest/annal/1.0/log/receipt?position=%d", position), nil)
	var keys []struct{ Public string }
	_, listed := n.status("audit", "keys", "list", "--json")
	if err := json.Unmarshal([]byte(listed), &keys); err != nil || len(keys) != 1 {
		t.Fatalf("%s: %v", listed, err)
	}
	key := keys[0].Public
	n.annal("audit", "keys", "rotate")
	git(t, dir, "push", "-q", n.remote("beta"), ":other")
	out := t.TempDir()
	file := filepath.Join(out, "receipt.json")
	if err := os.WriteFile(file, []byte(receipt), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := n.annal("audit", "check-receipt", file, "--key", key); !strings.Contains(said, "refs/heads/other") {
		t.Errorf("receipt: %s", said)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(receipt, "refs/heads/other", "refs/heads/udder", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := n.status("audit", "check-receipt", file, "--key", key); code != 12 {
		t.Errorf("a receipt that was changed: %d %s", code, said)
	}
	// By the command line, too, and with the key of another time.
	n.annal("audit", "prove", fmt.Sprint(position+2), "--out", file)
	n.annal("audit", "check-receipt", file, "--key", key)

	export := filepath.Join(out, "log.jsonl")
	n.annal("events", "export", "--with-personal", "--out", export)
	if said := n.annal("audit", "verify", export, "--key", key); !strings.Contains(said, "nothing is wrong") {
		t.Errorf("verify: %s", said)
	}
	part := filepath.Join(out, "part.jsonl")
	n.annal("events", "export", "--from", fmt.Sprint(position), "--out", part)
	if said := n.annal("audit", "verify", part, "--key", key); !strings.Contains(said, "nothing is wrong") {
		t.Errorf("verify of a part: %s", said)
	}
	data, err := os.ReadFile(export)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(export, bytes.Replace(data, []byte("refs/heads/other"), []byte("refs/heads/udder"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := n.status("audit", "verify", export, "--key", key); code != 12 || !strings.Contains(said, fmt.Sprintf("position %d, tree", position)) {
		t.Errorf("an export that was changed: %d %s", code, said)
	}
	if err := os.WriteFile(export, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if code, said := n.status("audit", "verify", export, "--key", key); code != 18 {
		t.Errorf("an export that was cut off: %d %s", code, said)
	}
	if said := n.annal("audit", "verify"); !strings.Contains(said, "nothing is wrong") {
		t.Errorf("verify of the database: %s", said)
	}
	if code, said := n.status("audit", "epoch", "--reason", "none"); code != 1 || !strings.Contains(said, "no reason for a new epoch") {
		t.Errorf("an epoch without need: %d %s", code, said)
	}

	var partitions []struct {
		First, Last, Events, Bytes int64
		Sealed                     bool
	}
	_, listed = n.status("events", "partitions", "--json")
	if err := json.Unmarshal([]byte(listed), &partitions); err != nil || len(partitions) != 1 ||
		partitions[0].First != 1 || partitions[0].Events < position || partitions[0].Bytes == 0 || partitions[0].Sealed {
		t.Errorf("partitions: %s %v", listed, err)
	}
	if said := n.annal("events", "partitions"); !strings.Contains(said, " MiB") {
		t.Errorf("partitions: %s", said)
	}
	if code, said := n.status("events", "move", "1", "--tablespace", "pg_default"); code != 1 || !strings.Contains(said, "still being filled") {
		t.Errorf("a partition that is not full was moved: %d %s", code, said)
	}

	// Somebody changes the database and the files behind the program's back.
	n.sql(`update refs.refs set id = decode('0101010101010101010101010101010101010101', 'hex') where name = 'refs/heads/main'`)
	if code, said := n.status("audit", "verify"); code != 16 {
		t.Errorf("a ref that was changed: %d %s", code, said)
	}
	n.annal("projections", "rebuild", "refs")
	if code, said := n.status("audit", "verify"); code != 0 {
		t.Errorf("after the refs were rebuilt: %d %s", code, said)
	}
	n.sql(fmt.Sprintf(`alter table log.events disable trigger all; alter table log.events_1 disable trigger all;
		update log.events set meta = replace(meta::text, 'password', 'passwort')::json where position = %d;
		alter table log.events enable trigger all; alter table log.events_1 enable trigger all`, position))
	if code, said := n.status("audit", "verify"); code != 12 || !strings.Contains(said, fmt.Sprintf("position %d, tree", position)) {
		t.Errorf("an event that was changed: %d %s", code, said)
	}
}

// A database that is restored from a backup lacks what was pushed since. The node says so
// and takes no changes, until the operator has said that it is lost.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	n := start(t, home)
	n.repository("beta")
	dir := work(t)
	git(t, dir, "push", "-q", n.remote("beta"), "main")
	signed := func() int64 {
		pushed := n.pushes()
		position := pushed[len(pushed)-1].Position
		n.admin(200, "GET", fmt.Sprintf("/rest/annal/1.0/log/receipt?position=%d", position), nil)
		return position
	}
	cut := signed()
	n.stop()
	backup := filepath.Join(t.TempDir(), "postgres")
	copyAll := func(from, to string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	copyAll(filepath.Join(home, "postgres"), backup)
	n = start(t, home)
	commit(t, dir, "lost")
	git(t, dir, "push", "-q", n.remote("beta"), "main")
	lost := signed()
	n.stop()

	if err := os.RemoveAll(filepath.Join(home, "postgres")); err != nil {
		t.Fatal(err)
	}
	copyAll(backup, filepath.Join(home, "postgres"))
	n = start(t, home)
	if out, err := gitTry(t, dir, "push", "--force", n.remote("beta"), "main"); err == nil || !strings.Contains(out, "not the one that was signed") {
		t.Errorf("push to a database that was restored: %v %s", err, out)
	}
	n.admin(503, "POST", "/rest/api/1.0/projects", map[string]any{"key": "OTHER", "name": "Other"})
	git(t, t.TempDir(), "clone", "-q", n.remote("beta"))
	if code, said := n.status("audit", "verify"); code != 11 || !strings.Contains(said, "the log ends behind event") {
		t.Errorf("verify: %d %s", code, said)
	}
	if said := n.annal("audit", "epoch", "--reason", "restored from the backup"); !strings.Contains(said, "epoch 2 begins") {
		t.Errorf("epoch: %s", said)
	}
	eventually(t, func() bool {
		_, err := gitTry(t, dir, "push", "-q", n.remote("beta"), "main")
		return err == nil
	})
	if again := signed(); again <= cut || lost == 0 {
		t.Errorf("it goes on at %d, behind %d", again, cut)
	}
	if said := n.annal("audit", "verify"); !strings.Contains(said, "nothing is wrong") || !strings.Contains(said, "Epoch 2 begins") {
		t.Errorf("verify in the new epoch: %s", said)
	}
}
