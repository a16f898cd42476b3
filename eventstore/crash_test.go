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
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/eventstore/localpostgres"
)

// appendWhile has writers append n events each, every one under an id of its own,
// while disturb goes on, and checks that each is in the log exactly once.
func appendWhile(t *testing.T, log *eventstore.Log, pool *pgxpool.Pool, n int, disturb func(done <-chan struct{})) {
	t.Helper()
	const writers = 8
	done := make(chan struct{})
	var disturbing, writing sync.WaitGroup
	disturbing.Go(func() { disturb(done) })
	for writer := range writers {
		writing.Go(func() {
			stream := domain.Stream(fmt.Sprint("s", writer))
			for i := range n {
				appended, err := log.Append(t.Context(), eventstore.Proposal{
					ID: uuid.NewString(), Stream: stream, Expect: eventstore.Expect(i), Events: []domain.Event{counted{i}},
				})
				if err != nil {
					t.Errorf("append %d to %s: %v", i, stream, err)
					return
				}
				if appended.Version != int64(i+1) {
					t.Errorf("append %d to %s: version %d", i, stream, appended.Version)
				}
			}
		})
	}
	writing.Wait()
	close(done)
	disturbing.Wait()
	all, err := log.ReadAll(t.Context(), 0, writers*n+1) // fails on a gap
	if err != nil || len(all) != writers*n {
		t.Fatalf("%d events (%v), want %d: lost or twice", len(all), err, writers*n)
	}
	var ids int
	if err := pool.QueryRow(t.Context(), `select count(distinct id) from events`).Scan(&ids); err != nil || ids != writers*n {
		t.Errorf("%d ids (%v), want %d", ids, err, writers*n)
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
	killed := 0
	appendWhile(t, log, pool, 60, func(done <-chan struct{}) {
		for {
			select {
			case <-done:
				return
			default:
			}
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
	if killed < 5 {
		t.Errorf("only %d connections were cut", killed)
	}
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
	appendWhile(t, log, pool, 400, func(done <-chan struct{}) {
		for range 3 {
			select {
			case <-done:
				t.Error("the writers were done before the server had crashed often enough")
				return
			default:
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
