package localpostgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Superuser is the role that owns the server and runs the migrations.
const Superuser = "annal"

const (
	startTimeout = 60 * time.Second // includes recovery after a crash
	stopTimeout  = 30 * time.Second
	pollInterval = 20 * time.Millisecond

	checkInterval = time.Second // between looks at whether the server lives
)

// Config says where a server lives and how careful it is.
type Config struct {
	Dir   string       // folder of the data, the socket and the server's log; made if missing
	Cache string       // where a downloaded PostgreSQL is kept; default Dir/programs
	Log   *slog.Logger // default slog.Default()

	// Scratch trades safety for speed: no fsync, and the server dies with this
	// process. For tests.
	Scratch bool
}

// Server is a running PostgreSQL.
type Server struct {
	config  Config
	account *account
	bin     string
	socket  string        // folder of the unix socket
	users   *os.File      // locked, shared, by every process that uses the server
	exited  chan struct{} // closed when a server that this process started has ended; nil if found running
}

// Start runs the server in config.Dir, making its data on first use, or finds it
// running already. It returns once the server accepts connections. Errors are
// *BinariesError when PostgreSQL is not on the machine, else whole sentences for
// the operator.
func Start(ctx context.Context, config Config) (*Server, error) {
	if config.Log == nil {
		config.Log = slog.Default()
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	config.Dir = dir
	if config.Cache == "" {
		config.Cache = filepath.Join(dir, "programs")
	}
	s := &Server{config: config}
	if s.account, err = unprivileged(); err != nil {
		return nil, err
	}
	major, err := s.dataMajor()
	if err != nil {
		return nil, err
	}
	if s.bin, err = binaries(ctx, config.Cache, major, config.Log); err != nil {
		return nil, err
	}
	if err := s.prepareFolders(); err != nil {
		return nil, err
	}
	starting, err := s.exclusive()
	if err != nil {
		return nil, err
	}
	defer func() { _ = starting.Close() }()
	if major, err = s.dataMajor(); err != nil {
		return nil, err
	}
	if major == 0 {
		config.Log.Info("making the embedded database", "dir", s.data())
		if err := s.initialize(ctx); err != nil {
			return nil, err
		}
	}
	if s.users, err = lock(filepath.Join(config.Dir, "users.lock"), syscall.LOCK_SH); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if pid := s.runningPID(); pid != 0 {
		config.Log.Debug("the embedded database is running already", "pid", pid)
	} else if err := s.launch(); err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// URL is a connection URL of one database of the server, as its owner.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(Superuser), Path: "/" + database, RawQuery: url.Values{"host": {s.socket}}.Encode()}
	return u.String()
}

// CreateDatabase makes a database if it is missing, as a copy of template
// ("template1" for an empty one).
func (s *Server) CreateDatabase(ctx context.Context, name, template string) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists); err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, `create database `+pgx.Identifier{name}.Sanitize()+` template `+pgx.Identifier{template}.Sanitize())
	return err
}

// KeepRunning starts the server again whenever it has died, until ctx ends. It must have
// returned before Stop is called.
func (s *Server) KeepRunning(ctx context.Context) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.runningPID() != 0 {
			continue
		}
		if err := s.revive(ctx); err != nil && ctx.Err() == nil {
			s.config.Log.Error("the embedded database has died and cannot be started yet", "error", err)
		}
	}
}

// revive starts a dead server, unless another process has done so meanwhile.
func (s *Server) revive(ctx context.Context) error {
	starting, err := s.exclusive()
	if err != nil {
		return err
	}
	defer func() { _ = starting.Close() }()
	if s.runningPID() != 0 {
		return nil
	}
	s.config.Log.Warn("the embedded database has died, starting it again")
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.launch(); err != nil {
		return err
	}
	return s.awaitReady(ctx)
}

// Stop ends this process's use of the server. Whoever is the last to use it shuts it
// down: open transactions are rolled back, the data is left clean, and Stop waits
// until the server has ended.
func (s *Server) Stop(ctx context.Context) error {
	stopping, err := s.exclusive()
	if err != nil {
		return err
	}
	defer func() { _ = stopping.Close() }()
	defer func() { _ = s.users.Close() }()
	if err := syscall.Flock(int(s.users.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // somebody else still uses it
	}
	pid := s.runningPID()
	if pid == 0 {
		return nil
	}
	// SIGINT is PostgreSQL's "fast" shutdown.
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the embedded database: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if s.exited != nil {
		select {
		case <-s.exited:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("the embedded database did not stop: %w", ctx.Err())
		}
	}
	return poll(ctx, func() bool { return s.runningPID() == 0 })
}

// exclusive keeps other processes from starting or stopping the server until the
// file is closed.
func (s *Server) exclusive() (*os.File, error) {
	return lock(filepath.Join(s.config.Dir, "start.lock"), syscall.LOCK_EX)
}

// lock opens a lock file and waits for the lock. Closing the file, or the end of the
// process however it comes, gives it back.
func lock(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", filepath.Base(path), err)
	}
	return file, nil
}

