package receivepack

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"strings"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/repository"
	"github.com/annal-git/annal/domain/rules"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/signature"
	"github.com/annal-git/annal/gitfs/store"
)

// Config is what a Server needs. Zero limits take the defaults named.
type Config struct {
	Store   *store.Store
	Agent   string         // name and version shown to clients, such as annal/1.0
	Commits *revwalk.Cache // may be shared with others; nil caches nothing

	// Hidden are prefixes of refs that no push may touch; default
	// refs/pull-requests/, refs/keep/ and refs/platform/.
	Hidden []string

	Keys signature.Keys // of users, by which commits may have to be signed; nil: nobody has any

	ClosureBytes int64 // memory to remember what the refs of forks reach; default 32 MiB

	MaxCommands    int   // refs in one push; default 10,000
	MaxOptions     int   // push options; default 100
	MaxOptionBytes int   // length of one push option; default 1,024
	MaxDrain       int64 // bytes read of a push that is refused, so that its client hears why; default 2 GiB
}

// Server takes pushes. It is safe for concurrent use.
type Server struct {
	config   Config
	closures *revwalk.Closures // what pushes to forks may build on
}

// New makes a Server.
func New(c Config) *Server {
	c.Agent = cmp.Or(c.Agent, "annal")
	c.MaxCommands = cmp.Or(c.MaxCommands, 10_000)
	c.ClosureBytes = cmp.Or(c.ClosureBytes, 32<<20)
	c.MaxOptions = cmp.Or(c.MaxOptions, 100)
	c.MaxOptionBytes = cmp.Or(c.MaxOptionBytes, 1024)
	c.MaxDrain = cmp.Or(c.MaxDrain, 2<<30)
	if c.Hidden == nil {
		c.Hidden = []string{"refs/pull-requests/", "refs/keep/", "refs/platform/"}
	}
	return &Server{config: c, closures: revwalk.NewClosures(c.ClosureBytes, "")}
}

// Repository is what one push goes to. Snapshot and Objects belong together.
type Repository struct {
	Snapshot *gitfs.Snapshot
	Objects  *store.Objects
	// RecentTips, if set, returns what refs named in the last minutes: a client may
	// have seen them just before they moved, and leave out what they reach.
	RecentTips func(ctx context.Context) ([]git.ObjectID, error)
	// Allow, if set, judges the permission for each ref before the pack is read.
	// It returns why the update is refused, or "".
	Allow func(ctx context.Context, u git.RefUpdate) string
	// Pusher, if set, says who pushes to a repository of which something is demanded, nil
	// for nothing.
	Pusher func(ctx context.Context, demanded *rules.Effective) (rules.Pusher, error)
	// Refused, if set, is told what rules of the repository have refused.
	Refused func(ctx context.Context, refusals []rules.Refusal)
	// Admit, if set, waits for the turn of a push that brings a pack, and returns what ends
	// it. A *admission.BusyError reaches the client as it is.
	Admit func(ctx context.Context) (leave func(), err error)
	// Commit makes the push happen: in one transaction it registers the pack,
	// moves the refs by compare-and-set and appends the event. It returns one
	// result for each update; an error means that nothing happened.
	Commit func(ctx context.Context, push repository.PushRefs) ([]git.RefResult, error)
}

// Transport says how a client is connected.
type Transport struct {
	Version   protocol.Version // V2 is taken for V0
	Stateless bool             // the request ends with the pack, as over HTTP
}

// Advertise writes the refs and what the server can do.
func (s *Server) Advertise(_ context.Context, w io.Writer, repo *Repository, t Transport) error {
	out := bufio.NewWriterSize(w, 32<<10)
	lines := pktline.NewWriter(out)
	if t.Version == protocol.V1 {
		_ = lines.Printf("version 1\n")
	}
	list := "\x00" + strings.Join([]string{
		"report-status", "report-status-v2", "delete-refs", "side-band-64k", "quiet", "atomic",
		"ofs-delta", "object-format=" + protocol.ObjectFormat, "push-options", "agent=" + s.config.Agent,
	}, " ")
	for ref := range repo.Snapshot.Refs.Prefixed("") {
		// Errors stay in the writer until it is flushed.
		_ = lines.Printf("%s %s%s\n", ref.ID, ref.Name, list)
		list = "" // on the first line only
	}
	if list != "" {
		_ = lines.Printf("%s capabilities^{}%s\n", git.ZeroID, list)
	}
	_ = lines.Flush()
	return out.Flush()
}
