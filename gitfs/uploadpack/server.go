package uploadpack

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/admission"
	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
)

// Config is what a Server needs. Zero limits take the defaults named.
type Config struct {
	Agent   string         // name and version shown to clients, such as annal/1.0
	Commits *revwalk.Cache // may be shared with others; nil caches nothing

	ClosureBytes int64  // memory to remember what full clones hold; default 64 MiB
	ClosureDir   string // folder of the local home that keeps it for the next process; "" keeps none
	AnswerBytes  int64  // memory for prepared answers about refs; default 16 MiB

	Packs *packcache.Cache // keeps packs that were made; nil keeps none

	MaxWants     int // objects asked for in one request; default 250,000
	MaxHaves     int // common objects remembered in one request; default 16,384
	MaxArguments int // lines of any other kind in one request; default 100,000
	MaxRequest   int // bytes of one request, or of one round of a negotiation; default 16 MiB
	Counting     int // requests that look for objects at a time; default 2 for each CPU
}

// Server answers upload-pack requests. It is safe for concurrent use.
type Server struct {
	config   Config
	closures *revwalk.Closures
	answers  *answers
	popular  popularity
	counting chan struct{} // a token for each request that looks for objects
}

// New makes a Server.
func New(c Config) *Server {
	c.Agent = cmp.Or(c.Agent, "annal")
	c.MaxWants = cmp.Or(c.MaxWants, 250_000)
	c.MaxHaves = cmp.Or(c.MaxHaves, 16_384)
	c.MaxArguments = cmp.Or(c.MaxArguments, 100_000)
	c.MaxRequest = cmp.Or(c.MaxRequest, 16<<20)
	c.Counting = cmp.Or(c.Counting, 2*runtime.GOMAXPROCS(0))
	c.ClosureBytes = cmp.Or(c.ClosureBytes, 64<<20)
	c.AnswerBytes = cmp.Or(c.AnswerBytes, 16<<20)
	return &Server{
		config: c, closures: revwalk.NewClosures(c.ClosureBytes, c.ClosureDir), answers: newAnswers(c.AnswerBytes),
		counting: make(chan struct{}, c.Counting),
	}
}

// Repository is what one request is served from. Snapshot and Objects belong
// together and stay the same for the whole request.
type Repository struct {
	Snapshot *gitfs.Snapshot
	Objects  *store.Objects
	// Hides says that some refs were left out of the snapshot, so that what a
	// client claims to have must be reachable from the others to be believed.
	Hides bool
	// RecentTips, if set, returns what visible refs named in the last minutes:
	// a client may ask for what it was shown just before a ref moved.
	RecentTips func(ctx context.Context) ([]git.ObjectID, error)
	// Admit, if set, waits for the turn of a request for which a pack has to be made, and
	// returns what ends it. A *admission.BusyError reaches the client as it is.
	Admit func(ctx context.Context) (leave func(), err error)
	// Past, if set, gives the repository as it was at a moment that the client names in
	// the server option "at". A *domain.NotFoundError or *domain.InvalidError is shown to it.
	Past func(ctx context.Context, moment string) (*gitfs.Snapshot, error)
}

// shows reports whether the refs reach all that the packs hold, or what anybody who sees
// them may know of. Else some refs are hidden, or the packs are those of the repository that
// this is a fork of, which may have more than it ever showed.
func (r *Repository) shows() bool { return !r.Hides && !r.Snapshot.Fork }

// Transport says how a client is connected.
type Transport struct {
	Version   protocol.Version
	Stateless bool // each request repeats what was agreed before, as over HTTP
}

// Advertise writes what a client is told first: refs, or with version 2 what the
// server can do.
func (s *Server) Advertise(ctx context.Context, w io.Writer, repo *Repository, t Transport) error {
	c := s.conversation(nil, w, repo, t)
	defer c.release()
	if t.Version == protocol.V2 {
		c.advertiseCapabilities()
	} else if err := c.advertiseRefs(); err != nil {
		return err
	}
	return c.out.Flush()
}

// Serve answers what a client sends until it ends. Over a duplex stream, Advertise
// comes first. The client has been told of the error that is returned, if it could
// be; a *protocol.Refusal or *pktline.FormatError is the client's fault.
func (s *Server) Serve(ctx context.Context, r io.Reader, w io.Writer, repo *Repository, t Transport) error {
	c := s.conversation(r, w, repo, t)
	defer c.release()
	var err error
	if t.Version == protocol.V2 {
		err = c.serveV2(ctx)
	} else {
		err = c.serveV0(ctx)
	}
	if err != nil && !c.packing {
		// Whatever fails now, the first error is the one that matters.
		_ = c.lines.Error(userText(err))
	}
	return errors.Join(err, c.out.Flush())
}

// conversation is one call of Serve.
type conversation struct {
	*Server
	repo      *Repository
	transport Transport
	graph     *revwalk.Graph
	w         io.Writer
	*buffers       // out is on top of w
	read      int  // bytes of the request so far
	packing   bool // errors go to the side-band from now on
}

// next reads one packet of a request.
func (c *conversation) next() (pktline.Packet, error) {
	p, err := c.in.Next()
	if c.read += 4 + len(p.Payload); c.read > c.config.MaxRequest {
		return pktline.Packet{}, protocol.Refuse("the request is larger than %d bytes", c.config.MaxRequest)
	}
	return p, err
}

// buffers are what a conversation reads and writes through.
type buffers struct {
	in    *pktline.Reader
	out   *bufio.Writer
	lines *pktline.Writer
}

var idleBuffers = sync.Pool{New: func() any {
	out := bufio.NewWriterSize(nil, 32<<10)
	return &buffers{in: pktline.NewReader(nil), out: out, lines: pktline.NewWriter(out)}
}}

func (s *Server) conversation(r io.Reader, w io.Writer, repo *Repository, t Transport) *conversation {
	c := &conversation{
		Server: s, repo: repo, transport: t, w: w, buffers: idleBuffers.Get().(*buffers),
		graph: revwalk.NewGraph(repo.Objects, s.config.Commits),
	}
	c.in.Reset(r)
	c.out.Reset(w)
	c.lines.Reset(c.out)
	return c
}

// release gives the buffers to the next conversation.
func (c *conversation) release() {
	c.in.Reset(nil)
	c.out.Reset(nil)
	idleBuffers.Put(c.buffers)
	c.buffers = nil
}

// enter waits for its turn to look for objects; the function it returns ends that.
func (s *Server) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.counting <- struct{}{}:
		return func() { <-s.counting }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// head returns the ref that HEAD names, if it exists.
func (c *conversation) head() (git.Ref, bool) {
	return c.repo.Snapshot.Refs.Get(c.repo.Snapshot.Head)
}

// userText is what a client is told of an error.
func userText(err error) string {
	var refusal *protocol.Refusal
	var format *pktline.FormatError
	var filter *revwalk.FilterError
	var busy *admission.BusyError
	switch {
	case errors.As(err, &refusal):
		return refusal.Error()
	case errors.As(err, &busy):
		return busy.Error()
	case errors.As(err, &format):
		return format.Error()
	case errors.As(err, &filter):
		return filter.Error()
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "protocol error: the request is cut off"
	case errors.Is(err, revwalk.ErrNothingSelected):
		return revwalk.ErrNothingSelected.Error()
	}
	return "internal error"
}
