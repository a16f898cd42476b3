package lfs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/domain"
	rights "github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/gitfs/admission"
	objects "github.com/annal-git/annal/gitfs/lfs"
	index "github.com/annal-git/annal/projections/lfs"
)

// Config is what a Handler needs. Zero values take the defaults named.
type Config struct {
	Log         *eventstore.Log
	Gate        *permission.Gate
	Rates       *ratelimit.Limiter // nil lets all requests through
	Credentials *credentials.Authenticator
	Index       *index.Reader
	Objects     *objects.Store
	Admission   *admission.Gate // lets transfers in; nil lets in all
	Secret      []byte          // that links are signed with, the same on all nodes
	BaseURL     string          // that links begin with

	MaxObject int64         // largest object, in bytes; default 10 GiB
	Idle      time.Duration // how long a client may neither send nor take anything; default 60 s
	Logger    *slog.Logger  // default slog.Default()
	Now       func() time.Time
	// Observe, if set, is told of every transfer that has ended, "upload" or "download", and
	// how many bytes it moved.
	Observe func(direction string, bytes int64, err error)
}

// Handler answers Git LFS.
type Handler struct {
	Config
	signer signer
}

// New makes a Handler.
func New(c Config) *Handler {
	c.MaxObject = cmp.Or(c.MaxObject, 10<<30)
	c.Idle = cmp.Or(c.Idle, time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(string, int64, error) {}
	}
	return &Handler{Config: c, signer: signer{c.Secret, c.Now}}
}

// Limits of requests.
const (
	maxBody    = 1 << 20 // bytes of JSON
	maxObjects = 1000    // in a batch
	maxRefName = 1024    // bytes
)

const contentType = "application/vnd.git-lfs+json"

// Register adds the routes under a group, which is mounted at /scm.
func (h *Handler) Register(g *echo.Group) {
	for _, r := range []struct {
		method, path string
		need         rights.Permission
		handle       func(*visit) error
	}{
		{http.MethodPost, "objects/batch", rights.RepoRead, h.handleBatch},
		{http.MethodPut, "storage/:oid", rights.RepoWrite, h.handleUpload},
		{http.MethodGet, "storage/:oid", rights.RepoRead, h.handleDownload},
		{http.MethodPost, "storage/:oid/verify", rights.RepoWrite, h.handleVerify},
		{http.MethodGet, "locks", rights.RepoRead, h.handleListLocks},
		{http.MethodPost, "locks", rights.RepoWrite, h.handleLock},
		{http.MethodPost, "locks/verify", rights.RepoWrite, h.handleVerifyLocks},
		{http.MethodPost, "locks/:id/unlock", rights.RepoWrite, h.handleUnlock},
	} {
		g.Add(r.method, "/:project/:repo/info/lfs/"+r.path, func(c echo.Context) error {
			v := &visit{Context: c, handler: h, control: http.NewResponseController(c.Response())}
			if c.Request().ContentLength != 0 {
				v.allowBody()
			}
			_ = v.control.SetWriteDeadline(time.Now().Add(h.Idle))
			defer func() { _ = v.control.SetWriteDeadline(time.Time{}) }()
			err := v.enter(r.need, c.Param("oid"))
			if err == nil {
				err = r.handle(v)
			}
			if err != nil {
				return v.fail(err)
			}
			return nil
		})
	}
}

// visit is one request, and who sent it about which repository.
type visit struct {
	echo.Context
	handler *Handler
	control *http.ResponseController

	name  gitserver.Name
	asker permission.Asker
	grant *grant // that he came with, nil if with other credentials
	*permission.Pass
	repository index.Repository
}

// allowBody gives the client the time to send something. It does its best, as endBody: a
// connection without deadlines goes without.
func (v *visit) allowBody() { _ = v.control.SetReadDeadline(time.Now().Add(v.handler.Idle)) }

// endBody is for when there is nothing to send any more: the server listens all the same
// whether the client is there, and must not take its silence for its end.
func (v *visit) endBody() { _ = v.control.SetReadDeadline(time.Time{}) }

func (v *visit) ctx() context.Context { return v.Request().Context() }

// refusal is an error with its answer.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

func refuse(status int, message string) error { return &refusal{status, message} }

