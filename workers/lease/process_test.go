package lease_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/eventstoretest"
	"github.com/annal-git/annal/workers/lease"
)

// childURL makes the test binary another process that works under the lease "work".
const childURL = "ANNAL_LEASE_TEST_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := child(url); err != nil {
			fmt.Fprintln(os.Stdout, "error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	eventstoretest.Main(m)
}

// errLate is what a worker returns whose write was refused by the term.
var errLate = errors.New("a later term has written")

// child works until it is killed or finds out that it is late, which it prints.
func child(url string) error {
	pool, err := eventstore.Connect(context.Background(), url)
	if err != nil {
		return err
	}
	defer pool.Close()
	return lease.New(pool, "child").Hold(context.Background(), "work", func(_ context.Context, term int64) error {
		err := enter(context.Background(), pool, term)
		for writes := 0; err == nil; writes++ {
			if writes == 1 {
				fmt.Fprintln(os.Stdout, "works")
			}
			// It does not look at its context: it may sleep behind any look.
			err = write(context.Background(), pool, term)
		}
		if errors.Is(err, errLate) {
			fmt.Fprintln(os.Stdout, "late")
		}
		return err
	})
}

// enter writes a term into the row that stands for what workers write.
func enter(ctx context.Context, pool *pgxpool.Pool, term int64) error {
	return one(ctx, pool, `update public.sink set term = $1 where term <= $1`, term)
}

func write(ctx context.Context, pool *pgxpool.Pool, term int64) error {
	return one(ctx, pool, `update public.sink set writes = writes + 1 where term = $1`, term)
}

func one(ctx context.Context, pool *pgxpool.Pool, sql string, term int64) error {
	tag, err := pool.Exec(ctx, sql, term)
	if err == nil && tag.RowsAffected() == 0 {
		err = errLate
	}
	return err
}

// withChild starts another process that works under the lease.
func withChild(t *testing.T) (pool *pgxpool.Pool, process *os.Process, lines <-chan string) {
	t.Helper()
	url := eventstoretest.URL(t)
	pool, err := eventstore.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	_, err = pool.Exec(t.Context(), `reset role; create table public.sink (term bigint, writes bigint);
		insert into public.sink values (0, 0); grant all on public.sink to annal_app; set role annal_app`)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childURL+"="+url)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			said <- scanner.Text()
		}
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Process.Signal(syscall.SIGCONT)
		<-done
	})
	expect(t, said, "works")
	return pool, command.Process, said
}

func expect(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	select {
	case line := <-lines:
		if line != want {
			t.Fatalf("the other process says %q, want %q", line, want)
		}
	case <-time.After(deadline):
		t.Fatalf("the other process does not say %q", want)
	}
}

func TestTheLeaseOfAKilledProcessIsTaken(t *testing.T) {
	t.Parallel()
	pool, process, _ := withChild(t)
	terms, _ := hold(t, lease.New(pool, "parent"), "work")
	if len(terms) > 0 {
		t.Error("the lease is held twice")
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if term := next(t, terms); term != 2 {
		t.Errorf("term %d after the child's 1", term)
	}
}

func TestAProcessThatSleptCannotWrite(t *testing.T) {
	t.Parallel()
	pool, process, lines := withChild(t)
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	terms, _ := hold(t, lease.New(pool, "parent"), "work")
	term := next(t, terms)
	if err := enter(t.Context(), pool, term); err != nil {
		t.Fatal(err)
	}
	var before, after int64
	if err := pool.QueryRow(t.Context(), `select writes from public.sink`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "late")
	if err := pool.QueryRow(t.Context(), `select writes from public.sink`).Scan(&after); err != nil || before != after || before == 0 {
		t.Errorf("%d writes before it slept and %d after it woke (%v)", before, after, err)
	}
}
