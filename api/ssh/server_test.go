package ssh_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	gossh "golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/ssh"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/projections/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a server that knows the keys of some people and the commands "whoami", which says
// who asks and from where, and "wait", which waits to be let go. There is no repository.
type site struct {
	t       *testing.T
	server  *ssh.Server
	address string
	people  map[string]string // by key, in the form of the wire
	waiting chan struct{}     // told when "wait" has begun
	release chan struct{}     // closed to end it
}

var hostKeys = sync.OnceValue(func() []gossh.Signer {
	dir, err := os.MkdirTemp("", "annal-ssh-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	keys, err := ssh.HostKeys(dir)
	if err != nil {
		panic(err)
	}
	return keys
})

func serve(t *testing.T, change func(*ssh.Config), people map[string]gossh.Signer) *site {
	t.Helper()
	s := &site{t: t, people: map[string]string{}, waiting: make(chan struct{}, 100), release: make(chan struct{})}
	for name, key := range people {
		s.people[string(key.PublicKey().Marshal())] = name
	}
	config := ssh.Config{
		Keys: s, Repositories: s, HostKeys: hostKeys(), Log: slog.New(slog.DiscardHandler),
		Commands: map[string]ssh.Command{"whoami": s.whoAmI, "wait": s.wait, "flood": flood, "panic": func(context.Context, *ssh.Exec) error { panic("on purpose") }},
	}
	if change != nil {
		change(&config)
	}
	s.server = ssh.New(config)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(listener) }()
	t.Cleanup(func() {
		s.server.Close()
		if err := <-served; !errors.Is(err, ssh.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func (s *site) Caller(_ context.Context, key []byte) (credentials.Caller, error) {
	name, known := s.people[string(key)]
	if !known {
		return credentials.Caller{}, &credentials.RefusedError{}
	}
	return credentials.Caller{User: access.User{ID: 1, Name: name, DisplayName: name}}, nil
}

func (s *site) Used(context.Context, []byte) {}

func (s *site) Open(context.Context, ssh.Origin, string, string, bool) (*gitserver.Access, error) {
	return nil, domain.NotFound("repository", "There is none.")
}

func (s *site) whoAmI(_ context.Context, e *ssh.Exec) error {
	_, err := fmt.Fprintf(e.Out, "%s from %s by %q", s.people[string(e.Key)], e.Address, e.Protocol)
	return err
}

func (s *site) wait(ctx context.Context, e *ssh.Exec) error {
	s.waiting <- struct{}{}
	select {
	case <-s.release:
		_, err := io.WriteString(e.Out, "done")
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flood writes until nobody takes it any more.
func flood(_ context.Context, e *ssh.Exec) error {
	for {
		if _, err := e.Out.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
	}
}

func newKey(t *testing.T) gossh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (s *site) dial(user string, keys ...gossh.Signer) (*gossh.Client, error) {
	return gossh.Dial("tcp", s.address, &gossh.ClientConfig{
		User: user, Auth: []gossh.AuthMethod{gossh.PublicKeys(keys...)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second,
	})
}

func (s *site) client(key gossh.Signer) *gossh.Client {
	s.t.Helper()
	c, err := s.dial("git", key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// run runs a command in a session of its own.
func run(t *testing.T, c *gossh.Client, line string) (out, words string, exit int) {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	var stdout, stderr bytes.Buffer
	session.Stdout, session.Stderr = &stdout, &stderr
	err = session.Run(line)
	var failed *gossh.ExitError
	if errors.As(err, &failed) {
		exit = failed.ExitStatus()
	} else if err != nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), exit
}

// forger offers somebody's key and cannot sign by it.
type forger struct{ key gossh.PublicKey }

func (f forger) PublicKey() gossh.PublicKey { return f.key }

func (f forger) Sign(io.Reader, []byte) (*gossh.Signature, error) {
	return &gossh.Signature{Format: f.key.Type(), Blob: make([]byte, ed25519.SignatureSize)}, nil
}

// K1: who one is follows from the key that signed, whatever was offered before and after.
func TestIdentityIsOfTheKeyThatSigned(t *testing.T) {
	t.Parallel()
	admin, stranger := newKey(t), newKey(t)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	eveText := pem.EncodeToMemory(block)
	eve, err := gossh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, nil, map[string]gossh.Signer{"admin": admin, "eve": eve})
	dir := t.TempDir()
	for file, key := range map[string]gossh.Signer{"admin.pub": admin, "stranger.pub": stranger} {
		if err := os.WriteFile(filepath.Join(dir, file), gossh.MarshalAuthorizedKey(key.PublicKey()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "eve"), eveText, 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.address)
	// OpenSSH offers a key of which it has the public half only, hears that it would do, and
	// goes on to the next.
	client := exec.CommandContext(t.Context(), "ssh", "-v", "-F", "none", "-p", port, "-i", dir+"/stranger.pub", "-i", dir+"/admin.pub", "-i", dir+"/eve",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
		"git@127.0.0.1", "whoami")
	var words bytes.Buffer
	client.Stderr = &words
	if out, err := client.Output(); errors.Is(err, exec.ErrNotFound) {
		t.Log("NOT TESTED WITH OPENSSH, which is not on this machine")
	} else if err != nil || !strings.HasPrefix(string(out), "eve from 127.0.0.1") || strings.Count(words.String(), "Server accepts key") != 2 {
		t.Errorf("eve is taken for %q, %v\n%s", out, err, &words)
	}
	for name, try := range map[string]func() (*gossh.Client, error){
		"a forged signature": func() (*gossh.Client, error) { return s.dial("git", forger{admin.PublicKey()}) },
		"a stranger":         func() (*gossh.Client, error) { return s.dial("git", stranger) },
		"another user name":  func() (*gossh.Client, error) { return s.dial("root", admin) },
		"a password": func() (*gossh.Client, error) {
			return gossh.Dial("tcp", s.address, &gossh.ClientConfig{User: "git", Auth: []gossh.AuthMethod{gossh.Password("x")}, HostKeyCallback: gossh.InsecureIgnoreHostKey()})
		},
	} {
		if c, err := try(); err == nil {
			_ = c.Close()
			t.Errorf("%s got in", name)
		}
	}
}

// A8, A9: of variables GIT_PROTOCOL is taken, of commands those that there are, and nothing else.
func TestOnlyCommands(t *testing.T) {
	t.Parallel()
	ada := newKey(t)
	s := serve(t, nil, map[string]gossh.Signer{"ada": ada})
	c := s.client(ada)
	for _, line := range []string{
		"id", "sh", "git-upload-pack 'r' ; id", "whoami; id", "whoami $(id)", "git-upload-pack `id`", "scp -t /tmp", "git-shell", "git-upload-pack --x 'r'",
		"/usr/bin/git-upload-pack 'r'", "git-lfs-authenticate r download; id",
	} {
		if out, words, exit := run(t, c, line); exit != 1 || out != "" || !strings.HasPrefix(words, "Command not allowed\r\n") {
			t.Errorf("%q: %d %q %q", line, exit, out, words)
		}
	}
	for line, want := range map[string]string{
		"git-upload-pack '/prj/none.git'":  "Repository not found\r\nThe requested repository does not exist, or you do not have permission to access it.\r\n",
		"git-receive-pack '/prj/a;b'":      "Repository not found\r\n",
		`git-receive-pack '/prj/a\b"c'`:    "Repository not found\r\n",
		"git-upload-archive '/prj/x' more": "usage: git-upload-archive",
		"git-upload-pack":                  "usage: git-upload-pack",
		"panic":                            "Internal server error\r\n",
	} {
		if _, words, exit := run(t, c, line); exit != 1 || !strings.HasPrefix(words, want) {
			t.Errorf("%q: %d %q", line, exit, words)
		}
	}
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"-- split": "x", "GIT_SSH_COMMAND": "id", "LD_PRELOAD": "/tmp/x.so", "LANG": "C", "GIT_PROTOCOL": strings.Repeat("version=2:", 20_000),
	} {
		if err := session.Setenv(name, value); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := session.Setenv("GIT_PROTOCOL", "version=2"); err != nil {
		t.Error(err)
	}
	for _, request := range []string{"pty-req", "subsystem", "x11-req", "auth-agent-req@openssh.com", "unheard-of"} {
		if ok, err := session.SendRequest(request, true, nil); ok || err != nil {
			t.Errorf("%s: %t, %v", request, ok, err)
		}
	}
	if out, err := session.Output("whoami"); err != nil || !strings.HasSuffix(string(out), `by "version=2"`) {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := c.Dial("tcp", "127.0.0.1:5432"); err == nil {
		t.Error("a connection was forwarded")
	}
	if l, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = l.Close()
		t.Error("a port was forwarded")
	}
	shell, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var words bytes.Buffer
	shell.Stderr = &words
	if err := shell.Shell(); err != nil {
		t.Fatal(err)
	}
	var exit *gossh.ExitError
	if err := shell.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 1 || !strings.HasPrefix(words.String(), "Hello ada!") {
		t.Errorf("%v %s", err, &words)
	}
}

// K5: what is offered, read from the wire, is on the list; and there is strict key exchange.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	s := serve(t, nil, nil)
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "SSH-2.0-test\r\n"); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("SSH-2.0-Annal\r\n")+4)
	if _, err := io.ReadFull(conn, head); err != nil || !bytes.HasPrefix(head, []byte("SSH-2.0-Annal\r\n")) {
		t.Fatalf("%q %v", head, err)
	}
	packet := make([]byte, binary.BigEndian.Uint32(head[len(head)-4:]))
	if _, err := io.ReadFull(conn, packet); err != nil {
		t.Fatal(err)
	}
	rest := packet[1+1+16:] // padding, type, cookie
	for _, allowed := range [][]string{
		{
			"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
			"diffie-hellman-group16-sha512", "ext-info-s", "kex-strict-s-v00@openssh.com",
		},
		{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256", "rsa-sha2-512"},
		{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com"},
		{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com"},
		{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
		{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"},
		{"none"},
		{"none"},
	} {
		n := binary.BigEndian.Uint32(rest)
		names := strings.Split(string(rest[4:4+n]), ",")
		rest = rest[4+n:]
		for _, name := range names {
			if !slices.Contains(allowed, name) {
				t.Errorf("%q is offered", name)
			}
		}
		if slices.Contains(allowed, "ext-info-s") && !slices.Contains(names, "kex-strict-s-v00@openssh.com") {
			t.Errorf("no strict key exchange in %q", names)
		}
	}
}

// K2: those who do not log in are few and soon gone, whatever their number.
func TestStalledHandshakes(t *testing.T) {
	t.Parallel()
	ada := newKey(t)
	s := serve(t, func(c *ssh.Config) {
		c.Handshake, c.Unauthenticated, c.UnauthenticatedPer = 300*time.Millisecond, 50, 20
	}, map[string]gossh.Signer{"ada": ada})
	var stalled []net.Conn
	for range 300 {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		stalled = append(stalled, conn)
	}
	if open := s.server.Open(); open > 50 {
		t.Errorf("%d connections are open", open)
	}
	for _, conn := range stalled {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a stalled connection stays")
		}
		_ = conn.Close()
	}
	c := s.client(ada) // there is room again
	if out, _, _ := run(t, c, "whoami"); !strings.HasPrefix(out, "ada") {
		t.Error(out)
	}
}

// K2: channels that are refused leave nothing, and after some the connection is closed. So are
// those that ask for too many commands at a time, for too much in one, or nothing at all.
func TestChannels(t *testing.T) {
	t.Parallel()
	ada := newKey(t)
	s := serve(t, func(c *ssh.Config) { c.Channels, c.Idle = 3, 500*time.Millisecond }, map[string]gossh.Signer{"ada": ada})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 20 {
		c := s.client(ada)
		refused := 0
		for ; refused < 1000; refused++ {
			_, _, err := c.OpenChannel("direct-tcpip", make([]byte, 1000))
			var open *gossh.OpenChannelError
			if !errors.As(err, &open) {
				break
			}
		}
		if refused > 100 {
			t.Fatalf("%d channels were refused in one connection", refused)
		}
		_ = c.Close()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 16<<20 {
		t.Errorf("refused channels take %d bytes", grown)
	}

	c := s.client(ada)
	for range 3 {
		session, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Start("wait"); err != nil {
			t.Fatal(err)
		}
		<-s.waiting
	}
	if _, err := c.NewSession(); err == nil {
		t.Error("a fourth command at a time")
	}
	_ = c.Close()

	c = s.client(ada)
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err = session.SendRequest("env", true, nil); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("a thousand requests in a channel")
	}

	c = s.client(ada)
	if _, err := c.NewSession(); err != nil { // and no command
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("a channel without a command stays")
	}

	c = s.client(ada)
	if session, err = c.NewSession(); err != nil {
		t.Fatal(err)
	}
	if _, err := session.StdoutPipe(); err != nil { // which nobody reads
		t.Fatal(err)
	}
	if err := session.Start("flood"); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("who takes nothing stays")
	}
}

// A server that stops finishes what is under way, begins nothing and waits for nobody at rest.
func TestShutdown(t *testing.T) {
	t.Parallel()
	ada := newKey(t)
	s := serve(t, nil, map[string]gossh.Signer{"ada": ada})
	rests, works := s.client(ada), s.client(ada)
	session, err := works.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	session.Stdout = &out
	if err := session.Start("wait"); err != nil {
		t.Fatal(err)
	}
	<-s.waiting
	stopped := make(chan error, 1)
	go func() { stopped <- s.server.Shutdown(t.Context()) }()
	_ = rests.Wait() // is closed
	if _, err := works.NewSession(); err == nil {
		t.Error("a command began while the server stops")
	}
	if c, err := s.dial("git", ada); err == nil {
		_ = c.Close()
		t.Error("a connection began while the server stops")
	}
	close(s.release)
	if err := session.Wait(); err != nil || out.String() != "done" {
		t.Errorf("%q, %v", &out, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// What a proxy says is believed of those that are trusted, in both versions, and of nobody else.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	ada := newKey(t)
	v2 := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), 203, 0, 113, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x1f, 0x3f)
	for _, tt := range []struct {
		trusted, header, want string
	}{
		{"127.0.0.0/8", "PROXY TCP4 203.0.113.7 10.0.0.1 8080 7999\r\n", "ada from 203.0.113.7 "},
		{"127.0.0.0/8", string(v2), "ada from 203.0.113.7 "},
		{"127.0.0.0/8", "", "ada from 127.0.0.1 "},
		{"10.0.0.0/8", "", "ada from 127.0.0.1 "},
		{"10.0.0.0/8", "PROXY TCP4 203.0.113.7 10.0.0.1 8080 7999\r\n", "ada from 127.0.0.1 "},
	} {
		s := serve(t, func(c *ssh.Config) { c.TrustedProxies = []string{tt.trusted} }, map[string]gossh.Signer{"ada": ada})
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, tt.header)
		config := &gossh.ClientConfig{User: "git", Auth: []gossh.AuthMethod{gossh.PublicKeys(ada)}, HostKeyCallback: gossh.InsecureIgnoreHostKey()}
		client, channels, requests, err := gossh.NewClientConn(conn, s.address, config)
		if err != nil {
			t.Fatal(err)
		}
		c := gossh.NewClient(client, channels, requests)
		if out, _, _ := run(t, c, "whoami"); !strings.HasPrefix(out, tt.want) {
			t.Errorf("%q: %q", tt.header, out)
		}
		_ = c.Close()
	}
}

// Nodes that start at once have the same keys, and nobody else can read them.
func TestHostKeys(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	var starting sync.WaitGroup
	prints := make([]string, 4)
	for i := range prints {
		starting.Go(func() {
			keys, err := ssh.HostKeys(dir)
			if err != nil {
				t.Error(err)
			}
			for _, key := range keys {
				prints[i] += gossh.FingerprintSHA256(key.PublicKey()) + " " + key.PublicKey().Type() + "\n"
			}
		})
	}
	starting.Wait()
	if slices.Sort(prints); prints[0] != prints[3] || strings.Count(prints[0], "SHA256:") != 3 {
		t.Errorf("%q", prints)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 3 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", file.Name(), info.Mode(), err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, files[0].Name()), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ssh.HostKeys(dir); err == nil {
		t.Error("a key that others may read")
	}
}
