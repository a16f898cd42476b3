package main

import (
	"context"
	"encoding/json"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/lfs"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/ratelimit"
	"github.com/annal-git/annal/api/site"
	"github.com/annal-git/annal/api/ssh"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/gitfs/admission"
	objects "github.com/annal-git/annal/gitfs/lfs"
	index "github.com/annal-git/annal/projections/lfs"
)

// lfsPart mounts Git LFS beside Git's routes.
type lfsPart struct{ handler *lfs.Handler }

func (p lfsPart) Mount(e *echo.Echo) { p.handler.Register(e.Group("/scm")) }

// openLFS makes what answers Git LFS. Transfers have turns of their own: they take long, and
// fetches and pushes need not wait for them.
func (n *node) openLFS(gate *permission.Gate, who *credentials.Authenticator, rates *ratelimit.Limiter) (*lfs.Handler, error) {
	secret, err := lfs.Secret(n.settings.keysDir())
	if err != nil {
		return nil, err
	}
	l := n.settings.Limits
	turns := admission.New(admission.Config{Running: l.MaxRequests, PerUser: l.MaxUserRequests, Waiting: l.MaxWaiting, Patience: l.MaxWait})
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "annal_lfs_bytes_total", Help: "Bytes of Git LFS objects moved, by direction.",
	}, []string{"direction"})
	transfers := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "annal_lfs_transfers_total", Help: "Transfers of Git LFS objects, by direction and whether they went through.",
	}, []string{"direction", "outcome"})
	n.metrics.MustRegister(bytes, transfers,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "annal_lfs_transfers_running", Help: "Transfers of Git LFS objects worked on now."},
			func() float64 { running, _ := turns.Load(); return float64(running) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "annal_lfs_transfers_waiting", Help: "Transfers of Git LFS objects that wait for their turn."},
			func() float64 { _, waiting := turns.Load(); return float64(waiting) }))
	return lfs.New(lfs.Config{
		Log: n.events, Gate: gate, Rates: rates, Credentials: who, Index: index.NewReader(n.pool),
		Objects: objects.Open(n.settings.SharedHome, nodeName(), nil), Admission: turns,
		Secret: secret, BaseURL: n.settings.BaseURL, MaxObject: l.MaxLFSObject << 20, Idle: l.ClientIdle, Logger: n.log,
		Observe: func(direction string, moved int64, err error) {
			outcome := "done"
			if err != nil {
				outcome = "failed"
			}
			bytes.WithLabelValues(direction).Add(float64(moved))
			transfers.WithLabelValues(direction, outcome).Inc()
		},
	}), nil
}

// lfsAuthenticate answers git-lfs-authenticate: it sends the client on to HTTP.
func lfsAuthenticate(handler *lfs.Handler, who *credentials.Authenticator, rates *ratelimit.Limiter) ssh.Command {
	usage := &ssh.UsageError{Usage: "git-lfs-authenticate '<project>/<repository>.git' download|upload"}
	return func(ctx context.Context, e *ssh.Exec) error {
		ctx = site.WithOrigin(ctx, site.Origin{Address: e.Address, RequestID: e.RequestID})
		if len(e.Arguments) < 2 || len(e.Arguments) > 3 { // the third is an oid that old clients send
			return usage
		}
		name, ok := ssh.ParsePath(e.Arguments[0])
		if !ok {
			return domain.NotFound("repository", "There is no repository by that name.")
		}
		asker := sshAsker(e.Key, who)
		asker.Admit = rates.Once(e.Address)
		answer, user, known, err := handler.Authenticate(ctx, asker, name, e.Arguments[1])
		e.User = user
		if err != nil {
			return err
		}
		if !known {
			return usage
		}
		return json.NewEncoder(e.Out).Encode(answer)
	}
}
