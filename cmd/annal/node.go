package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/rest"
	"github.com/annal-git/annal/api/setup"
	"github.com/annal-git/annal/api/site"
	"github.com/annal-git/annal/api/smarthttp"
	"github.com/annal-git/annal/api/status"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/refs"
	"github.com/annal-git/annal/projections/reposearch"
	upkeep "github.com/annal-git/annal/workers/maintenance"
)

// Memory that caches may take, in bytes.
const (
	refsCacheBytes   = 256 << 20
	commitCacheBytes = 256 << 20
)

// bitbucketVersion is the version that clients are told: it decides which features
// they use.
const bitbucketVersion = "9.4.16"

// node is everything between the database and the network.
type node struct {
	settings *settings
	log      *slog.Logger
	state    *status.Node
	pool     *pgxpool.Pool
	events   *eventstore.Log
	metrics  *prometheus.Registry

	objects    *store.Store
	snapshots  snapshots
	site       *echo.Echo
	setupToken string
}

// open builds the node from the inside out.
func (n *node) open(ctx context.Context) (err error) {
	users, projects := access.NewReader(n.pool), catalog.NewReader(n.pool)
	who := credentials.New(users, credentials.Options{})
	judge := permission.Judge{Catalog: projects, Users: users}
	if n.setupToken, err = firstRun(ctx, n.settings, n.events, users, who); err != nil {
		return err
	}
	if n.setupToken == "" {
		n.state.Configured()
	}
	n.objects, err = store.Open(store.Config{
		SharedHome: n.settings.SharedHome, LocalHome: filepath.Join(n.settings.Home, "git"), Node: nodeName(),
		Limits: store.Limits{PackBytes: n.settings.MaxPackSize << 20},
	})
	if err != nil {
		return err
	}
	current := snapshots{refs.NewReader(n.pool, n.events, refsCacheBytes)}
	n.snapshots = current
	n.events.Arbitrate(refs.NewArbiter(current.reader))
	baseURL, err := url.Parse(n.settings.BaseURL)
	if err != nil {
		return err
	}
	commits, agent := revwalk.NewCache(commitCacheBytes), "annal/"+version
	api := rest.New(rest.Config{
		Log: n.events, Receipts: tree.NewReceipts(treeConfig(n.settings, n.events, n.pool, n.log)), Catalog: projects, Users: users, Credentials: who, Snapshots: current, Contents: browse.New(n.objects, commits),
		Activity: activity.NewQueries(n.pool), Names: reposearch.NewQueries(n.pool), Checkpoints: projections.NewCheckpoints(n.pool), Node: n.state, Maintenance: upkeep.NewQueries(n.pool),
		BaseURL: baseURL, Version: bitbucketVersion, DisplayName: "Annal", BuildNumber: "9004016", BuildDate: time.Unix(0, 0), Logger: n.log,
	})
	git := smarthttp.New(smarthttp.Config{
		Repositories: repositories{n.events, who, judge, current},
		Store:        n.objects,
		Upload:       uploadpack.New(uploadpack.Config{Agent: agent, Commits: commits}),
		Receive:      receivepack.New(receivepack.Config{Store: n.objects, Agent: agent, Commits: commits}),
		Log:          n.log,
	})
	first := setup.NewHandler(setup.Config{Log: n.events, Users: users, Credentials: who, Token: n.setupToken, Logger: n.log})
	n.site = site.New(site.Config{
		Parts:   []site.Part{n.state, api, gitPart{git}, setupPart{first, users, n.state}},
		Metrics: n.metrics, Credentials: who, Judge: judge, Logger: n.log, BaseURL: n.settings.BaseURL,
	})
	return nil
}

// gitPart mounts Git's routes where Bitbucket has them.
type gitPart struct{ handler *smarthttp.Handler }

func (p gitPart) Mount(e *echo.Echo) { p.handler.Register(e.Group("/scm")) }

func (n *node) close() {
	if n.objects == nil {
		return
	}
	if err := n.objects.Close(); err != nil {
		n.log.Error("could not close the object store", "error", err)
	}
}

// welcome says where to go next.
func (n *node) welcome(w io.Writer) {
	url := n.settings.BaseURL
	fmt.Fprintf(w, "\nAnnal %s is running at %s\n\n", version, url)
	if n.setupToken != "" {
		fmt.Fprintf(w, "  There is no administrator yet. Open this link once to become one:\n\n    %s/setup?token=%s\n\n", url, n.setupToken)
	}
	fmt.Fprintf(w, `  Next:
    curl -u admin -H 'Content-Type: application/json' -d '{"key":"DEMO","name":"Demo"}' %[1]s/rest/api/1.0/projects
    curl -u admin -H 'Content-Type: application/json' -d '{"name":"hello"}' %[1]s/rest/api/1.0/projects/DEMO/repos
    git push %[1]s/scm/demo/hello.git HEAD:refs/heads/main
    annal events tail --follow

  Everything is in %[2]s. Ctrl-C stops.

`, url, n.settings.Home)
	for name, value := range map[string]string{
		"search-url": n.settings.SearchURL, "cluster-password": n.settings.ClusterPassword, "cluster-peers": fmt.Sprint(n.settings.ClusterPeers),
	} {
		if value != "" && value != "[]" {
			n.log.Warn("this setting has no effect in this version", "setting", name)
		}
	}
}
