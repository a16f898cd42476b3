package projector

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events   *prometheus.CounterVec
	failures *prometheus.CounterVec
	parked   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	position *prometheus.GaugeVec
}

func newMetrics() *metrics {
	label := []string{"projection"}
	return &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_projection_events_total", Help: "Events applied by this node.",
		}, label),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_projection_failures_total", Help: "Pages of events that could not be applied after all retries.",
		}, label),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_projection_parked_total", Help: "Events set aside by this node.",
		}, label),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "annal_projection_page_seconds", Help: "Time to apply a page of events, in seconds.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, label),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "annal_projection_position", Help: "Position of the log up to which this node has applied events.",
		}, label),
	}
}

func (m *metrics) register(registerer prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.events, m.failures, m.parked, m.seconds, m.position} {
		if err := registerer.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// measure is a middleware that counts and times pages.
func (m *metrics) measure(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		name, page, start := message.HandlerNameFromCtx(msg.Context()), pageOf(msg), time.Now()
		produced, err := next(msg)
		m.seconds.WithLabelValues(name).Observe(time.Since(start).Seconds())
		if err != nil {
			m.failures.WithLabelValues(name).Inc()
			return produced, err
		}
		m.events.WithLabelValues(name).Add(float64(len(page.events)))
		m.position.WithLabelValues(name).Set(float64(page.from + int64(len(page.events))))
		return produced, nil
	}
}
