package ssh

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
	"golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
)

// Origin is where a command comes from.
type Origin struct {
	Key       []byte // public key that the connection was signed with, in the form of RFC 4253, section 6.6
	Address   string // of the client, without its port
	RequestID string
}

// Repositories finds repositories and knows who may use them.
type Repositories interface {
	// Open looks up a repository for whoever holds a key, as smarthttp's does. It asks anew
	// whose key it is.
	Open(ctx context.Context, from Origin, project, repo string, write bool) (*gitserver.Access, error)
}

// Keys knows whose keys are whose.
type Keys interface {
	// Caller finds who holds a key. A key that lets nobody in is a
	// *credentials.RefusedError.
	Caller(ctx context.Context, key []byte) (credentials.Caller, error)
	// Used notes that a key opened a connection.
	Used(ctx context.Context, key []byte)
}

// Config is what a Server needs. Zero values take the defaults named.
type Config struct {
	Keys         Keys
	Repositories Repositories
	gitserver.Engine
	HostKeys []ssh.Signer
	Ciphers  []string // of the list Ciphers; default DefaultCiphers
	// Commands are those beside Git's own, by name.
	Commands map[string]Command
	Log      *slog.Logger // default slog.Default()
	// Observe, if set, is told of every command that has ended.
	Observe func(command string, exit int, took time.Duration)

	// Refused, if set, is told of every client none of whose keys let it in.
	Refused func(address string)

	// TrustedProxies are networks in CIDR form whose connections may begin with a header of
	// the PROXY protocol, version 1 or 2; nobody else's header is believed.
	TrustedProxies []string

	Handshake          time.Duration // to log in; default 20 s
	Idle               time.Duration // how long a client may neither send nor take anything; default 60 s
	Rest               time.Duration // how long a connection may be open with no command; default 5 min
	Connections        int           // at a time; default 2,048
	Unauthenticated    int           // of these, how many may not have logged in; default 512
	UnauthenticatedPer int           // of these, how many may be of one address; default 64
	Channels           int           // commands at a time in a connection; default 10
	Sessions           int           // commands at a time in all connections, each of which may hold 2 MiB; default 1,024
	SessionsPerKey     int           // of these, how many may be of one key; default 256
	Refusals           int           // requests refused in a connection before it is closed; default 100
}

// Server answers Git's requests over SSH.
type Server struct {
	Config
	ssh      *ssh.ServerConfig
	limiter  *limiter // of connections that have not logged in
	sessions *limiter

	mu          sync.Mutex // guards what follows
	listener    net.Listener
	connections map[*connection]struct{}
	stopping    bool
	running     sync.WaitGroup // connections
}

// New makes a Server.
func New(c Config) *Server {
	c.Handshake = cmp.Or(c.Handshake, 20*time.Second)
	c.Idle = cmp.Or(c.Idle, time.Minute)
	c.Rest = cmp.Or(c.Rest, 5*time.Minute)
	c.Connections = cmp.Or(c.Connections, 2048)
	c.Unauthenticated = cmp.Or(c.Unauthenticated, 512)
	c.UnauthenticatedPer = cmp.Or(c.UnauthenticatedPer, 64)
	c.Channels = cmp.Or(c.Channels, 10)
	c.Sessions = cmp.Or(c.Sessions, 1024)
	c.SessionsPerKey = cmp.Or(c.SessionsPerKey, 256)
	c.Refusals = cmp.Or(c.Refusals, 100)
	if len(c.Ciphers) == 0 {
		c.Ciphers = DefaultCiphers
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Server{
		Config: c, limiter: newLimiter(c.Unauthenticated, c.UnauthenticatedPer), sessions: newLimiter(c.Sessions, c.SessionsPerKey),
		connections: map[*connection]struct{}{},
	}
	s.ssh = s.serverConfig()
	return s
}

// ErrClosed is returned by Serve after Shutdown or Close.
var ErrClosed = errors.New("the ssh server is closed")

// Serve takes connections until the server is closed. It closes the listener.
func (s *Server) Serve(listener net.Listener) error {
	if len(s.TrustedProxies) > 0 {
		policy, err := proxyproto.PolicyFromRanges(s.TrustedProxies, proxyproto.USE, proxyproto.SKIP)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		listener = &proxyproto.Listener{Listener: listener, ConnPolicy: policy, ReadHeaderTimeout: s.Handshake}
	}
	defer func() { _ = listener.Close() }()
	s.mu.Lock()
	stopping := s.stopping
	s.listener = listener
	s.mu.Unlock()
	if stopping {
		return ErrClosed
	}
	pause := time.Duration(0)
	for {
		conn, err := listener.Accept()
		if err != nil {
			s.mu.Lock()
			stopping := s.stopping
			s.mu.Unlock()
			if stopping {
				return ErrClosed
			}
			// Out of file descriptors, most likely: some will be free again.
			var passing interface{ Temporary() bool }
			if !errors.As(err, &passing) || !passing.Temporary() {
				return err
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.Log.Warn("could not take an ssh connection", "error", err)
			<-time.After(pause)
			continue
		}
		pause = 0
		s.take(conn)
	}
}

// take begins to serve a connection, if there is room for it.
func (s *Server) take(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || len(s.connections) >= s.Connections || !s.limiter.enter() {
		_ = conn.Close()
		return
	}
	c := newConnection(s, conn)
	s.connections[c] = struct{}{}
	s.running.Go(func() {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.connections, c)
		}()
		c.serve()
	})
}

// Open is how many connections there are.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.connections)
}

// Shutdown takes no new connections and no new commands, lets those under way finish, and
// closes what is at rest. If ctx ends before, what is left is cut off and ctx.Err() returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop(func(c *connection) { c.drain() })
	done := make(chan struct{})
	go func() { // ends with the connections, which are closed below at the latest
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.Close()
		<-done
		return ctx.Err()
	}
}

// Close cuts everything off and waits for its end.
func (s *Server) Close() {
	s.stop(func(c *connection) { c.cut() })
	s.running.Wait()
}

func (s *Server) stop(end func(*connection)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if s.listener != nil {
		_ = s.listener.Close() // Serve says what it has to say
	}
	for c := range s.connections {
		end(c)
	}
}
