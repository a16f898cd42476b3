package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	gossh "golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/ssh"
	"github.com/annal-git/annal/projections/access"
)

// sshOff is the value of ssh-addr that serves no SSH.
const sshOff = "off"

// sshFront is the SSH side of a node. It listens from the start, so that a port that is taken
// is noticed then, and clients wait for a node that is starting.
type sshFront struct {
	listener net.Listener
	server   *ssh.Server // nil before serve
	failed   chan error
	ended    chan struct{} // closed when nothing takes connections any more
}

// listenSSH returns nil if SSH is not to be served.
func listenSSH(ctx context.Context, s *settings) (*sshFront, error) {
	if s.SSHAddr == sshOff {
		return nil, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.SSHAddr)
	if err != nil {
		return nil, fmt.Errorf("ssh-addr: %w", err)
	}
	s.deriveSSHURL(listener.Addr())
	return &sshFront{listener: listener, failed: make(chan error, 1), ended: make(chan struct{})}, nil
}

func (f *sshFront) serve(server *ssh.Server) {
	f.server = server
	go func() { // ends when the server is closed; close waits
		defer close(f.ended)
		if err := server.Serve(f.listener); !errors.Is(err, ssh.ErrClosed) {
			f.failed <- fmt.Errorf("ssh: %w", err)
		}
	}()
}

// drain finishes what is under way.
func (f *sshFront) drain(ctx context.Context, log *slog.Logger) {
	if f == nil || f.server == nil {
		return
	}
	if err := f.server.Shutdown(ctx); err != nil {
		log.Warn("ssh requests were cut off", "error", err)
	}
}

func (f *sshFront) close() {
	if f == nil {
		return
	}
	if f.server == nil {
		_ = f.listener.Close()
		return
	}
	f.server.Close()
	<-f.ended
}

// failure is where the front says that it has broken down; nil, which says nothing, if there
// is none.
func (f *sshFront) failure() <-chan error {
	if f == nil {
		return nil
	}
	return f.failed
}

// deriveSSHURL makes an SSH URL for a node that was given none.
func (s *settings) deriveSSHURL(listening net.Addr) {
	if s.SSHURL != "" {
		return
	}
	base, err := url.Parse(s.BaseURL)
	_, port, portErr := net.SplitHostPort(listening.String())
	if err != nil || portErr != nil {
		return
	}
	s.SSHURL = "ssh://git@" + net.JoinHostPort(base.Hostname(), port)
}

// checkSSH checks what there is about SSH besides its address.
func (s *settings) checkSSH() error {
	for _, network := range s.SSHProxyProtocol {
		if _, _, err := net.ParseCIDR(network); err != nil {
			return &settingError{"ssh-proxy-protocol", network, "use networks such as 10.0.0.0/8"}
		}
	}
	for _, cipher := range s.SSHCiphers {
		if !slices.Contains(ssh.Ciphers, cipher) {
			return &settingError{"ssh-ciphers", cipher, "use some of " + strings.Join(ssh.Ciphers, ", ")}
		}
	}
	return checkURL("ssh-url", s.SSHURL, []string{"ssh"})
}

// keysDir is the folder of the host keys, beside the key that signs the log.
func (s *settings) keysDir() string { return filepath.Join(s.SharedHome, "keys") }

// openHostKeys says where SSH is served and by which key, nil if it is not.
func (n *node) openHostKeys() (at *url.URL, fingerprint string, err error) {
	if n.settings.SSHAddr == sshOff {
		return nil, "", nil
	}
	if n.hostKeys, err = ssh.HostKeys(n.settings.keysDir()); err != nil {
		return nil, "", err
	}
	at, err = url.Parse(n.settings.SSHURL)
	return at, gossh.FingerprintSHA256(n.hostKeys[0].PublicKey()), err
}

// sshServer makes the SSH side of the node.
func (n *node) sshServer(engine gitserver.Engine, open repositories, who *credentials.Authenticator, commands map[string]ssh.Command) *ssh.Server {
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "annal_ssh_request_seconds", Help: "Time to answer a command over SSH, in seconds, by command and exit code.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
	}, []string{"command", "exit"})
	server := ssh.New(ssh.Config{
		Keys: &sshKeys{who: who, uses: access.NewUses(n.pool), log: n.log}, Repositories: overSSH{open, who}, Engine: engine,
		HostKeys: n.hostKeys, Commands: commands, Log: n.log, TrustedProxies: n.settings.SSHProxyProtocol, Ciphers: n.settings.SSHCiphers, Refused: open.refusals.sshLogIn, Idle: n.settings.Limits.ClientIdle,
		Observe: func(command string, exit int, took time.Duration) {
			requests.WithLabelValues(command, strconv.Itoa(exit)).Observe(took.Seconds())
		},
	})
	n.metrics.MustRegister(requests, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "annal_ssh_connections", Help: "Open SSH connections.",
	}, func() float64 { return float64(server.Open()) }))
	return server
}

// sshKeys implements ssh.Keys.
type sshKeys struct {
	who  *credentials.Authenticator
	uses *access.Uses
	log  *slog.Logger
	lately[string]
}

func (k *sshKeys) Caller(ctx context.Context, key []byte) (credentials.Caller, error) {
	caller, _, err := k.who.SSHKey(ctx, key)
	return caller, err
}

// Used does without if the database does not answer: nothing depends on it.
func (k *sshKeys) Used(ctx context.Context, key []byte) {
	if !k.due(string(key), time.Now()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, useTimeout)
	defer cancel()
	_, id, err := k.who.SSHKey(ctx, key)
	if err == nil {
		err = k.uses.SSHKey(ctx, id, time.Now())
	}
	if err != nil && ctx.Err() == nil {
		k.log.Debug("the use of an ssh key was not noted", "error", err)
	}
}

// sshWelcome is what a node says about SSH when it starts.
func (n *node) sshWelcome() string {
	if n.ssh == nil {
		return ""
	}
	lines := fmt.Sprintf("  Git over SSH is at %s with the host keys\n", n.settings.SSHURL)
	for _, key := range n.hostKeys {
		public := key.PublicKey()
		lines += fmt.Sprintf("    %s %s\n", gossh.FingerprintSHA256(public), strings.TrimPrefix(public.Type(), "ssh-"))
	}
	return lines + "\n"
}
