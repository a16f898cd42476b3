package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/domain"
	"github.com/annal-git/annal/domain/git"
	"github.com/annal-git/annal/domain/rules"
)

// refusals is where everything is reported that rules of repositories have refused, from
// pushes and from REST: counted and logged. It implements rest.Refusals.
type refusals struct {
	log   *slog.Logger
	total *prometheus.CounterVec
}

func newRefusals(log *slog.Logger, metrics prometheus.Registerer) *refusals {
	r := &refusals{log, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "annal_rule_refusals_total", Help: "Refs that a branch permission or push rule has kept from being moved, by rule.",
	}, []string{"rule"})}
	metrics.MustRegister(r.total)
	return r
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
		r.log.LogAttrs(ctx, slog.LevelInfo, "refused by a rule", attributes...)
	}
}