func (s *Server) data() string { return filepath.Join(s.config.Dir, "data") }

// dataMajor is the major version that made the data folder, 0 if there is none.
func (s *Server) dataMajor() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the embedded database's version: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// prepareFolders makes the server's folder, reachable and owned by its account.
func (s *Server) prepareFolders() error {
	if err := os.MkdirAll(s.config.Dir, 0o755); err != nil {
		return err
	}
	s.socket = filepath.Join(s.config.Dir, "run")
	if len(s.socket) > maxSocketFolder {
		// The system limits the path of a socket to about 100 bytes. The short
		// name is made from the folder's, so that the next start finds it.
		s.socket = filepath.Join(os.TempDir(), fmt.Sprintf("annal-%x", sha256.Sum256([]byte(s.config.Dir)))[:30])
	}
	if err := os.Mkdir(s.socket, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// In a folder of everybody's, somebody may have put a link there: what it leads to
	// must not be given away.
	if info, err := os.Lstat(s.socket); err != nil || !info.IsDir() {
		return errors.Join(err, fmt.Errorf("%s must be a folder, for the embedded database's socket", s.socket))
	}
	if err := s.account.own(s.config.Dir); err != nil {
		return err
	}
	if err := s.account.own(s.socket); err != nil {
		return err
	}
	// Whoever may open the socket is the superuser: nobody else may.
	if err := os.Chmod(s.socket, 0o700); err != nil {
		return err
	}
	return s.account.reaches(s.config.Dir)
}

// maxSocketFolder leaves room for "/.s.PGSQL.5432" in the 107 bytes of sun_path.
const maxSocketFolder = 90

// initialize makes the data folder under another name and renames it, so that a
// crash leaves no half-made one.
func (s *Server) initialize(ctx context.Context) error {
	fresh := s.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	args := []string{"--pgdata", fresh, "--username", Superuser, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--data-checksums"}
	if s.config.Scratch {
		args = append(args, "--no-sync")
	}
	command := s.command(ctx, "initdb", args...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	return os.Rename(fresh, s.data())
}

// launch starts the server as a process that does not end with this one (unless
// it is a scratch server).
func (s *Server) launch() error {
	settings := []string{
		"-D", s.data(),
		"-c", "listen_addresses=",
		"-c", "unix_socket_directories=" + s.socket,
		"-c", "unix_socket_permissions=0700",
		"-c", "max_connections=200",
		"-c", "cluster_name=annal",
		"-c", "shared_buffers=256MB",
		"-c", "max_wal_size=2GB",
		"-c", "log_min_messages=warning",
		"-c", "lc_messages=C",
	}
	if s.config.Scratch {
		settings = append(settings, "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "shared_buffers=64MB")
	}
	logName := filepath.Join(s.config.Dir, "postgres.log")
	logFile, err := os.OpenFile(logName, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	command := s.command(context.Background(), "postgres", settings...)
	command.Stdout, command.Stderr = logFile, logFile
	command.SysProcAttr.Setsid = true // a Ctrl-C in the terminal is for the node, which stops the server in its turn
	if s.config.Scratch {
		dieWithParent(command.SysProcAttr)
	}
	started := make(chan error)
	s.exited = make(chan struct{})
	go func() { // ends with the server; Stop waits for it
		defer close(s.exited)
		lockParentThread(s.config.Scratch)
		if err := command.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		_ = command.Wait()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start the embedded database: %w", err)
	}
	return nil
}

func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	command.Dir = s.config.Dir
	command.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + s.config.Dir}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.account.credential()}
	return command
}

// awaitReady waits until the server accepts connections, or has ended.
func (s *Server) awaitReady(ctx context.Context) error {
	var last error
	err := poll(ctx, func() bool {
		select {
		case <-s.exited: // nil if the server was found running: never ready
			last = errors.New("it ended")
			return true
		default:
		}
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err != nil {
			last = err
			return false
		}
		last = conn.Ping(ctx)
		_ = conn.Close(ctx)
		return last == nil
	})
	if last == nil {
		return nil
	}
	if err == nil {
		err = last
	}
	return fmt.Errorf("the embedded database does not answer (%w); its own log is postgres.log in %s", err, s.config.Dir)
}

// runningPID reads the server's process id from its lock file, 0 when no such
// process runs.
func (s *Server) runningPID() int {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 || !serves(pid, s.data()) {
		return 0
	}
	return pid
}

// poll asks until done says yes or the context ends.
func poll(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
