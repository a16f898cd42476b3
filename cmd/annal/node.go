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
	gossh "golang.org/x/crypto/ssh"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/gitserver"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/api/rest"
	"github.com/annal-git/annal/api/setup"
	"github.com/annal-git/annal/api/site"
	"github.com/annal-git/annal/api/smarthttp"
	"github.com/annal-git/annal/api/ssh"
	"github.com/annal-git/annal/api/status"
	"github.com/annal-git/annal/eventstore"
	"github.com/annal-git/annal/eventstore/tree"
	"github.com/annal-git/annal/gitfs/annotate"
	"github.com/annal-git/annal/gitfs/archive"
	"github.com/annal-git/annal/gitfs/browse"
	"github.com/annal-git/annal/gitfs/packcache"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/restore"
	"github.com/annal-git/annal/gitfs/revwalk"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
	"github.com/annal-git/annal/projections"
	"github.com/annal-git/annal/projections/access"
	"github.com/annal-git/annal/projections/activity"
	"github.com/annal-git/annal/projections/catalog"
	"github.com/annal-git/annal/projections/gpgkeys"
	"github.com/annal-git/annal/projections/lfs"
	ratelimits "github.com/annal-git/annal/projections/ratelimit"
	"github.com/annal-git/annal/projections/refs"
	audit "github.com/annal-git/annal/projections/refusals"
	"github.com/annal-git/annal/projections/reposearch"
	"github.com/annal-git/annal/projections/rules"
	"github.com/annal-git/annal/workers"
	upkeep "github.com/annal-git/annal/workers/maintenance"
)

// Memory that caches may take, in bytes. What is read of packs again and again is in the
// system's memory, too, and packs that many ask for are in files; so these are small.
const (
	refsCacheBytes   = 256 << 20
	commitCacheBytes = 32 << 20
	blockCacheBytes  = 32 << 20
	baseCacheBytes   = 24 << 20
	closureBytes     = 16 << 20
	answerBytes      = 8 << 20
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
	packs      *packcache.Cache // nil if none are kept
	workers    *workers.Group   // those that need objects
	snapshots  snapshots
	site       *echo.Echo
	ssh        *ssh.Server // nil if SSH is not served
	hostKeys   []gossh.Signer
	setupToken string
}