// enter finds out who asks about which repository, and judges whether he may. Of what is
// about one object, oid is its name, and a link to it the only way in.
func (v *visit) enter(need rights.Permission, oid string) error {
	var ok bool
	if v.name, ok = nameOf(v.Context); !ok {
		return refuse(http.StatusNotFound, gitserver.NotFound)
	}
	authorization := v.Request().Header.Get(echo.HeaderAuthorization)
	v.asker = permission.Asker{Kind: "http", Proof: authorization, Find: func(context.Context) (credentials.Caller, error) {
		return v.handler.Credentials.Authenticate(v.Request())
	}}
	if oid == "" { // what links lead to was asked for in a batch
		v.asker.Admit = v.handler.Rates.Once(v.address())
	}
	if text, ok := grantOf(authorization); ok {
		g, ok := v.handler.signer.read(text)
		if !ok || (oid != "") != (g.OID != "") || oid != g.OID {
			return errLink
		}
		v.grant = &g
		v.asker.Kind, v.asker.Find = "lfs", func(ctx context.Context) (credentials.Caller, error) {
			return v.handler.Credentials.Resume(ctx, g.Holder)
		}
	}
	switch {
	case v.grant == nil && oid != "" && authorization != "":
		return errLink
	case v.grant == nil && oid != "":
		return gitserver.ErrUnauthenticated
	}
	return v.demand(need)
}

// errLink is one answer for everything that may be wrong with a link, so that nobody learns
// from it what is there.
var errLink = refuse(http.StatusForbidden, "The link is not good for this object, or its time is over. Ask for a new one.")

// demand judges whether the caller may do something with the repository.
func (v *visit) demand(need rights.Permission) error {
	pass, err := v.handler.pass(v.ctx(), v.asker, v.name, need)
	if err != nil {
		if err = gitserver.Refused(err); v.grant != nil && !ours(err) {
			return errLink
		}
		return err
	}
	if v.grant != nil && v.grant.Repository != pass.Repository {
		return errLink
	}
	if need != rights.RepoRead && v.name.Moment != "" {
		return refuse(http.StatusForbidden, (&gitserver.PastError{Moment: v.name.Moment}).Error())
	}
	if need != rights.RepoRead && v.grant != nil && v.grant.OID == "" && !v.grant.covers(upload) {
		return refuse(http.StatusForbidden, "What git-lfs-authenticate gave for downloading is not good for this.")
	}
	v.Pass = pass
	if caller := pass.Caller; !caller.Anonymous() {
		v.Response().Header().Set("X-AUSERNAME", caller.User.Name)
		v.Response().Header().Set("X-AUSERID", strconv.FormatInt(int64(caller.User.ID), 10))
	}
	if v.repository, err = v.handler.Index.Repository(v.ctx(), pass.Repository); err != nil {
		return err
	}
	if v.repository.Off {
		return refuse(http.StatusForbidden, "Git LFS is switched off in this repository. Its administrators can switch it on.")
	}
	return nil
}

// ours reports whether an error says nothing of the caller.
func ours(err error) bool {
	var missing *domain.NotFoundError
	var conflict *domain.ConflictError
	return !errors.Is(err, gitserver.ErrUnauthenticated) && !errors.Is(err, gitserver.ErrForbidden) && !errors.As(err, &missing) && !errors.As(err, &conflict)
}

// pass returns a pass that was given before, if the log has nothing new that speaks against
// it, or else a new one.
func (h *Handler) pass(ctx context.Context, asker permission.Asker, name gitserver.Name, need rights.Permission) (*permission.Pass, error) {
	if pass := h.Gate.Remembered(asker, name.Project, name.Repo, need); pass != nil {
		if err := asker.Admitted(pass.Caller); err != nil {
			return nil, err
		}
		if err := h.Log.Fresh(ctx, nil); err != nil {
			return nil, err
		}
		if h.Gate.Holds(pass) {
			return pass, nil
		}
	}
	return h.Gate.Judge(ctx, asker, name.Project, name.Repo, need)
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

// meta says who has caused an event.
func (v *visit) meta() domain.Metadata {
	id := v.Request().Header.Get(echo.HeaderXRequestID) // the frame around all requests has set it
	return domain.Metadata{Actor: v.Caller.User.ID, Auth: v.Caller.Auth, Address: v.address(), RequestID: id, Correlation: id}
}

func (v *visit) address() string {
	host, _, err := net.SplitHostPort(v.Request().RemoteAddr)
	if err != nil {
		return v.Request().RemoteAddr
	}
	return host
}

// decode reads a JSON body.
func (v *visit) decode(body any) error {
	r := v.Request()
	// A page of another site can send forms and plain text without asking, JSON not.
	media, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if err != nil || media != contentType && media != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "The content type must be "+contentType+".")
	}
	text, err := io.ReadAll(http.MaxBytesReader(v.Response(), r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return refuse(http.StatusRequestEntityTooLarge, "The request is limited to "+strconv.Itoa(maxBody)+" bytes. Ask for fewer objects at once.")
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "The request could not be read.")
	}
	v.endBody()
	if json.Unmarshal(text, body) != nil {
		return refuse(http.StatusUnprocessableEntity, "The request is not the JSON that is expected here.")
	}
	return nil
}

func (v *visit) answer(status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	v.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return v.Blob(status, contentType, text)
}
