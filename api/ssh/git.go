package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// Command answers an exec request. It has told the client what matters, or returns an error
// that says it.
type Command func(ctx context.Context, e *Exec) error

// Exec is an exec request.
type Exec struct {
	Origin
	User      string // who it is, for the log; commands set it when they know
	Arguments []string
	Protocol  string // value of GIT_PROTOCOL

	In       io.Reader
	Out, Err io.Writer
}

// UsageError refuses arguments. Its text is for the user.
type UsageError struct{ Usage string }

func (e *UsageError) Error() string { return "usage: " + e.Usage }

// toldError is one that the client has heard of in Git's own protocol.
type toldError struct{ error }

func (e *toldError) Unwrap() error { return e.error }

// command finds a command by its name, nil if there is none.
func (s *Server) command(name string) Command {
	switch name {
	case "git-upload-pack":
		return s.uploadPack
	case "git-receive-pack":
		return s.receivePack
	case "git-upload-archive":
		return s.uploadArchive
	}
	return s.Commands[name]
}

// ParsePath reads the path of a repository as clients write it behind the host.
func ParsePath(path string) (gitserver.Name, bool) {
	project, repo, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if !ok {
		return gitserver.Name{}, false
	}
	return gitserver.ParseName(project, repo)
}

// open pins the repository that the one argument names and calls serve.
func (s *Server) open(ctx context.Context, e *Exec, usage string, write bool, serve func(*gitserver.Repository) error) error {
	if len(e.Arguments) != 1 {
		return &UsageError{usage + " '<project>/<repository>.git'"}
	}
	name, ok := ParsePath(e.Arguments[0])
	if !ok {
		return errNoRepository
	}
	access, err := s.Repositories.Open(ctx, e.Origin, name.Project, name.Repo, write && name.Moment == "")
	if err != nil {
		return err
	}
	e.User = access.User
	r, err := s.Pin(ctx, access, name.Moment, e.Address, write)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := serve(r); err != nil {
		return &toldError{err}
	}
	return nil
}

var errNoRepository = errors.New("no name of a repository")

func (s *Server) uploadPack(ctx context.Context, e *Exec) error {
	return s.open(ctx, e, "git-upload-pack", false, func(r *gitserver.Repository) error {
		transport := uploadpack.Transport{Version: protocol.ParseVersion(e.Protocol)}
		if err := s.Upload.Advertise(ctx, e.Out, r.ForUpload(), transport); err != nil {
			return err
		}
		return s.Upload.Serve(ctx, e.In, e.Out, r.ForUpload(), transport)
	})
}

func (s *Server) receivePack(ctx context.Context, e *Exec) error {
	return s.open(ctx, e, "git-receive-pack", true, func(r *gitserver.Repository) error {
		transport := receivepack.Transport{Version: protocol.ParseVersion(e.Protocol)}
		if err := s.Receive.Advertise(ctx, e.Out, r.ForReceive(), transport); err != nil {
			return err
		}
		return s.Receive.Serve(ctx, e.In, e.Out, r.ForReceive(), transport)
	})
}

func (s *Server) uploadArchive(ctx context.Context, e *Exec) error {
	return s.open(ctx, e, "git-upload-archive", false, func(r *gitserver.Repository) error {
		return s.Archives.Serve(ctx, e.In, e.Out, r.Snapshot, r.Objects)
	})
}

// fail tells the client why a command has not worked, if it has not been told, and writes
// down what is wrong here.
func (s *Server) fail(ctx context.Context, e *Exec, err error) {
	var told *toldError
	var usage *UsageError
	var past *gitserver.PastError
	var refused *credentials.RefusedError
	switch {
	case errors.As(err, &told):
		s.Log.Log(ctx, gitserver.Level(ctx, err), "git request failed", "request", e.RequestID, "error", err)
	case errors.As(err, &usage):
		say(e.Err, usage.Error())
	case errors.As(err, &past):
		say(e.Err, past.Error())
	case errors.Is(err, gitserver.ErrUnauthenticated), errors.As(err, &refused):
		say(e.Err, "Access denied", "Your SSH key has been removed or has expired, or your account is not active.")
	case errors.Is(err, gitserver.ErrForbidden):
		say(e.Err, "Access denied", "You may read this repository and not write to it.")
	default:
		problem := gitserver.Explain(err)
		if problem.Message == gitserver.NotFound || errors.Is(err, errNoRepository) {
			say(e.Err, "Repository not found", "The requested repository does not exist, or you do not have permission to access it.")
			return
		}
		if problem.Ours {
			s.Log.Warn("git request failed", "request", e.RequestID, "error", err)
		}
		say(e.Err, fmt.Sprintf("%s (request %s)", problem.Message, e.RequestID))
	}
}