// open builds the node from the inside out.
func (n *node) open(ctx context.Context) (err error) {
	users, projects := access.NewReader(n.pool), catalog.NewReader(n.pool)
	baseURL, err := url.Parse(n.settings.BaseURL)
	if err != nil {
		return err
	}
	refused, err := n.newRefusals()
	if err != nil {
		return err
	}
	tokens := &tokenUses{uses: access.NewUses(n.pool), log: n.log}
	who := credentials.New(users, credentials.Options{
		Used: tokens.used, Refused: refused.logIn,
		Attempts: access.NewAttempts(n.pool), ShortestPassword: n.settings.PasswordLength, Sessions: n.settings.Logins.sessions(n.pool, baseURL),
	})
	judge := permission.Judge{Catalog: projects, Users: users, Seats: n.settings.LicensedUsers}
	gpg := gpgkeys.NewReader(n.pool)
	if n.setupToken, err = firstRun(ctx, n.settings, n.events, users, who); err != nil {
		return err
	}
	if n.setupToken == "" {
		n.state.Configured()
	}
	n.objects, err = store.Open(store.Config{
		SharedHome: n.settings.SharedHome, LocalHome: filepath.Join(n.settings.Home, "git"), Node: nodeName(),
		BlockCacheBytes: blockCacheBytes, BaseCacheBytes: baseCacheBytes,
		Limits: n.settings.storeLimits(),
	})
	if err != nil {
		return err
	}
	if n.packs, err = openPackCache(n.settings, n.metrics); err != nil {
		return err
	}
	current := snapshots{refs.NewReader(n.pool, n.events, refsCacheBytes), n.events}
	n.snapshots = current
	n.events.Arbitrate(refs.NewArbiter(current.reader))
	cluster, err := clusterID(ctx, n.events)
	if err != nil {
		return err
	}
	sshURL, sshFingerprint, err := n.openHostKeys()
	if err != nil {
		return err
	}
	rates := ratelimit.New(ratelimit.Config{Log: n.events, Rules: ratelimits.NewReader(n.pool), Ledger: ratelimits.NewLedger(n.pool), Logger: n.log, Metrics: n.metrics})
	if err := rates.Refresh(ctx); err != nil {
		return err
	}
	commits, agent := revwalk.NewCache(commitCacheBytes), "annal/"+version
	archives := archive.NewArchiver(n.objects)
	api := rest.New(rest.Config{
		Log: n.events, Receipts: tree.NewReceipts(treeConfig(n.settings, n.events, n.pool, n.log)), Catalog: projects, Users: users, Credentials: who,
		Snapshots: current, Contents: browse.New(n.objects, commits), Restores: restore.NewPlanner(n.objects, commits), Archives: archives, Tagger: annotate.New(n.objects),
		Activity: activity.NewQueries(n.pool), Names: reposearch.NewQueries(n.pool), Checkpoints: projections.NewCheckpoints(n.pool), Node: n.state,
		Maintenance: upkeep.NewQueries(n.pool), Rules: rules.NewReader(n.pool), Refusals: refused, Refused: audit.NewReader(n.pool), GPGKeys: gpg, LFS: lfs.NewReader(n.pool),
		RateLimits: ratelimits.NewReader(n.pool), Limiter: rates,
		LicensedUsers: n.settings.LicensedUsers, ServerID: cluster,
		BaseURL: baseURL, SSHURL: sshURL, SSHFingerprint: sshFingerprint, Version: bitbucketVersion, DisplayName: "Annal", BuildNumber: "9004016", BuildDate: time.Unix(0, 0), Logger: n.log,
	})
	upload := uploadpack.New(n.settings.Limits.upload(uploadpack.Config{
		Agent: agent, Commits: commits, Packs: n.packs, AnswerBytes: answerBytes,
		ClosureBytes: closureBytes, ClosureDir: filepath.Join(n.settings.Home, "git", "closures"),
	}))
	warm := newWarmer(upload, n.objects, current, n.log)
	n.workers = workers.NewGroup(n.log)
	n.workers.Start(ctx, warm)
	n.workers.Start(ctx, rates)
	n.workers.Start(ctx, refused.recorder)
	engine := gitserver.Engine{
		Store: n.objects, Upload: upload, Archives: archives, Gate: n.settings.Limits.gate(n.metrics),
		Receive: receivepack.New(n.settings.Limits.receive(receivepack.Config{Store: n.objects, Agent: agent, Commits: commits, Keys: signingKeys{gpg, users}})),
	}
	open := repositories{
		log: n.events, gate: permission.NewGate(n.events, judge, nil), judge: judge, refusals: refused, tokens: tokens, snapshots: current, rates: rates, pushed: warm.pushed,
	}
	open.gate.Denied = refused.Denied
	large, err := n.openLFS(open.gate, who, rates)
	if err != nil {
		return err
	}
	if sshURL != nil {
		n.ssh = n.sshServer(engine, open, who, map[string]ssh.Command{"git-lfs-authenticate": lfsAuthenticate(large, who, rates)})
	}
	git := smarthttp.New(smarthttp.Config{
		Repositories: overHTTP{open, who}, Engine: engine, Log: n.log, MaxFetchRequest: n.settings.Limits.MaxFetchRequest << 20, Idle: n.settings.Limits.ClientIdle,
	})
	first := setup.NewHandler(setup.Config{Log: n.events, Users: users, Credentials: who, Token: n.setupToken, Logger: n.log})
	logins, err := n.loginParts(users, who, baseURL)
	if err != nil {
		return err
	}
	n.site = site.New(site.Config{
		Parts:   append(logins, n.state, api, gitPart{git}, lfsPart{large}, setupPart{first, users, n.state}),
		Metrics: n.metrics, Credentials: who, Judge: judge, Logger: n.log, BaseURL: n.settings.BaseURL,
	})
	return nil
}

// gitPart mounts Git's routes where Bitbucket has them.
type gitPart struct{ handler *smarthttp.Handler }

func (p gitPart) Mount(e *echo.Echo) { p.handler.Register(e.Group("/scm")) }

func (n *node) close() {
	if n.workers != nil {
		n.workers.Stop()
	}
	if n.packs != nil {
		n.packs.Close()
	}
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
	fmt.Fprint(w, n.sshWelcome())
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
