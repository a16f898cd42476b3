package logbench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// loadTime is how long a load runs.
const loadTime = 1500 * time.Millisecond

// load is what a number of writers did in a while.
type load struct {
	done      int64
	took      time.Duration
	latencies []time.Duration // sorted
	cpu       time.Duration   // of the server and this process
}

func (l load) perSecond() float64 { return float64(l.done) / l.took.Seconds() }

func (l load) quantile(q float64) time.Duration {
	return l.latencies[int(q*float64(len(l.latencies)-1))]
}

func (l load) String() string {
	return fmt.Sprintf("%.0f/s, p50 %v, p99 %v, CPU %.1f us each", l.perSecond(),
		l.quantile(0.5).Round(time.Microsecond), l.quantile(0.99).Round(time.Microsecond), 1e6*l.cpuPerOperation())
}

func (l load) cpuPerOperation() float64 { return l.cpu.Seconds() / float64(l.done) }

// run has writers repeat an operation for loadTime.
func (s *server) run(b *testing.B, writers int, operation func(ctx context.Context, writer int) error) load {
	b.Helper()
	ctx := b.Context()
	latencies := make([][]time.Duration, writers)
	var stop atomic.Bool
	var wg sync.WaitGroup
	start, cpu := time.Now(), s.cpu(b)
	for w := range writers {
		wg.Go(func() {
			for !stop.Load() {
				begun := time.Now()
				if err := operation(ctx, w); err != nil {
					b.Error(err)
					return
				}
				latencies[w] = append(latencies[w], time.Since(begun))
			}
		})
	}
	<-time.After(loadTime)
	stop.Store(true)
	wg.Wait()
	l := load{took: time.Since(start), cpu: s.cpu(b) - cpu}
	for _, some := range latencies {
		l.latencies = append(l.latencies, some...)
	}
	slices.Sort(l.latencies)
	l.done = int64(len(l.latencies))
	if l.done == 0 {
		b.Fatal("nothing was done")
	}
	return l
}
