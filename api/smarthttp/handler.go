package smarthttp

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/gitfs/admission"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// Repositories finds repositories and knows who may use them.
type Repositories interface {
	// Open looks up a repository for the caller of r, who wants to read or write
	// it. The project is a key or ~user; it and the slug are as the URL has them,
	// in any case, without .git. Errors: gitserver.ErrUnauthenticated,
	// gitserver.ErrForbidden, *domain.NotFoundError if there is no such repository or the
	// caller must not learn that there is.
	Open(r *http.Request, project, repo string, write bool) (*gitserver.Access, error)
}

// Config is what a Handler needs. Zero values take the defaults named.
type Config struct {
	Repositories Repositories
	gitserver.Engine
	Log *slog.Logger // default slog.Default()

	// MaxFetchRequest bounds the body of a fetch when it is unpacked, in bytes;
	// default 16 MiB.
	MaxFetchRequest int64
	// Idle is how long a client may neither send nor take anything; default 60 s.
	Idle time.Duration
}

// Handler answers Git's requests.
type Handler struct{ Config }

// New makes a Handler.
func New(c Config) *Handler {
	c.MaxFetchRequest = cmp.Or(c.MaxFetchRequest, 16<<20)
	c.Idle = cmp.Or(c.Idle, time.Minute)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Handler{c}
}

const (
	uploadPack    = "git-upload-pack"
	receivePack   = "git-receive-pack"
	uploadArchive = "git-upload-archive"
)

// Register adds the routes under a group, which is mounted at /scm.
func (h *Handler) Register(g *echo.Group) {
	route := func(path, method string, handle echo.HandlerFunc) {
		g.Any("/:project/:repo/"+path, func(c echo.Context) error {
			if c.Request().Method != method {
				c.Response().Header().Set(echo.HeaderAllow, method)
				return h.refuse(c, http.StatusMethodNotAllowed, "Method not allowed.")
			}
			if method == http.MethodPost {
				// What a handler leaves of a body the server reads, and not for ever.
				setReadDeadline(http.NewResponseController(c.Response()), time.Now().Add(h.Idle))
			}
			return handle(c)
		})
	}
	route("info/refs", http.MethodGet, h.handleInfoRefs)
	route(uploadPack, http.MethodPost, h.handleUploadPack)
	route(receivePack, http.MethodPost, h.handleReceivePack)
	route(uploadArchive, http.MethodPost, h.handleUploadArchive)
	// Everything that only a client without the smart protocol would ask for.
	g.Any("/:project/:repo/*", func(c echo.Context) error {
		return h.refuse(c, http.StatusNotFound, gitserver.NotFound)
	})
}

// handleInfoRefs answers the first request of a fetch or push.
func (h *Handler) handleInfoRefs(c echo.Context) error {
	service, ok := oneService(c)
	if !ok {
		return h.refuse(c, http.StatusBadRequest, severalServices)
	}
	if service != "" && service != uploadPack && service != receivePack {
		return h.refuse(c, http.StatusBadRequest, "Unknown Git service.")
	}
	write := service == receivePack
	return h.open(c, write, func(ctx context.Context, r *gitserver.Repository) error {
		if service == "" {
			return h.refuse(c, http.StatusForbidden, "The dumb HTTP protocol is not served here. Use a newer Git.")
		}
		version := protocol.ParseVersion(c.Request().Header.Get("Git-Protocol"))
		h.begin(c, "application/x-"+service+"-advertisement")
		w := h.writer(c)
		if write || version != protocol.V2 {
			lines := pktline.NewWriter(w)
			_ = lines.Printf("# service=%s\n", service)
			if err := lines.Flush(); err != nil {
				return err
			}
		}
		if write {
			return h.Receive.Advertise(ctx, w, r.ForReceive(),
				receivepack.Transport{Version: version, Stateless: true})
		}
		return h.Upload.Advertise(ctx, w, r.ForUpload(),
			uploadpack.Transport{Version: version, Stateless: true})
	})
}

// handleUploadPack answers one request of a fetch.
func (h *Handler) handleUploadPack(c echo.Context) error {
	if reason := disagrees(c, uploadPack); reason != "" {
		return h.refuse(c, http.StatusBadRequest, reason)
	}
	return h.open(c, false, func(ctx context.Context, r *gitserver.Repository) error {
		body, ok := h.body(c, h.MaxFetchRequest)
		if !ok {
			return h.refuse(c, http.StatusUnsupportedMediaType, unknownEncoding)
		}
		version := protocol.ParseVersion(c.Request().Header.Get("Git-Protocol"))
		h.begin(c, "application/x-git-upload-pack-result")
		return h.Upload.Serve(ctx, body, h.writer(c), r.ForUpload(),
			uploadpack.Transport{Version: version, Stateless: true})
	})
}

// handleUploadArchive answers "git archive --remote", which asks over HTTP since Git 2.44.
func (h *Handler) handleUploadArchive(c echo.Context) error {
	if reason := disagrees(c, uploadArchive); reason != "" {
		return h.refuse(c, http.StatusBadRequest, reason)
	}
	return h.open(c, false, func(ctx context.Context, r *gitserver.Repository) error {
		body, ok := h.body(c, h.MaxFetchRequest)
		if !ok {
			return h.refuse(c, http.StatusUnsupportedMediaType, unknownEncoding)
		}
		h.begin(c, "application/x-git-upload-archive-result")
		return h.Archives.Serve(ctx, body, h.writer(c), r.Snapshot, r.Objects)
	})
}

