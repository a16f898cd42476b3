package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// config runs "annal config" and returns what it prints.
func config(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, append([]string{"config"}, args...)...)
	command.Env = environment(env...)
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestStrengthOfSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "annal.yml")
	if err := os.WriteFile(file, []byte("http-addr: \":1\"\nssh-addr: \":1\"\ngossip-addr: \":1\"\ncluster-peers: [a:5701, b:5701]\ndrain-grace: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := config(t, []string{"ANNAL_SSH_ADDR=:2", "ANNAL_GOSSIP_ADDR=:2"}, "--config", file, "--gossip-addr", ":3")
	if err != nil {
		t.Fatal(out)
	}
	for _, line := range []string{"http-addr: :1\n", "ssh-addr: :2\n", "gossip-addr: :3\n", "- a:5701\n", "- b:5701\n", "drain-grace: 5s\n", "log-level: info\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is missing in\n%s", line, out)
		}
	}
	// What it prints is a configuration.
	printed := filepath.Join(t.TempDir(), "printed.yml")
	if err := os.WriteFile(printed, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := config(t, nil, "--config", printed)
	if err != nil || again != out {
		t.Errorf("read back: %v\n%s", err, again)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	out, err := config(t, []string{"ANNAL_CLUSTER_PASSWORD=canary-1"}, "--database-url", "postgres://annal:canary-2@db/annal", "--search-url", "https://u:canary-3@search")
	if err != nil || strings.Contains(out, "canary") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = config(t, nil, "--database-url", "mysql://annal:canary-2@db/annal")
	if err == nil || strings.Contains(out, "canary") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "annal.yml")
	if err := os.WriteFile(file, []byte("htpp-addr: \":1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"--http-addr", "7990"}, []string{"http-addr", `"7990"`, "host:port"}},
		{[]string{"--http-addr", ":99999"}, []string{"http-addr", "99999"}},
		{[]string{"--base-url", "git.example.org"}, []string{"base-url", "http:// or https://"}},
		{[]string{"--database-url", "mysql://db"}, []string{"database-url", "postgres://"}},
		{[]string{"--log-level", "loud"}, []string{"log-level", "loud", "debug, info, warn or error"}},
		{[]string{"--log-format", "xml"}, []string{"log-format", "text or json"}},
		{[]string{"--cluster-name", "a b"}, []string{"cluster-name", "letters"}},
		{[]string{"--cluster-peers", "node1"}, []string{"cluster-peers", "node1"}},
		{[]string{"--drain-grace", "2h"}, []string{"drain-grace", "1h"}},
		{[]string{"--max-pack-size", "0"}, []string{"max-pack-size", "MiB"}},
		{[]string{"--config", file}, []string{"htpp-addr"}},
		{[]string{"--config", file + ".none"}, []string{"config", "no such file"}},
		{[]string{"--no-such-flag"}, []string{"no-such-flag"}},
	} {
		out, err := config(t, nil, c.args...)
		if err == nil {
			t.Errorf("%v is taken", c.args)
		}
		for _, words := range c.says {
			if !strings.Contains(out, words) {
				t.Errorf("%v: the answer does not say %q: %s", c.args, words, out)
			}
		}
	}
}
