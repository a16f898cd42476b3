package rest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	limiter "github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/api/status"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/gitfs"
	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/restore"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/gpgkeys"
	"github.com/annal-git/annal/projections/lfs"
	"github.com/annal-git/annal/projections/ratelimit"
	"github.com/annal-git/annal/projections/refusals"
	"github.com/annal-git/annal/projections/reposearch"
	"github.com/annal-git/annal/projections/rules"
)

// Snapshots gives the refs and packs of a repository as they are now. A repository
// that does not exist is a *domain.NotFoundError.
type Snapshots interface {
	Snapshot(ctx context.Context, repository domain.RepositoryID) (*gitfs.Snapshot, error)
	// At is Snapshot as of a moment, written as domain.ParseMoment reads it. A moment that
	// has not come, or at which the repository did not exist, is a *domain.NotFoundError.
	At(ctx context.Context, repository domain.RepositoryID, moment string) (*gitfs.Snapshot, error)
}

// Config is what the API works with.
type Config struct {
	Log         *eventstore.Log
	Receipts    *tree.Receipts
	Catalog     *catalog.Reader
	Users       *access.Reader
	Credentials *credentials.Authenticator
	Snapshots   Snapshots
	Contents    *browse.Browser
	Restores    *restore.Planner
	Tagger      Tagger
	Archives    *archive.Archiver
	Activity    *activity.Queries
	Names       *reposearch.Queries
	Checkpoints *projections.Checkpoints
	Node        *status.Node
	Maintenance Maintenance
	Rules       *rules.Reader
	GPGKeys     *gpgkeys.Reader
	LFS         *lfs.Reader
	RateLimits  *ratelimit.Reader
	Limiter     *limiter.Limiter // nil lets all requests through
	Refusals    Refusals         // nil: nobody is told
	Refused     *refusals.Reader

	// LicensedUsers is how many users may be able to log in; 0 for any number.
	LicensedUsers int
	ServerID      string // of this installation, for /admin/license

	BaseURL *url.URL // of this installation, as its users reach it; links start with it
	SSHURL  *url.URL // ssh://git@host:port, nil if SSH is not served

	SSHFingerprint string // of the first host key, as ssh-keygen -l shows it

	Version     string // of the Bitbucket that clients shall take this for, such as 9.4.16
	DisplayName string
	BuildNumber string
	BuildDate   time.Time

	// ClientAddress finds the address a request comes from; nil means that of the
	// connection. What a proxy says must be believed only of a proxy that is trusted.
	ClientAddress func(*http.Request) string
	Logger        *slog.Logger
	Now           func() time.Time // nil means time.Now
}

// API is an http.Handler for everything below /rest and for /plugins/servlet.
type API struct {
	Config
	judge  permission.Judge
	router *echo.Echo
	routes []route
}

// New makes the API.
func New(config Config) *API {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.ClientAddress == nil {
		config.ClientAddress = connectionAddress
	}
	a := &API{Config: config, judge: permission.Judge{Catalog: config.Catalog, Users: config.Users}, router: echo.New()}
	a.router.HTTPErrorHandler = a.answerError
	a.router.Use(a.frame)
	for _, routes := range [][]route{
		a.propertyRoutes(), a.projectRoutes(), a.repositoryRoutes(), a.userRoutes(), a.adminUserRoutes(),
		a.permissionRoutes(), a.groupRoutes(), a.memberRoutes(), a.groupPermissionRoutes(), a.defaultPermissionRoutes(), a.licenseRoutes(), a.accessRoutes(),
		a.tokenRoutes(), a.sshKeyRoutes(), a.accessKeyRoutes(), a.branchRoutes(), a.tagRoutes(), a.commitRoutes(), a.contentRoutes(),
		a.deletedRoutes(), a.restoreRoutes(), a.archiveRoutes(), a.forkRoutes(), a.changeRoutes(), a.diffRoutes(), a.lastModifiedRoutes(),
		a.eventRoutes(), a.logRoutes(), a.activityRoutes(), a.refusalRoutes(), a.repositorySearchRoutes(), a.maintenanceRoutes(), a.repositoryMaintenanceRoutes(),
		a.restrictionRoutes(), a.branchModelRoutes(), a.branchUtilsRoutes(), a.pushRuleRoutes(), a.hookRoutes(), a.secretRuleRoutes(), a.gpgKeyRoutes(), a.lfsRoutes(),
		a.sessionRoutes(), a.oauthRoutes(), a.rateLimitRoutes(),
		a.documentRoutes(),
	} {
		a.routes = append(a.routes, routes...)
	}
	for _, r := range a.routes {
		a.router.Add(r.method, r.pattern(), a.serve(r))
		if r.method == http.MethodGet {
			a.router.Add(http.MethodHead, r.pattern(), a.serve(r))
		}
	}
	return a
}

// Mount puts the API at its paths on e.
func (a *API) Mount(e *echo.Echo) {
	for _, path := range []string{"/rest", "/rest/*", "/plugins/servlet/*"} {
		e.Any(path, echo.WrapHandler(a))
	}
}

func connectionAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
