package maintenance

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	jobs       *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
	superseded prometheus.Counter
	removed    prometheus.Counter
	restored   prometheus.Counter
	running    prometheus.Gauge
}

func newMetrics() metrics {
	return metrics{
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_maintenance_jobs_total", Help: "Jobs that combined packs on this node, by kind and outcome (done, failed).",
		}, []string{"kind", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "annal_maintenance_job_seconds", Help: "How long jobs took that combined packs.", Buckets: prometheus.ExponentialBuckets(0.1, 4, 10),
		}, []string{"kind"}),
		superseded: prometheus.NewCounter(prometheus.CounterOpts{Name: "annal_maintenance_packs_superseded_total", Help: "Packs that were combined into others."}),
		removed:    prometheus.NewCounter(prometheus.CounterOpts{Name: "annal_maintenance_files_removed_total", Help: "Packs and staged files that were moved to the trash for good."}),
		restored:   prometheus.NewCounter(prometheus.CounterOpts{Name: "annal_maintenance_files_restored_total", Help: "Packs that were moved back from the trash because a push had registered them meanwhile."}),
		running:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "annal_maintenance_running", Help: "Jobs that combine packs on this node now."}),
	}
}

func (m metrics) register(to prometheus.Registerer) error {
	var errs []error
	for _, c := range []prometheus.Collector{m.jobs, m.seconds, m.superseded, m.removed, m.restored, m.running} {
		errs = append(errs, to.Register(c))
	}
	return errors.Join(errs...)
}
