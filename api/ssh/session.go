package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/gitfs/protocol"
)

// maxRequests is what a client may ask for in one channel: variables, a terminal, signals.
const maxRequests = 100

// session is one channel: at most one command.
type session struct {
	connection *connection
	channel    ssh.Channel
	protocol   string // GIT_PROTOCOL
	ctx        context.Context
	cancel     context.CancelFunc
	// idle cuts the connection of a client that keeps a channel open without a command.
	idle *time.Timer
}

func newSession(c *connection, channel ssh.Channel) *session {
	ctx, cancel := context.WithCancel(c.ctx)
	return &session{
		connection: c, channel: channel, ctx: ctx, cancel: cancel,
		idle: time.AfterFunc(c.server.Idle, c.cut),
	}
}

// serve answers requests until the client closes the channel.
func (s *session) serve(requests <-chan *ssh.Request) {
	defer s.idle.Stop()
	var done chan struct{} // closed when the command has ended; nil before
	count := 0
	for r := range requests {
		if count++; count > maxRequests {
			s.connection.cut()
			break
		}
		ok := false
		switch r.Type {
		case "env":
			ok = s.setVariable(r.Payload)
		case "exec", "shell":
			var line struct{ Command string }
			ok = done == nil && (r.Type == "shell" || ssh.Unmarshal(r.Payload, &line) == nil)
			if ok {
				done = make(chan struct{})
				s.idle.Stop()
				s.reply(r, true)
				go func() { // is waited for below
					defer close(done)
					s.run(line.Command)
				}()
				continue
			}
		}
		s.reply(r, ok)
	}
	s.cancel()
	if done != nil {
		<-done
	}
	_ = s.channel.Close() // or it is closed
}

func (s *session) reply(r *ssh.Request, ok bool) {
	if r.WantReply {
		_ = r.Reply(ok, nil) // or the client is gone
	}
}

// setVariable takes the one variable that is taken.
func (s *session) setVariable(payload []byte) bool {
	var variable struct{ Name, Value string }
	if ssh.Unmarshal(payload, &variable) != nil || variable.Name != "GIT_PROTOCOL" || len(variable.Value) > protocol.MaxVersionRequest {
		return false
	}
	s.protocol = variable.Value
	return true
}

// run executes a command, or "" for somebody who wants a shell, and closes the channel.
func (s *session) run(line string) {
	start := time.Now()
	e := &Exec{
		Origin:   Origin{Key: s.connection.key, Address: s.connection.address, RequestID: uuid.Must(uuid.NewV7()).String()},
		Protocol: s.protocol,
	}
	out := newStream(s.channel, s.connection.server.Idle, s.connection.cut)
	defer out.close()
	words := newStream(s.channel.Stderr(), s.connection.server.Idle, s.connection.cut)
	defer words.close()
	e.In, e.Out, e.Err = out, out, words
	name, exit := s.execute(e, line)
	status := struct{ Status uint32 }{uint32(exit)}
	_ = s.channel.CloseWrite()
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(&status))
	s.idle.Reset(s.connection.server.Idle) // to close its side
	_ = s.channel.Close()
	took := time.Since(start)
	if s.connection.server.Observe != nil {
		s.connection.server.Observe(name, exit, took)
	}
	s.connection.server.Log.Info("ssh request", "request", e.RequestID, "command", name, "arguments", strings.Join(e.Arguments, " "),
		"exit", exit, "took", took, "from", e.Address, "user", e.User)
}

// execute finds and runs the command. What is not a command has the name "".
func (s *session) execute(e *Exec, line string) (name string, exit int) {
	server := s.connection.server
	defer func() {
		if panicked := recover(); panicked != nil {
			server.Log.Error("panic in an ssh request", "request", e.RequestID, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
			say(e.Err, "Internal server error", "The request is "+e.RequestID+".")
			exit = failed
		}
	}()
	if line == "" {
		return "", s.greet(e)
	}
	name, arguments, err := parseCommand(line)
	command := server.command(name)
	if err != nil || command == nil {
		say(e.Err, "Command not allowed", "Only Git's commands are served here: git-upload-pack, git-receive-pack and git-upload-archive with the path of a repository.")
		return "", failed
	}
	e.Arguments = arguments
	if err := command(s.ctx, e); err != nil {
		server.fail(s.ctx, e, err)
		return name, exitCode(err)
	}
	return name, 0
}

// Exit codes of what did not work: for good, or because it was asked for too often
// (EX_TEMPFAIL of sysexits.h).
const (
	failed   = 1
	tooOften = 75
)

func exitCode(err error) int {
	var exceeded *ratelimit.ExceededError
	if errors.As(err, &exceeded) {
		return tooOften
	}
	return failed
}

// greet tells somebody who looks for a shell who he is.
func (s *session) greet(e *Exec) int {
	ctx, cancel := context.WithTimeout(s.ctx, s.connection.server.Handshake)
	defer cancel()
	caller, err := s.connection.server.Keys.Caller(ctx, e.Key)
	if err != nil {
		s.connection.server.fail(ctx, e, err)
		return failed
	}
	e.User = caller.User.Name
	say(e.Err, fmt.Sprintf("Hello %s! Your key works. There is no shell here, only Git.", caller.User.DisplayName))
	return failed
}

// say writes lines for people.
func say(w io.Writer, lines ...string) {
	_, _ = io.WriteString(w, strings.Join(lines, "\r\n")+"\r\n") // or the client is gone
}
