package eventstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/eventstore/localpostgres"
)

// appendWhile has writers append, every event under an id of its own, until disturb
// has done its worst, and checks that each acknowledged one is in the log exactly once.
func appendWhile(t *testing.T, log *eventstore.Log, pool *pgxpool.Pool, disturb func()) {
	t.Helper()
	const writers = 8
	disturbed := make(chan struct{})
	var acknowledged atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(disturbed)
		disturb()
	})
	for writer := range writers {
		wg.Go(func() {
			stream := domain.Stream(fmt.Sprint("s", writer))
			for i := 0; ; i++ {
				select {
				case <-disturbed:
					return
				default:
				}
				appended, err := log.Append(t.Context(), eventstore.Proposal{
					Stream: stream, Expect: eventstore.Expect(i), Events: []domain.Event{counted{i}},
				})
				if err != nil {
					t.Errorf("append %d to %s: %v", i, stream, err)
					return
				}
				if appended.Version != int64(i+1) {
					t.Errorf("append %d to %s: version %d", i, stream, appended.Version)
				}
				acknowledged.Add(1)
			}
		})
	}
	wg.Wait()
	pool.Reset() // its connections may be those of a server that has crashed
	want := acknowledged.Load()
	var head, count, ids int64
	err := pool.QueryRow(t.Context(), `select max(position), count(*), count(distinct id) from events`).Scan(&head, &count, &ids)
	if err != nil || want == 0 || head != want || count != want || ids != want {
		t.Errorf("%d acknowledged; in the log %d events under %d ids up to position %d (%v)", want, count, ids, head, err)
	}
}

func TestAppendsSurviveLostConnections(t *testing.T) {
	t.Parallel()
	log, pool := eventstoretest.Log(t, eventstore.Options{Types: types(), Log: slog.New(slog.DiscardHandler)})
	owner, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close(context.Background()) }()
	appendWhile(t, log, pool, func() {
		for killed := 0; killed < 20; {
			// Whoever holds the append lock is at some step of a transaction.
			var n int
			err := owner.QueryRow(context.Background(), `
				select count(pg_terminate_backend(pid)) from pg_locks
				where locktype = 'advisory' and granted and pid <> pg_backend_pid()
					and database = (select oid from pg_database where datname = current_database())`).Scan(&n)
			if err != nil {
				t.Error(err)
				return
			}
			killed += n
		}
	})
}

func TestAppendsSurviveACrashedServer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIPPED in short mode: starts a server again and again")
	}
	dir, err := os.MkdirTemp("", "annal-crash-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	config := localpostgres.Config{Dir: filepath.Join(dir, "postgres"), Log: quiet}
	server, err := localpostgres.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.CreateDatabase(t.Context(), "annal", "template1"); err != nil {
		t.Fatal(err)
	}
	if _, err := eventstore.Migrate(t.Context(), server.URL("annal")); err != nil {
		t.Fatal(err)
	}
	pool, err := eventstore.Connect(t.Context(), server.URL("annal"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	log, err := eventstore.Open(t.Context(), pool, eventstore.Options{Types: types(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	appendWhile(t, log, pool, func() {
		for range 3 {
			before, _ := log.Head(t.Context())
			if _, err := log.Await(t.Context(), before+20); err != nil {
				t.Error(err)
				return
			}
			crash(t, config.Dir)
			if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
			again, err := localpostgres.Start(context.WithoutCancel(t.Context()), config)
			if err != nil {
				t.Error(err)
				return
			}
			server = again
		}
	})
	if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

// crash ends the server at once, without a checkpoint: the next start recovers.
func crash(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(dir, "data", "postmaster.pid")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Error(err)
		return
	}
	_ = syscall.Kill(pid, syscall.SIGQUIT)
	for { // PostgreSQL removes the file as the last thing it does
		if _, err := os.Stat(file); err != nil {
			return
		}
	}
}
