package smarthttp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/admission"
	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/pktline"
	"github.com/annal-git/annal/gitfs/protocol"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// Config is what a Handler needs. Zero values take the defaults named.
type Config struct {
	Repositories Repositories
	Store        *store.Store
	Upload       *uploadpack.Server
	Receive      *receivepack.Server
	Archives     *archive.Archiver
	Log          *slog.Logger // default slog.Default()

	// Gate lets in the requests that make a pack or bring one; nil lets in all.
	Gate *admission.Gate

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
		return h.refuse(c, http.StatusNotFound, notFound)
	})
}

const notFound = "Repository not found."

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
	return h.open(c, write, func(ctx context.Context, a *Access, snapshot *gitfs.Snapshot, objects *store.Objects) error {
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
			return h.Receive.Advertise(ctx, w, h.receiveRepository(c, a, snapshot, objects),
				receivepack.Transport{Version: version, Stateless: true})
		}
		return h.Upload.Advertise(ctx, w, h.uploadRepository(c, a, snapshot, objects),
			uploadpack.Transport{Version: version, Stateless: true})
	})
}

// handleUploadPack answers one request of a fetch.
func (h *Handler) handleUploadPack(c echo.Context) error {
	if reason := disagrees(c, uploadPack); reason != "" {
		return h.refuse(c, http.StatusBadRequest, reason)
	}
	return h.open(c, false, func(ctx context.Context, a *Access, snapshot *gitfs.Snapshot, objects *store.Objects) error {
		body, ok := h.body(c, h.MaxFetchRequest)
		if !ok {
			return h.refuse(c, http.StatusUnsupportedMediaType, unknownEncoding)
		}
		version := protocol.ParseVersion(c.Request().Header.Get("Git-Protocol"))
		h.begin(c, "application/x-git-upload-pack-result")
		return h.Upload.Serve(ctx, body, h.writer(c), h.uploadRepository(c, a, snapshot, objects),
			uploadpack.Transport{Version: version, Stateless: true})
	})
}

// handleUploadArchive answers "git archive --remote", which asks over HTTP since Git 2.44.
func (h *Handler) handleUploadArchive(c echo.Context) error {
	if reason := disagrees(c, uploadArchive); reason != "" {
		return h.refuse(c, http.StatusBadRequest, reason)
	}
	return h.open(c, false, func(ctx context.Context, _ *Access, snapshot *gitfs.Snapshot, objects *store.Objects) error {
		body, ok := h.body(c, h.MaxFetchRequest)
		if !ok {
			return h.refuse(c, http.StatusUnsupportedMediaType, unknownEncoding)
		}
		h.begin(c, "application/x-git-upload-archive-result")
		return h.Archives.Serve(ctx, body, h.writer(c), snapshot, objects)
	})
}

// handleReceivePack answers a push.
func (h *Handler) handleReceivePack(c echo.Context) error {
	if reason := disagrees(c, receivePack); reason != "" {
		return h.refuse(c, http.StatusBadRequest, reason)
	}
	return h.open(c, true, func(ctx context.Context, a *Access, snapshot *gitfs.Snapshot, objects *store.Objects) error {
		body, ok := h.body(c, 0)
		if !ok {
			return h.refuse(c, http.StatusUnsupportedMediaType, unknownEncoding)
		}
		version := protocol.ParseVersion(c.Request().Header.Get("Git-Protocol"))
		h.begin(c, "application/x-git-receive-pack-result")
		return h.Receive.Serve(ctx, body, h.writer(c), h.receiveRepository(c, a, snapshot, objects),
			receivepack.Transport{Version: version, Stateless: true})
	})
}

func (h *Handler) uploadRepository(c echo.Context, a *Access, snapshot *gitfs.Snapshot, objects *store.Objects) *uploadpack.Repository {
	return &uploadpack.Repository{Snapshot: snapshot, Objects: objects, Hides: a.Hides, RecentTips: a.RecentTips, Past: a.Past, Admit: h.admit(c, a)}
}

func (h *Handler) receiveRepository(c echo.Context, a *Access, snapshot *gitfs.Snapshot, objects *store.Objects) *receivepack.Repository {
	return &receivepack.Repository{
		Snapshot: snapshot, Objects: objects, RecentTips: a.RecentTips,
		Allow: a.Allow, Pusher: a.Pusher, Refused: a.Refused, Admit: h.admit(c, a), Commit: a.Commit,
	}
}