// handleReceivePack answers a push.
func (h *Handler) handleReceivePack(c echo.Context) error {
	if reason := disagrees(c, receivePack); reason != "" {
		return h.refuse(c, http.StatusBadRequest, reason)
	}
	return h.open(c, true, func(ctx context.Context, r *gitserver.Repository) error {
		body, ok := h.body(c, 0)
		if !ok {
			return h.refuse(c, http.StatusUnsupportedMediaType, unknownEncoding)
		}
		version := protocol.ParseVersion(c.Request().Header.Get("Git-Protocol"))
		h.begin(c, "application/x-git-receive-pack-result")
		return h.Receive.Serve(ctx, body, h.writer(c), r.ForReceive(),
			receivepack.Transport{Version: version, Stateless: true})
	})
}

// tellBusy has a client that is asked to come back later learn when.
func tellBusy(c echo.Context, r *gitserver.Repository) {
	enter := r.Admit
	if enter == nil {
		return
	}
	r.Admit = func(ctx context.Context) (leave func(), err error) {
		leave, err = enter(ctx)
		var busy *admission.BusyError
		if errors.As(err, &busy) && !c.Response().Committed {
			c.Response().Status = http.StatusTooManyRequests
			c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(busy.RetryAfter.Seconds())))
		}
		return leave, err
	}
}

func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// open looks up the repository, pins it and calls serve.
func (h *Handler) open(c echo.Context, write bool, serve func(context.Context, *gitserver.Repository) error) error {
	name, ok := nameOf(c)
	if !ok {
		return h.refuse(c, http.StatusNotFound, gitserver.NotFound)
	}
	access, err := h.Repositories.Open(c.Request(), name.Project, name.Repo, write && name.Moment == "")
	if err != nil {
		if refused := (*gitserver.RefusedUserError)(nil); errors.As(err, &refused) {
			tell(c, refused.User, refused.UserID)
		}
		return h.fail(c, err)
	}
	tell(c, access.User, access.UserID)
	ctx := c.Request().Context()
	r, err := h.Pin(ctx, access, name.Moment, clientAddress(c.Request()), write)
	var past *gitserver.PastError
	if errors.As(err, &past) {
		return h.refuse(c, http.StatusForbidden, past.Error())
	}
	if err != nil {
		return h.fail(c, err)
	}
	defer r.Close()
	defer h.endDeadlines(c)
	tellBusy(c, r)
	if err := serve(ctx, r); err != nil {
		// The client has been told in its own protocol.
		h.log(c, err)
	}
	return nil
}

// tell tells a caller who has logged in as whom, as Bitbucket does on every answer.
func tell(c echo.Context, user, id string) {
	if user != "" {
		c.Response().Header().Set("X-AUSERNAME", user)
		c.Response().Header().Set("X-AUSERID", id)
	}
}

// nameOf returns the name of the repository in a URL.
func nameOf(c echo.Context) (gitserver.Name, bool) {
	project, repo := c.Param("project"), c.Param("repo")
	if c.Request().URL.RawPath != "" { // else it has been decoded
		var errs [2]error
		project, errs[0] = url.PathUnescape(project)
		repo, errs[1] = url.PathUnescape(repo)
		if errors.Join(errs[:]...) != nil {
			return gitserver.Name{}, false
		}
	}
	return gitserver.ParseName(project, repo)
}

// oneService returns the service that a query names, "" if none. It is not ok to
// name several.
func oneService(c echo.Context) (service string, ok bool) {
	services := c.QueryParams()["service"]
	if len(services) == 1 {
		service = services[0]
	}
	return service, len(services) <= 1
}

const severalServices = "More than one Git service."

// disagrees says what in a request contradicts the service that its path names.
func disagrees(c echo.Context, service string) string {
	named, ok := oneService(c)
	switch {
	case !ok:
		return severalServices
	case named != "" && named != service:
		return "The service named does not fit to the URL."
	case c.Request().Header.Get(echo.HeaderContentType) != "application/x-"+service+"-request":
		return "The content type does not fit to the URL."
	}
	return ""
}

// begin writes the headers of an answer.
func (h *Handler) begin(c echo.Context, contentType string) {
	noCache(c)
	c.Response().Header().Set(echo.HeaderContentType, contentType)
}

func noCache(c echo.Context) {
	header := c.Response().Header()
	header.Set(echo.HeaderCacheControl, "no-cache, max-age=0, must-revalidate")
	header.Set("Expires", "Fri, 01 Jan 1980 00:00:00 GMT")
	header.Set("Pragma", "no-cache")
}

// refuse answers with a sentence, which git shows to its user.
func (h *Handler) refuse(c echo.Context, status int, message string) error {
	noCache(c)
	return c.String(status, message+"\n")
}

// fail answers with the status that fits to an error.
func (h *Handler) fail(c echo.Context, err error) error {
	problem := gitserver.Explain(err)
	if problem.Ours {
		h.log(c, err)
	}
	if problem.Status == http.StatusUnauthorized {
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="Annal"`)
	}
	var exceeded *ratelimit.ExceededError
	if errors.As(err, &exceeded) {
		exceeded.SetHeaders(c.Response().Header())
	}
	if problem.Retry {
		c.Response().Header().Set(echo.HeaderRetryAfter, "5")
	}
	return h.refuse(c, problem.Status, problem.Message)
}

// log writes down an error.
func (h *Handler) log(c echo.Context, err error) {
	ctx := c.Request().Context()
	h.Log.Log(ctx, gitserver.Level(ctx, err), "git request failed", "method", c.Request().Method, "path", c.Path(),
		"project", c.Param("project"), "repository", c.Param("repo"), "error", err)
}
