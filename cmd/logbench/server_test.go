package logbench

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
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/localpostgres"
)

// server is a PostgreSQL as a node starts it for itself: it syncs to disk.
type server struct {
	*localpostgres.Server
	dir       string
	databases atomic.Int64
}

var shared struct {
	once   sync.Once
	server *server
	err    error
}

func TestMain(m *testing.M) {
	if url := os.Getenv(leaseURL); url != "" {
		holdLease(url)
		return
	}
	code := m.Run()
	endServer()
	os.Exit(code)
}

func endServer() {
	if shared.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := shared.server.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(shared.server.dir)
}

// theServer starts the one server of all bars.
func theServer(b testing.TB) *server {
	b.Helper()
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "annal-bench-")
		if err == nil {
			err = os.Chmod(dir, 0o711) // the server may run as another user
		}
		if err != nil {
			shared.err = err
			return
		}
		shared.server = &server{dir: dir}
		shared.server.Server, shared.err = localpostgres.Start(context.Background(), localpostgres.Config{
			Dir: filepath.Join(dir, "postgres"), Log: slog.New(slog.DiscardHandler),
		})
	})
	if shared.err != nil {
		b.Fatal(shared.err)
	}
	return shared.server
}

// database makes a migrated database with a table for raw inserts and returns its URL.
func (s *server) database(b testing.TB) string {
	b.Helper()
	name := fmt.Sprintf("bench_%d", s.databases.Add(1))
	if err := s.CreateDatabase(b.Context(), name, "template1"); err != nil {
		b.Fatal(err)
	}
	if _, err := eventstore.Migrate(b.Context(), s.URL(name)); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), s.URL(name))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(b.Context(), `create table raw (id bigint generated always as identity primary key, v int not null); grant select, insert on raw to annal_app`); err != nil {
		b.Fatal(err)
	}
	return s.URL(name)
}

func connect(b testing.TB, url string) *pgxpool.Pool {
	b.Helper()
	pool, err := eventstore.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	return pool
}

// raw is R(n): each writer inserts one row at a time over a connection of its own.
func (s *server) raw(b *testing.B, url string, writers int, dial func(*pgx.ConnConfig)) func() load {
	b.Helper()
	conns := make([]*pgx.Conn, writers)
	for i := range conns {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			b.Fatal(err)
		}
		if dial != nil {
			dial(config)
		}
		if conns[i], err = pgx.ConnectConfig(b.Context(), config); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conns[i].Close(context.Background()) })
	}
	return func() load {
		return s.run(b, writers, func(ctx context.Context, w int) error {
			_, err := conns[w].Exec(ctx, `insert into raw (v) values (1)`)
			return err
		})
	}
}

// cpu is the processor time that the server and this process have used.
func (s *server) cpu(b testing.TB) time.Duration {
	b.Helper()
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "postgres", "data", "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	postmaster, _, _ := strings.Cut(string(text), "\n")
	ticks := int64(0)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		// From the state on, which follows the name in parentheses; proc(5) counts from 1.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		switch postmaster {
		case filepath.Base(filepath.Dir(stat)):
			ticks += number(fields[11:15]...) // and of its children that have ended
		case fields[1]:
			ticks += number(fields[11:13]...)
		}
	}
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + time.Duration(ticks)*time.Second/100
}

func number(fields ...string) (sum int64) {
	for _, f := range fields {
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += n
	}
	return sum
}
