package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/annal-git/annal/api/status"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/localpostgres"
	"github.com/annal-git/annal/workers"
	"github.com/annal-git/annal/workers/handlers"
	"github.com/annal-git/annal/workers/lease"
	"github.com/annal-git/annal/workers/nodes"
	"github.com/annal-git/annal/workers/projector"
)

// Bounds of the HTTP server. Bodies have bounds of their own, by what they are for.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10        // bytes
	drainTimeout  = 5 * time.Minute // for requests under way when the node stops
	watchInterval = 2 * time.Second
)

type serveCommand struct{}

// Run is a node from start to stop. What is started first stops last.
func (serveCommand) Run(ctx context.Context, c console, s *settings) error {
	log := s.logger(c.err)
	defer calmCollector()()
	home, err := lockHome(s.Home)
	if err != nil {
		return err
	}
	defer home.close()

	state := status.New()
	front, err := listen(ctx, s, log, state)
	if err != nil {
		return err
	}
	defer front.close()
	secure, err := listenSSH(ctx, s)
	if err != nil {
		return err
	}
	defer secure.close()

	db, err := openDatabase(ctx, s, log)
	if err != nil {
		return err
	}
	defer db.close(log)
	if _, err := eventstore.Migrate(ctx, db.url); err != nil {
		return err
	}
	pool, err := eventstore.Connect(ctx, db.url)
	if err != nil {
		return err
	}
	defer pool.Close()
	events, err := eventstore.Open(ctx, pool, eventstore.Options{
		Types: eventstore.Types(), Node: nodeName(), Inline: inlineProjections(), Log: log,
	})
	if err != nil {
		return err
	}
	defer events.Close()
	group := workers.NewGroup(log)
	defer group.Stop()
	if err := joinNodes(ctx, group, events, pool, home.id, log); err != nil {
		return err
	}
	if err := identify(ctx, events, s); err != nil {
		return err
	}

	leases := lease.New(pool, nodeName())
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if db.embedded != nil {
		group.Start(ctx, embeddedDatabase{db.embedded})
	}
	if err := startWorkers(ctx, group, events, pool, leases, state, metrics, log); err != nil {
		return err
	}
	if err := startEvidence(ctx, group, s, events, pool, leases, metrics, log); err != nil {
		return err
	}

	n := &node{settings: s, log: log, state: state, pool: pool, events: events, metrics: metrics}
	if err := n.open(ctx); err != nil {
		return err
	}
	defer n.close()
	atWork := workers.NewGroup(log) // works with the node, so it stops before it
	defer atWork.Stop()
	if err := n.startMaintenance(ctx, atWork, leases); err != nil {
		return err
	}
	front.serve(n.site)
	if secure != nil {
		secure.serve(n.ssh)
		defer secure.close() // before what it works with
	}
	state.Ready()
	n.welcome(c.out)

	select {
	case <-ctx.Done():
	case err := <-group.Failed():
		return err
	case err := <-atWork.Failed():
		return err
	case err := <-front.failed:
		return err
	case err := <-secure.failure():
		return err
	}
	state.Stop()
	front.drain(s, secure, context.Cause(ctx), log)
	return nil
}

func startWorkers(ctx context.Context, group *workers.Group, events *eventstore.Log, pool *pgxpool.Pool, leases *lease.Leases,
	state *status.Node, metrics prometheus.Registerer, log *slog.Logger,
) error {
	effects := handlers.New(log, eventHandlers(log)...)
	projector, err := projector.New(projector.Config{
		Pool: pool, Log: events, Leases: leases, Projections: append(followers(), effects.Followers()...), Metrics: metrics, Logger: log,
	})
	if err != nil {
		return err
	}
	group.Start(ctx, effects)
	group.Start(ctx, projector)
	group.Start(ctx, databaseWatch{state, pool})
	group.Start(ctx, logWatch{events})
	return nil
}

// joinNodes makes this process one of the nodes for as long as the group runs. It comes
// before anything is appended. home is uuid.Nil for a process without one.
func joinNodes(ctx context.Context, group *workers.Group, events *eventstore.Log, pool *pgxpool.Pool, home uuid.UUID, log *slog.Logger) error {
	member, err := nodes.Join(ctx, nodes.Config{
		Pool: pool, Types: events.Types(), Name: nodeName(), Home: home, Version: version, Alone: events.SetAlone, Logger: log,
	})
	if err != nil {
		return err
	}
	group.Start(ctx, member)
	return nil
}

// embeddedDatabase keeps the node's own database alive.
type embeddedDatabase struct{ server *localpostgres.Server }

func (embeddedDatabase) Name() string { return "embedded database" }

func (d embeddedDatabase) Run(ctx context.Context) error {
	d.server.KeepRunning(ctx)
	return nil
}

// databaseWatch keeps the node's state by whether the database answers.
type databaseWatch struct {
	state *status.Node
	pool  *pgxpool.Pool
}

func (databaseWatch) Name() string { return "database watch" }

func (w databaseWatch) Run(ctx context.Context) error {
	w.state.Watch(ctx, "database", watchInterval, w.pool.Ping)
	return nil
}

// logWatch ends a node whose database lacks events that the node has seen: what it keeps
// in memory was made of them.
type logWatch struct{ log *eventstore.Log }

func (logWatch) Name() string { return "log watch" }

func (w logWatch) Run(ctx context.Context) error {
	select {
	case <-w.log.Lost():
		return errors.New("the database lacks events that were in it: was it restored, or is it a copy that was behind? Look into it, then start the node again")
	case <-ctx.Done():
		return nil
	}
}

// nodeName is how events name this node.
func nodeName() string {
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	return name
}

// front is the HTTP side of the node. It listens from the very start, so that
// balancers and people see a node that is starting.
type front struct {
	server  *http.Server
	handler atomic.Pointer[echo.Echo]
	failed  chan error
}

func listen(ctx context.Context, s *settings, log *slog.Logger, state *status.Node) (*front, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.HTTPAddr)
	if err != nil {
		return nil, fmt.Errorf("http-addr: %w", err)
	}
	s.deriveBaseURL(listener.Addr())
	f := &front{failed: make(chan error, 1)}
	starting := echo.New()
	state.Mount(starting)
	starting.RouteNotFound("/*", func(c echo.Context) error {
		c.Response().Header().Set("Retry-After", "5")
		return c.String(http.StatusServiceUnavailable, "Annal is starting. Try again in a few seconds.\n")
	})
	f.handler.Store(starting)
	f.server = &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.handler.Load().ServeHTTP(w, r) }),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { // ends when the server is closed
		if err := f.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			f.failed <- err
		}
	}()
	return f, nil
}

func (f *front) serve(site *echo.Echo) { f.handler.Store(site) }

// drain goes on serving until balancers have noticed that the node stops, then
// finishes what is under way. Somebody at a terminal (SIGINT) does not wait for
// balancers.
func (f *front) drain(s *settings, secure *sshFront, cause error, log *slog.Logger) {
	var received stopSignal
	if errors.As(cause, &received) && received.Signal == syscall.SIGTERM && s.DrainGrace > 0 {
		log.Info("stopping: serving on until balancers have noticed", "grace", s.DrainGrace)
		<-time.After(s.DrainGrace)
	}
	log.Info("stopping: finishing requests under way")
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { secure.drain(ctx, log) })
	if err := f.server.Shutdown(ctx); err != nil {
		log.Warn("requests were cut off", "error", err)
	}
	both.Wait()
}

func (f *front) close() { _ = f.server.Close() }
