package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/api/credentials"
	"github.com/annal-git/annal/api/lfs"
	"github.com/annal-git/annal/api/permission"
	"github.com/annal-git/annal/api/site"
	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/access"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
	audit "github.com/annal-git/annal/projections/refusals"
)

// refusals is where everything is reported that log-ins, permissions and rules have refused, from
// Git and from REST: counted and written down, and rules' refusals are logged, too. It implements
// rest.Refusals.
type refusals struct {
	log      *slog.Logger
	total    *prometheus.CounterVec
	recorder *audit.Recorder
}

func (n *node) newRefusals() (*refusals, error) {
	key, err := lfs.Secret(n.settings.keysDir())
	if err != nil {
		return nil, err
	}
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "annal_refusals_dropped_total", Help: "Refusals that came too fast to be written down.",
	})
	r := &refusals{
		log: n.log,
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_rule_refusals_total", Help: "Refs that a branch permission or push rule has kept from being moved, by rule.",
		}, []string{"rule"}),
		recorder: audit.NewRecorder(audit.Config{
			Pool: n.pool, Key: key, Keep: n.settings.KeepRefusals, Log: n.log, Dropped: func(n int) { dropped.Add(float64(n)) },
		}),
	}
	n.metrics.MustRegister(r.total, dropped)
	return r, nil
}

// logIn records a password or token that did not let in.
func (r *refusals) logIn(ctx context.Context, user domain.UserID, name string) {
	r.record(ctx, audit.Refusal{Kind: audit.LogIn, User: user, Name: name})
}

// sshLogIn records a client whose keys did not let in.
func (r *refusals) sshLogIn(address string) {
	r.recorder.Record(audit.Refusal{At: time.Now(), Kind: audit.LogIn, Need: "ssh", Metadata: domain.Metadata{Address: address}})
}

// Denied records a request that a permission would have let through. Who has not logged in is but
// asked to, and that is no refusal.
func (r *refusals) Denied(ctx context.Context, caller credentials.Caller, err error) {
	var denied *permission.DeniedError
	var hidden *permission.HiddenError
	refusal := audit.Refusal{Kind: audit.Permission, User: caller.User.ID}
	switch {
	case caller.Anonymous():
		return
	case errors.As(err, &denied):
		refusal.Need, refusal.Target = string(denied.Need), denied.Target
	case errors.As(err, &hidden):
		refusal.Need, refusal.Target = string(hidden.Need), hidden.Target
	default:
		return
	}
	r.record(ctx, refusal)
}

func (r *refusals) record(ctx context.Context, refusal audit.Refusal) {
	from := site.OriginOf(ctx)
	refusal.At, refusal.Address, refusal.RequestID = time.Now(), from.Address, from.RequestID
	r.recorder.Record(refusal)
}

// maxLogged bounds the lines that one push may add to the log.
const maxLogged = 20

// Refused reports what rules have refused of one push. Texts are not logged: they may
// quote what the pusher sent.
func (r *refusals) Refused(ctx context.Context, repository domain.RepositoryID, meta domain.Metadata, refused []rules.Refusal) {
	for i, refusal := range refused {
		r.total.WithLabelValues(refusal.Rule).Inc()
		if i >= maxLogged {
			continue
		}
		attributes := []slog.Attr{
			slog.String("rule", refusal.Rule), slog.Int64("repository", int64(repository)), slog.String("ref", refusal.Ref),
			slog.Int64("user", int64(meta.Actor)), slog.String("auth", meta.Auth), slog.String("address", meta.Address), slog.String("request", meta.RequestID),
		}
		if refusal.Commit != git.ZeroID {
			attributes = append(attributes, slog.String("commit", refusal.Commit.String()))
		}
		if refusal.Path != "" {
			attributes = append(attributes, slog.String("path", refusal.Path), slog.Int("line", refusal.Line))
		}
		r.recorder.Record(audit.Refusal{
			At: time.Now(), Kind: audit.Rule, User: meta.Actor, Target: access.Target{Repository: repository}, Need: refusal.Rule, Ref: refusal.Ref, Metadata: meta,
		})
		r.log.LogAttrs(ctx, slog.LevelInfo, "refused by a rule", attributes...)
	}
}
