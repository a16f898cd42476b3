package localpostgres_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annal-git/annal/eventstore/localpostgres"
)

// home is a folder that the server's user can reach even when the tests run as root.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "annal-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "postgres")
}

func start(t *testing.T, dir string) *localpostgres.Server {
	t.Helper()
	server, err := localpostgres.Start(t.Context(), localpostgres.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func stop(t *testing.T, server *localpostgres.Server) {
	t.Helper()
	if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func execute(t *testing.T, server *localpostgres.Server, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func pid(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	n, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDataSurvivesStopAndCrash(t *testing.T) {
	t.Parallel()
	dir := home(t)
	server := start(t, dir)
	execute(t, server, `create table kept (n int)`)
	stop(t, server)
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); !os.IsNotExist(err) {
		t.Error("the server did not stop cleanly")
	}

	server = start(t, dir)
	execute(t, server, `insert into kept values (1)`)
	if err := syscall.Kill(pid(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, dir)
	server = start(t, dir)
	defer stop(t, server)
	execute(t, server, `do $$ begin if (select count(*) from kept) <> 1 then raise 'lost'; end if; end $$`)
}

// awaitGone waits until the processes of a killed server have noticed and ended:
// until then the data is in use.
func awaitGone(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if out, _ := exec.CommandContext(ctx, "sh", "-c", `for p in /proc/[0-9]*; do [ "$(readlink $p/cwd)" = "$0" ] && echo $p; done`,
			filepath.Join(dir, "data")).Output(); len(out) == 0 {
			return
		}
	}
	t.Fatal("the killed server's processes do not end")
}

func TestTheLastUserStopsTheServer(t *testing.T) {
	t.Parallel()
	dir := home(t)
	first := start(t, dir)
	running := pid(t, dir)
	second := start(t, dir)
	if pid(t, dir) != running {
		t.Error("a second start did not find the server running")
	}
	stop(t, first)
	execute(t, second, `select 1`)
	stop(t, second)
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); !os.IsNotExist(err) {
		t.Error("the server runs on without users")
	}
}

func TestOnlyTheOwnerReachesTheSocket(t *testing.T) {
	t.Parallel()
	dir := home(t)
	server := start(t, dir)
	defer stop(t, server)
	for _, name := range []string{"run", "data"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %o: others may enter", name, mode)
		}
	}
}
