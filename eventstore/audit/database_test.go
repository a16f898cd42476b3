package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/account"
	"github.com/annal-git/annal/domain/cluster"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/project"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/audit"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/eventstore/tree"
)

// installation is a log in a real database, with its tree on a disk.
type installation struct {
	t      *testing.T
	url    string
	pool   *pgxpool.Pool
	log    *eventstore.Log
	config tree.Config
	key    ed25519.PublicKey
	pushed byte
}

func open(t *testing.T, url, dir string) *installation {
	t.Helper()
	pool, err := eventstore.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	log, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: eventstore.Types(), Node: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return &installation{t: t, url: url, pool: pool, log: log, config: tree.Config{
		Log: log, Table: tree.NewTable(pool), Dir: filepath.Join(dir, "log"), KeyFile: filepath.Join(dir, "key.pem"), Logger: slog.New(slog.DiscardHandler),
	}}
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := open(t, eventstoretest.URL(t), t.TempDir())
	in.append(0, "system", domain.ClusterStream, cluster.Created{ID: clusterID, Name: "test"})
	if err := tree.PrepareKey(t.Context(), in.config); err != nil {
		t.Fatal(err)
	}
	key, err := tree.LoadKey(in.config.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	in.key = key.Public()
	in.append(0, "setup", "user/1", account.Created{ID: 1, Type: account.Normal, SetUp: true, Profile: account.Profile{Name: "admin", Slug: "admin"}}, access.Granted{User: 1, Permission: access.SysAdmin})
	in.append(1, "password", "user/2", account.Created{ID: 2, Type: account.Normal, Profile: account.Profile{Name: "jane", Slug: "jane"}})
	in.append(1, "password", "project/1", project.Created{ID: 1, Settings: project.Settings{Key: "P", Name: "P"}},
		access.Granted{User: 2, Permission: access.ProjectWrite, Target: access.Target{Project: 1}})
	in.append(1, "password", "repository/1", repository.Created{ID: 1, Storage: "s", Project: 1, Name: "r", Slug: "r", DefaultBranch: "refs/heads/main"})
	return in
}

func (in *installation) append(actor domain.UserID, auth string, stream domain.Stream, events ...domain.Event) int64 {
	in.t.Helper()
	meta := domain.Metadata{Actor: actor, Auth: auth}
	if actor != 0 {
		meta.Address = "203.0.113.9"
	}
	appended, err := in.log.Append(in.t.Context(), eventstore.Proposal{Stream: stream, Expect: eventstore.Any, Events: events, Meta: meta})
	if err != nil {
		in.t.Fatal(err)
	}
	return appended.Position
}

// push moves the main branch n times.
func (in *installation) push(n int) (position int64) {
	for range n {
		update := git.RefUpdate{Name: "refs/heads/main", Old: git.ObjectID{19: in.pushed}, New: git.ObjectID{19: in.pushed + 1}}
		if in.pushed++; in.pushed == 255 {
			update.New, in.pushed = git.ZeroID, 0
		}
		position = in.append(2, "password", "repository/1", repository.RefsUpdated{Updates: []git.RefUpdate{update}})
	}
	return position
}

func (in *installation) sign() {
	in.t.Helper()
	if _, err := tree.NewIntegrator(in.config).Step(in.t.Context()); err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) verify(witnesses ...string) *audit.Report {
	in.t.Helper()
	source, err := audit.OpenDatabase(in.t.Context(), in.pool, in.config, audit.Range{From: 1, To: -1, Personal: true})
	if err != nil {
		in.t.Fatal(err)
	}
	report, err := audit.Verify(in.t.Context(), source, audit.Options{
		Types: eventstore.Types(), Keys: []ed25519.PublicKey{in.key}, Witnesses: witnesses, CheckFiles: audit.Files(in.config.Dir, source),
	})
	if err != nil {
		in.t.Fatal(err)
	}
	return report
}

// sql does what only the database's owner can.
func (in *installation) sql(statements ...string) {
	in.t.Helper()
	conn, err := pgx.Connect(in.t.Context(), in.url)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(in.t.Context())) }()
	for _, s := range append([]string{`set session_replication_role = replica`}, statements...) {
		if _, err := conn.Exec(in.t.Context(), s); err != nil {
			in.t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.push(290)
	in.sign()
	old, err := tree.EpochFolder(in.config.Dir, 1).Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if err := eventstore.Erase(t.Context(), in.log, 2, domain.Metadata{Auth: "system"}, nil); err != nil {
		t.Fatal(err)
	}
	in.push(20)
	in.sign()
	last := in.push(3)
	report := in.verify(old)
	if !report.Whole() || report.Events != last || report.Signed != last-3 || report.Erased < 290 {
		t.Fatalf("%+v", report)
	}
	for _, r := range []audit.Range{{From: 100, Personal: true}, {From: 257}, {From: 1, To: 50, Personal: true}, {From: 2, To: -1}} {
		source, err := audit.OpenDatabase(t.Context(), in.pool, in.config, r)
		if err != nil {
			t.Fatal(err)
		}
		data := exportOf(t, source)
		part, err := verifyExport(data, audit.Options{Keys: []ed25519.PublicKey{in.key}})
		// A part that ends before the first checkpoint is covered by none.
		if covered := r.To != 50; err != nil || part.Whole() != covered || part.From != r.From {
			t.Errorf("%+v: %v %+v", r, err, part)
		}
	}

	folder := filepath.Join(in.config.Dir, "1")
	edit := func(file string, at int) (undo func()) {
		file = filepath.Join(folder, file)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		edited := bytes.Clone(data)
		edited[at] ^= 1
		if err := os.WriteFile(file, edited, 0o600); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	newest := report.Signed
	for _, d := range []struct {
		name        string
		class       audit.Class
		first, last int64
		do          func() (undo func())
	}{
		{"edited body", audit.Tree, 100, 100, func() func() {
			in.sql(`update log.events set body = replace(body::text, 'main', 'mine')::json where position = 100`)
			return func() {
				in.sql(`update log.events set body = replace(body::text, 'mine', 'main')::json where position = 100`)
			}
		}},
		{"edited time", audit.Tree, 200, 200, func() func() {
			in.sql(`update log.events set at = at + interval '1 microsecond' where position = 200`)
			return func() { in.sql(`update log.events set at = at - interval '1 microsecond' where position = 200`) }
		}},
		{"deleted row", audit.Form, 150, 150, func() func() {
			in.sql(`create table public.gone as select * from log.events where position = 150`, `delete from log.events where position = 150`)
			return func() { in.sql(`insert into log.events select * from public.gone`, `drop table public.gone`) }
		}},
		{"behind the newest checkpoint, out of order", audit.Form, last, last, func() func() {
			in.sql(fmt.Sprintf(`update log.events set version = version + 1 where position = %d`, last))
			return func() { in.sql(fmt.Sprintf(`update log.events set version = version - 1 where position = %d`, last)) }
		}},
		{"edited salt", audit.Personal, last - 1, last - 1, func() func() {
			in.sql(fmt.Sprintf(`update log.personal set salt = set_byte(salt, 0, get_byte(salt, 0) # 1) where position = %d`, last-1))
			return func() {
				in.sql(fmt.Sprintf(`update log.personal set salt = set_byte(salt, 0, get_byte(salt, 0) # 1) where position = %d`, last-1))
			}
		}},
		{"deleted personal data", audit.Personal, last, last, func() func() {
			in.sql(`create table public.gone as select * from log.personal where position = `+fmt.Sprint(last), `delete from log.personal where position = `+fmt.Sprint(last))
			return func() { in.sql(`insert into log.personal select * from public.gone`, `drop table public.gone`) }
		}},
		{"edited tile of hashes", audit.Tree, 11, 11, func() func() { return edit("tile/0/000", 10*32) }},
		{"edited tile above", audit.Tree, 1, 256, func() func() { return edit("tile/1/000.p/1", 5) }},
		{"edited entries", audit.Tree, 1, 1, func() func() { return edit("tile/entries/000", 20) }},
		{"replayed old checkpoint", audit.Signatures, 297, 297, func() func() {
			file := filepath.Join(folder, "checkpoint")
			signed, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.WriteFile(file, signed, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"rolled back", audit.Signatures, newest - 9, newest - 9, func() func() {
			in.sql(`create table public.gone as select * from log.events where position >= `+fmt.Sprint(newest-9), `delete from log.events where position >= `+fmt.Sprint(newest-9))
			return func() { in.sql(`insert into log.events select * from public.gone`, `drop table public.gone`) }
		}},
	} {
		undo := d.do()
		found := in.verify(old)
		undo()
		if found.Whole() {
			t.Errorf("%s is not found", d.name)
			continue
		}
		if first := found.Findings[0]; first.Class != d.class || first.Last != d.last || first.First > d.first {
			t.Errorf("%s is named as %v", d.name, found.Findings)
		}
	}
	if again := in.verify(old); !again.Whole() {
		t.Fatalf("after everything was undone: %v", again.Findings)
	}
	foreign, _ := tree.NewKey()
	signed, _ := foreign.Sign(tree.Checkpoint{Origin: tree.Origin(clusterID, 1), Size: 50, Root: tlog.Hash{1}})
	if found := in.verify(signed); found.Whole() || found.Findings[0].Last != 50 {
		t.Errorf("another checkpoint that was kept: %v", found.Findings)
	}
}

// tool finds one of PostgreSQL's programs beside those that run.
func (in *installation) tool(name string) string {
	in.t.Helper()
	var dir string
	conn, err := pgx.Connect(in.t.Context(), in.url)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(in.t.Context())) }()
	if err := conn.QueryRow(in.t.Context(), `select setting from pg_config where name = 'BINDIR'`).Scan(&dir); err != nil {
		in.t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		in.t.Skipf("%s is not on this machine: dump and restore cannot be tested", file)
	}
	return file
}

// A dump that is restored into a new database, and goes on: the same roots, no event lost
// or repeated, and the same node memory believes it.
func TestDumpAndRestore(t *testing.T) {
	t.Parallel()
	in := newInstallation(t)
	in.push(280)
	in.sign()
	witness := tree.NewWitness(in.config, filepath.Join(t.TempDir(), "checkpoint"))
	if err := witness.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	head := in.push(10) // not signed yet
	dump, err := exec.CommandContext(t.Context(), in.tool("pg_dump"), "--format=custom", "--dbname="+in.url).Output()
	if err != nil {
		t.Fatal(err)
	}
	restored, err := url.Parse(in.url)
	if err != nil {
		t.Fatal(err)
	}
	restored.Path += "_restored"
	in.sql(fmt.Sprintf(`create database %s template template0`, pgx.Identifier{restored.Path[1:]}.Sanitize()))
	command := exec.CommandContext(t.Context(), in.tool("pg_restore"), "--exit-on-error", "--dbname="+restored.String())
	command.Stdin = bytes.NewReader(dump)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	// Both go on alike, so that their trees can be compared: the rows are the same, times
	// of what is new are not.
	other := open(t, restored.String(), filepath.Dir(in.config.KeyFile))
	other.key, other.pushed = in.key, in.pushed
	seen := int64(0)
	for seen < head {
		page, err := other.log.ReadStored(t.Context(), seen, 100)
		if err != nil || len(page) == 0 {
			t.Fatalf("%d events behind %d: %v", len(page), seen, err)
		}
		seen = page[len(page)-1].Position
	}
	if position := other.push(30); position != head+30 {
		t.Errorf("it goes on at %d, behind %d", position, head)
	}
	other.sign()
	again := tree.NewWitness(other.config, filepath.Join(t.TempDir(), "checkpoint"))
	if err := again.Check(t.Context()); err != nil {
		t.Errorf("a node that knows the old checkpoints refuses: %v", err)
	}
	report := other.verify(witness.Newest().Note)
	if !report.Whole() || report.Events != head+30 || report.Signed != head+30 {
		t.Errorf("%+v", report)
	}
	c, err := tree.PeekCheckpoint(witness.Newest().Note)
	if err != nil {
		t.Fatal(err)
	}
	newest, _, err := other.config.Table.Newest(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	root, err := tree.EpochFolder(other.config.Dir, 1).RootAt(tree.Checkpoint{Size: newest.Size, Root: newest.Root}, c.Size)
	if err != nil || root != c.Root {
		t.Errorf("the root of the first %d events is another: %v", c.Size, err)
	}
}
