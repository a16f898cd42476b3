package archive

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/object"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

// Bounds of a request of upload-archive.
const (
	maxArguments = 2 * MaxPaths
	maxArgument  = 4096 // bytes
)

// Serve answers one request of upload-archive (see git-upload-archive(1)): the arguments
// of git archive on r, and on w the archive in a side-band. Only what refs name can be
// asked for, and folders within. The client has been told of the error that is returned; a
// *protocol.Refusal or *pktline.FormatError is its own.
func (a *Archiver) Serve(ctx context.Context, r io.Reader, w io.Writer, s *gitfs.Snapshot, objects *store.Objects) error {
	out := bufio.NewWriterSize(w, 32<<10)
	lines := pktline.NewWriter(out)
	arguments, err := readArguments(pktline.NewReader(r))
	if err != nil {
		_ = lines.Printf("NACK %s\n", userText(err))
		return errors.Join(err, out.Flush())
	}
	_ = lines.Printf("ACK\n")
	if err := errors.Join(lines.Flush(), out.Flush()); err != nil {
		return err
	}
	band := pktline.NewSideband(out, pktline.SidebandLarge)
	stop := band.KeepAlive(pktline.KeepAliveInterval)
	err = a.answer(ctx, band, s, objects, arguments)
	stop()
	if err != nil {
		_ = band.Fatal("fatal: " + userText(err))
		return errors.Join(err, out.Flush())
	}
	return errors.Join(band.Flush(), lines.Flush(), out.Flush())
}

func readArguments(in *pktline.Reader) ([]string, error) {
	var arguments []string
	for {
		p, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case p.Kind == pktline.Flush:
			return arguments, nil
		case p.Kind != pktline.Data:
			return nil, protocol.Refuse("protocol error: unexpected packet")
		case len(arguments) == maxArguments:
			return nil, protocol.Refuse("more than %d arguments", maxArguments)
		case len(p.Payload) > maxArgument:
			return nil, protocol.Refuse("an argument of more than %d bytes", maxArgument)
		}
		argument, ok := strings.CutPrefix(p.Text(), "argument ")
		if !ok {
			return nil, protocol.Refuse("'argument' token or flush expected")
		}
		arguments = append(arguments, argument)
	}
}

func (a *Archiver) answer(ctx context.Context, band *pktline.Sideband, s *gitfs.Snapshot, objects *store.Objects, arguments []string) error {
	o, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	if o.list {
		_, err := io.WriteString(band, "tar\ntgz\ntar.gz\nzip\n")
		return err
	}
	r := o.request
	r.Time = time.Now()
	if r.Commit, r.Tree, err = resolve(ctx, s, objects, o.treeish); err != nil {
		return err
	}
	prepared, err := a.prepare(ctx, s, objects, r)
	if err != nil {
		return err
	}
	defer prepared.Close()
	return prepared.Write(ctx, band)
}

type options struct {
	request Request
	treeish string
	list    bool
}

// parseOptions reads the options of git archive that a server may be sent.
func parseOptions(arguments []string) (o options, err error) {
	o.request.Format = Tar
	var rest []string
	onlyPaths := false
	for i := 0; i < len(arguments); i++ {
		argument := arguments[i]
		name, value, given := strings.Cut(argument, "=")
		// The value may be an argument of its own.
		take := func() string {
			if !given && i+1 < len(arguments) {
				i++
				return arguments[i]
			}
			return value
		}
		switch {
		case onlyPaths || !strings.HasPrefix(argument, "-") || argument == "-":
			rest = append(rest, argument)
		case argument == "--":
			onlyPaths = true
		case argument == "-l" || argument == "--list":
			o.list = true
		case argument == "-v" || argument == "--verbose":
		case name == "--format":
			format := take()
			known, ok := ParseFormat(format)
			if o.request.Format = known; !ok {
				return o, protocol.Refuse("Unknown archive format '%s'", protocol.Clip(format))
			}
		case name == "--prefix":
			o.request.Prefix = take()
		case len(argument) == 2 && argument[1] >= '0' && argument[1] <= '9':
			o.request.Level = int(argument[1] - '0')
		default:
			return o, protocol.Refuse("the option %s is not supported here", protocol.Clip(argument))
		}
	}
	if len(rest) == 0 && !o.list {
		return o, protocol.Refuse("must specify tree-ish")
	}
	if len(rest) > 0 {
		o.treeish, o.request.Paths = rest[0], rest[1:]
	}
	return o, nil
}

// resolve finds what a name stands for: a ref or HEAD, and behind a colon a folder in it.
// The commit is zero if it is not that one's whole tree.
func resolve(ctx context.Context, s *gitfs.Snapshot, objects *store.Objects, treeish string) (commit, tree git.ObjectID, err error) {
	name, folder, within := strings.Cut(treeish, ":")
	ref, ok := findRef(s, name)
	if !ok {
		return git.ZeroID, git.ZeroID, protocol.Refuse("no such ref: %s", protocol.Clip(name))
	}
	target, t, _, err := revwalk.NewGraph(objects, nil).Peel(ctx, ref.ID)
	if err != nil {
		return git.ZeroID, git.ZeroID, err
	}
	switch t {
	case object.TypeCommit:
		_, data, err := objects.Read(ctx, target)
		if err != nil {
			return git.ZeroID, git.ZeroID, err
		}
		if tree, _, _, err = object.CommitLinks(data); err != nil {
			return git.ZeroID, git.ZeroID, err
		}
		commit = target
	case object.TypeTree:
		tree = target
	default:
		return git.ZeroID, git.ZeroID, protocol.Refuse("not a tree object: %s", target)
	}
	if !within {
		return commit, tree, nil
	}
	for step := range strings.SplitSeq(strings.TrimSuffix(folder, "/"), "/") {
		if step == "" {
			continue
		}
		_, data, err := objects.Read(ctx, tree)
		if err != nil {
			return git.ZeroID, git.ZeroID, err
		}
		found := false
		for e, err := range object.TreeLinks(data) {
			if err != nil {
				return git.ZeroID, git.ZeroID, err
			}
			if string(e.Name) == step && e.Mode.IsTree() {
				tree, found = e.ID, true
				break
			}
		}
		if !found {
			return git.ZeroID, git.ZeroID, protocol.Refuse("not a valid object name: %s", protocol.Clip(treeish))
		}
	}
	return git.ZeroID, tree, nil
}

// findRef finds a ref by its full or short name, in Git's order of places.
func findRef(s *gitfs.Snapshot, name string) (git.Ref, bool) {
	if name == "HEAD" {
		return s.Refs.Get(s.Head)
	}
	for _, prefix := range []string{"", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"} {
		if ref, ok := s.Refs.Get(prefix + name); ok {
			return ref, true
		}
	}
	return git.Ref{}, false
}

// userText is what a client is told of an error.
func userText(err error) string {
	var refusal *protocol.Refusal
	var format *pktline.FormatError
	var missing *domain.NotFoundError
	var invalid *domain.InvalidError
	switch {
	case errors.As(err, &refusal):
		return refusal.Error()
	case errors.As(err, &format):
		return format.Error()
	case errors.As(err, &missing):
		return missing.Message
	case errors.As(err, &invalid):
		return invalid.Message
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "protocol error: the request is cut off"
	}
	return "internal error"
}
