package ssh

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/api/credentials"
)

// userName is what everybody logs in as.
const userName = "git"

// maxTries is how many keys a client may offer: agents hold many.
const maxTries = 20

func (s *Server) serverConfig() *ssh.ServerConfig {
	config := &ssh.ServerConfig{
		Config:                  ssh.Config{KeyExchanges: keyExchanges, Ciphers: s.Ciphers, MACs: macs},
		PublicKeyAuthAlgorithms: publicKeyAlgos,
		MaxAuthTries:            maxTries,
		ServerVersion:           "SSH-2.0-Annal",
		BannerCallback: func(conn ssh.ConnMetadata) string {
			if conn.User() == userName {
				return ""
			}
			return "Everybody logs in here as the user git, with a key of his own: ssh://git@...\n"
		},
	}
	for _, key := range s.HostKeys {
		config.AddHostKey(key)
	}
	return config
}

// connection is one client.
type connection struct {
	server  *Server
	conn    net.Conn
	address string
	key     []byte // that the client has signed with
	refused bool   // a key was, while logging in
	ctx     context.Context
	cancel  context.CancelFunc

	mu       sync.Mutex // guards what follows
	loggedIn bool
	draining bool
	sessions int
	rest     *time.Timer // closes a connection without sessions; nil before the log-in
	working  sync.WaitGroup
}

func newConnection(s *Server, conn net.Conn) *connection {
	ctx, cancel := context.WithCancel(context.Background())
	return &connection{server: s, conn: conn, ctx: ctx, cancel: cancel}
}

// cut ends the connection at once. It takes no lock.
func (c *connection) cut() {
	c.cancel()
	_ = c.conn.Close()
}

// drain ends the connection when nothing is under way in it.
func (c *connection) drain() {
	c.mu.Lock()
	c.draining = true
	idle := c.sessions == 0
	c.mu.Unlock()
	if idle {
		c.cut()
	}
}

// serve is the connection from its first byte to its last. It returns when all that it has
// started has ended.
func (c *connection) serve() {
	defer c.working.Wait()
	defer c.cut()
	conn, channels, requests, err := c.logIn()
	if err != nil {
		c.server.Log.Debug("ssh log-in failed", "from", c.address, "error", err)
		if c.refused && c.server.Refused != nil {
			c.server.Refused(c.address)
		}
		return
	}
	c.mu.Lock()
	c.loggedIn = true
	c.rest = time.AfterFunc(c.server.Rest, c.cut)
	draining := c.draining
	c.mu.Unlock()
	defer c.rest.Stop()
	if draining {
		return
	}
	c.server.Keys.Used(c.ctx, c.key)
	// Forwarding is asked for like this, and whether we are alive.
	c.working.Go(func() { ssh.DiscardRequests(requests) })
	refusals := 0
	for channel := range channels {
		if refusal := c.open(channel); refusal != nil {
			if refusals++; refusals > c.server.Refusals {
				break
			}
			_ = channel.Reject(refusal.reason, refusal.message) // or it is gone
		}
	}
	c.cut()
	for channel := range channels { // those that came before it noticed
		_ = channel.Reject(ssh.ResourceShortage, "")
	}
	_ = conn.Wait() // for the reason, which nobody needs
}

// logIn makes the handshake and finds out whose key the client holds, within the time and the
// number of others that are allowed for it.
func (c *connection) logIn() (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	defer c.server.limiter.leave()
	c.address = host(c.conn.RemoteAddr()) // reads what a proxy says, if it is to be believed
	if !c.server.limiter.enterFrom(c.address) {
		return nil, nil, nil, errors.New("too many connections of this address are logging in")
	}
	defer c.server.limiter.leaveFrom(c.address)
	ctx, cancel := context.WithTimeout(c.ctx, c.server.Handshake)
	defer cancel()
	if err := c.conn.SetDeadline(time.Now().Add(c.server.Handshake)); err != nil {
		return nil, nil, nil, err
	}
	config := *c.server.ssh
	config.PublicKeyCallback = func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, c.mayTry(ctx, meta, key)
	}
	// Keys that were offered say nothing: who the client is follows from the one key that it
	// has signed with (CVE-2024-45337).
	config.VerifiedPublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
		return &ssh.Permissions{ExtraData: map[any]any{signedWith{}: key.Marshal()}}, nil
	}
	gather := newGatherConn(c.conn, c.server.Idle)
	c.working.Go(gather.send)
	conn, channels, requests, err := ssh.NewServerConn(gather, &config)
	if err != nil {
		_ = gather.Close() // so that it ends
		return nil, nil, nil, err
	}
	key, ok := conn.Permissions.ExtraData[signedWith{}].([]byte)
	if !ok {
		return nil, nil, nil, errors.New("logged in without a key")
	}
	c.key = key
	return conn, channels, requests, c.conn.SetDeadline(time.Time{})
}

// signedWith names the key in the permissions of a connection.
type signedWith struct{}

// mayTry judges whether a client may go on to sign with a key.
func (c *connection) mayTry(ctx context.Context, meta ssh.ConnMetadata, key ssh.PublicKey) error {
	if meta.User() != userName {
		return errors.New("the user is not git")
	}
	_, err := c.server.Keys.Caller(ctx, key.Marshal())
	var refused *credentials.RefusedError
	c.refused = c.refused || errors.As(err, &refused)
	if err != nil && !errors.As(err, &refused) && ctx.Err() == nil {
		c.server.Log.Warn("could not look up an ssh key", "from", c.address, "error", err)
		return &ssh.BannerError{Err: err, Message: "Keys cannot be looked up at the moment. Try again in a few seconds.\n"}
	}
	return err
}

// refusal is why a channel is not opened.
type refusal struct {
	reason  ssh.RejectionReason
	message string
}

// open begins a session.
func (c *connection) open(channel ssh.NewChannel) *refusal {
	if channel.ChannelType() != "session" {
		return &refusal{ssh.UnknownChannelType, "only Git's commands are served here, and nothing is forwarded"}
	}
	if !c.begin() {
		return &refusal{ssh.ResourceShortage, "too many commands at a time, or the server is stopping"}
	}
	accepted, requests, err := channel.Accept()
	if err != nil {
		c.end() // the connection is gone
		return nil
	}
	c.working.Go(func() {
		defer c.end()
		newSession(c, accepted).serve(requests)
	})
	return nil
}

func (c *connection) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining || c.sessions >= c.server.Channels || !c.server.sessions.enter() {
		return false
	}
	if !c.server.sessions.enterFrom(string(c.key)) {
		c.server.sessions.leave()
		return false
	}
	c.sessions++
	c.rest.Stop()
	return true
}

func (c *connection) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server.sessions.leave()
	c.server.sessions.leaveFrom(string(c.key))
	c.sessions--
	if c.sessions > 0 {
		return
	}
	c.rest.Reset(c.server.Rest)
	if c.draining {
		c.cut()
	}
}

func host(address net.Addr) string {
	text, _, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	return text
}
