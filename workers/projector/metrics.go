package projector

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events   *prometheus.CounterVec
	failures *prometheus.CounterVec
	parked   *prometheus.CounterVec
	seconds  *prometheus.HistogramVec

	mu      sync.Mutex
	running map[*progress]bool
}

func newMetrics() *metrics {
	label := []string{"projection"}
	return &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_projection_events_total", Help: "Events applied by this node.",
		}, label),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_projection_failures_total", Help: "How often a runner on this node had to begin anew after an error.",
		}, label),
		parked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annal_projection_parked_total", Help: "Events that this node could not apply and set aside with their stream.",
		}, label),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "annal_projection_page_seconds", Help: "Time to apply a page of events, in seconds.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, label),
		running: map[*progress]bool{},
	}
}

func (m *metrics) register(registerer prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.events, m.failures, m.parked, m.seconds, m} {
		if err := registerer.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *metrics) applied(name string, events int64, took time.Duration) {
	m.events.WithLabelValues(name).Add(float64(events))
	m.seconds.WithLabelValues(name).Observe(took.Seconds())
}

func (m *metrics) begin(name string, shard int) *progress {
	p := &progress{name: name, shard: shard, since: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[p] = true
	return p
}

func (m *metrics) end(p *progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, p)
}

// What is told of each shard that this node runs.
var (
	shardLabels  = []string{"projection", "shard"}
	positionDesc = prometheus.NewDesc("annal_projection_position", "Position of the log up to which the shard has applied events.", shardLabels, nil)
	lagDesc      = prometheus.NewDesc("annal_projection_lag_events", "Events in the log that the shard has not applied yet.", shardLabels, nil)
	stillDesc    = prometheus.NewDesc("annal_projection_still_seconds",
		"For how long the shard has not moved although there are events, in seconds; 0 if it has read all.", shardLabels, nil)
	stoppedDesc = prometheus.NewDesc("annal_projection_stopped", "1 if the shard has stopped at an event and waits for an operator.", shardLabels, nil)
)

// Describe implements prometheus.Collector.
func (*metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{positionDesc, lagDesc, stillDesc, stoppedDesc} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p := range m.running {
		position, lag, still, stopped := p.read()
		stops := 0.0
		if stopped {
			stops = 1
		}
		for desc, value := range map[*prometheus.Desc]float64{
			positionDesc: float64(position), lagDesc: float64(lag), stillDesc: still.Seconds(), stoppedDesc: stops,
		} {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, p.name, strconv.Itoa(p.shard))
		}
	}
}

// progress is how far a runner is, as it and its watch see it.
type progress struct {
	name  string
	shard int

	mu       sync.Mutex
	position int64
	end      int64     // of the log
	since    time.Time // when it last moved, or when events came that it has not applied
	stopped  bool
}

func (p *progress) saw(head int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end <= p.position && head > p.position {
		p.since = time.Now()
	}
	p.end = max(p.end, head)
}

func (p *progress) moved(position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if position != p.position {
		p.position, p.since = position, time.Now()
	}
}

func (p *progress) stop(stopped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped, p.since = stopped, time.Now()
}

func (p *progress) head() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

func (p *progress) read() (position, lag int64, still time.Duration, stopped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if lag = max(p.end-p.position, 0); lag > 0 {
		still = time.Since(p.since)
	}
	return p.position, lag, still, p.stopped
}

// stuck tells whether the runner has had events for so long and has not moved.
func (p *progress) stuck(limit time.Duration) bool {
	_, _, still, stopped := p.read()
	return still > limit && !stopped
}