// admit returns what has a request wait for its turn. Who does not say who he is queues by
// his address. A client that is asked to come back later learns when.
func (h *Handler) admit(c echo.Context, a *Access) func(context.Context) (func(), error) {
	if h.Gate == nil {
		return nil
	}
	return func(ctx context.Context) (leave func(), err error) {
		name := "user " + a.User
		if a.User == "" {
			name = "address " + clientAddress(c.Request())
		}
		leave, err = h.Gate.Enter(ctx, name)
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
func (h *Handler) open(c echo.Context, write bool, serve func(context.Context, *Access, *gitfs.Snapshot, *store.Objects) error) error {
	project, repo, moment, ok := names(c)
	if !ok {
		return h.refuse(c, http.StatusNotFound, notFound)
	}
	access, err := h.Repositories.Open(c.Request(), project, repo, write && moment == "")
	if err != nil {
		return h.fail(c, err)
	}
	if access.User != "" {
		c.Response().Header().Set("X-AUSERNAME", access.User)
		c.Response().Header().Set("X-AUSERID", access.UserID)
	}
	ctx := c.Request().Context()
	snapshot, err := h.snapshot(ctx, access, moment)
	if err == nil && write && moment != "" {
		return h.refuse(c, http.StatusForbidden, fmt.Sprintf(
			"This is the repository as it was at %s, which nobody can change. Push to it without the @ and what follows.", moment))
	}
	if err != nil {
		return h.fail(c, err)
	}
	objects, err := h.Store.Objects(ctx, snapshot.Storage, snapshot.Packs)
	if err != nil {
		return h.fail(c, err)
	}
	defer objects.Release()
	defer h.endDeadlines(c)
	if err := serve(ctx, access, snapshot, objects); err != nil {
		// The client has been told in its own protocol.
		h.log(c, err)
	}
	return nil
}

// snapshot is the repository as it is, or as it was at a moment.
func (h *Handler) snapshot(ctx context.Context, a *Access, moment string) (*gitfs.Snapshot, error) {
	if moment == "" {
		return a.Snapshot(ctx)
	}
	a.RecentTips = nil // of now
	past := a.Past
	a.Past = nil // has been chosen
	return past(ctx, moment)
}

// names returns the project and repository of a URL, and the moment that follows an @ if
// the repository is asked for as it was. Everything that no name can hold is refused here,
// once, after decoding.
func names(c echo.Context) (project, repo, moment string, ok bool) {
	project, repo = c.Param("project"), c.Param("repo")
	if c.Request().URL.RawPath != "" { // else it has been decoded
		var errs [2]error
		project, errs[0] = url.PathUnescape(project)
		repo, errs[1] = url.PathUnescape(repo)
		if errors.Join(errs[:]...) != nil {
			return "", "", "", false
		}
	}
	if suffix := len(repo) - len(".git"); suffix > 0 && strings.EqualFold(repo[suffix:], ".git") {
		repo = repo[:suffix]
	}
	repo, moment, past := strings.Cut(repo, "@")
	ok = plain(strings.TrimPrefix(project, "~")) && plain(repo) && past == (moment != "") && len(moment) <= maxName
	return project, repo, moment, ok
}

const maxName = 255

func plain(name string) bool {
	if name == "" || len(name) > maxName || strings.Trim(name, ".") == "" {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-@", r)
	}) < 0
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
	var missing *domain.NotFoundError
	var invalid *domain.InvalidError
	var conflict *domain.ConflictError
	var unavailable *store.UnavailableError
	switch {
	case errors.Is(err, ErrUnauthenticated):
		c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="Annal"`)
		return h.refuse(c, http.StatusUnauthorized, "Authentication required.")
	case errors.Is(err, ErrForbidden):
		return h.refuse(c, http.StatusForbidden, "You are not permitted to do this.")
	case errors.As(err, &invalid):
		return h.refuse(c, http.StatusNotFound, invalid.Message)
	case errors.As(err, &missing) && missing.What == "position":
		return h.refuse(c, http.StatusNotFound, missing.Message)
	case errors.As(err, &missing):
		// Whatever is missing: nobody is to learn how far the search came.
		return h.refuse(c, http.StatusNotFound, notFound)
	case errors.As(err, &conflict):
		return h.refuse(c, http.StatusConflict, conflict.Message)
	case errors.As(err, &unavailable):
		h.log(c, err)
		c.Response().Header().Set(echo.HeaderRetryAfter, "5")
		return h.refuse(c, http.StatusServiceUnavailable, "The repository cannot be read at the moment. Try again later.")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		h.log(c, err)
		return h.refuse(c, http.StatusServiceUnavailable, "This server has no room left. Tell its operator.")
	case eventstore.Outage(err):
		h.log(c, err)
		c.Response().Header().Set(echo.HeaderRetryAfter, "5")
		return h.refuse(c, http.StatusServiceUnavailable, "The database does not answer at the moment. Try again in a few seconds.")
	}
	h.log(c, err)
	return h.refuse(c, http.StatusInternalServerError, "Internal server error.")
}

// log writes down an error: what a client did wrong in detail, what went wrong
// here as a warning.
func (h *Handler) log(c echo.Context, err error) {
	ctx := c.Request().Context()
	var refusal *protocol.Refusal
	var format *pktline.FormatError
	level := slog.LevelWarn
	if errors.As(err, &refusal) || errors.As(err, &format) || ctx.Err() != nil {
		level = slog.LevelDebug
	}
	h.Log.Log(ctx, level, "git request failed", "method", c.Request().Method, "path", c.Path(),
		"project", c.Param("project"), "repository", c.Param("repo"), "error", err)
}
