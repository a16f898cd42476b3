// Package eventstoretest gives tests a real PostgreSQL: one server a test binary,
// a fresh migrated database a test.
package eventstoretest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/localpostgres"
)

const template = "annal_template"

var (
	running struct {
		once   sync.Once
		dir    string
		server *localpostgres.Server
		err    error
	}
	databases atomic.Int64
)

// Main runs a package's tests, stops the server afterwards and looks for goroutines that
// were left behind. Call it from TestMain; the server starts with the first test that
// needs it.
func Main(m *testing.M) {
	code := m.Run()
	stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func stop() {
	if running.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := running.server.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if running.dir != "" {
		_ = os.RemoveAll(running.dir)
	}
}

// URL makes a fresh migrated database and returns its connection URL, as the
// server's superuser.
func URL(t testing.TB) string {
	t.Helper()
	ctx := t.Context()
	running.once.Do(func() { running.server, running.err = start(ctx) })
	if running.err != nil {
		t.Fatal(running.err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := running.server.CreateDatabase(ctx, name, template); err != nil {
		t.Fatal(err)
	}
	return running.server.URL(name)
}

// Database is a pool on a fresh migrated database, working as the application's
// role. It is closed when the test ends.
func Database(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := eventstore.Connect(t.Context(), URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Log opens the log of a fresh database with every known event type. Both are
// closed when the test ends.
func Log(t testing.TB, options eventstore.Options) (*eventstore.Log, *pgxpool.Pool) {
	t.Helper()
	pool := Database(t)
	if options.Types == nil {
		options.Types = eventstore.Types()
	}
	if options.Node == "" {
		options.Node = "test"
	}
	log, err := eventstore.Open(t.Context(), pool, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	return log, pool
}

// start runs the server and migrates the database that tests get copies of.
func start(ctx context.Context) (*localpostgres.Server, error) {
	dir, err := os.MkdirTemp("", "annal-test-")
	if err != nil {
		return nil, err
	}
	running.dir = dir
	// The server may run as another user, who must get through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil || os.Geteuid() == 0 {
		cache = "/var/cache" // root's own is closed to the user the server runs as
	}
	server, err := localpostgres.Start(ctx, localpostgres.Config{
		Dir:     filepath.Join(dir, "postgres"),
		Cache:   filepath.Join(cache, "annal", "postgres"),
		Scratch: true,
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	if err := server.CreateDatabase(ctx, template, "template1"); err != nil {
		return server, err
	}
	_, err = eventstore.Migrate(ctx, server.URL(template))
	return server, err
}
