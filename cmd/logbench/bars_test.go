package logbench

import (
	"fmt"
	"os"
	"slices"
	"testing"
)

// bar is one promise. A value beyond must is kept; reach is what we believe is possible.
type bar struct {
	name        string
	must, reach float64
	atMost      bool // small values are good ones
	unit        string
	measure     func(b *testing.B) float64
}

// bars of the design, by their names in docs/performance.md.
var bars = []bar{
	{name: "append64", must: 2.5, reach: 3.0, unit: "R(64)", measure: appendAt(64, 1)},
	{name: "append64-cpu", must: 0.30, reach: 0.22, atMost: true, unit: "of the raw insert's CPU", measure: appendCPU},
	{name: "append64-p99", must: 0.4, reach: 0.25, atMost: true, unit: "of the raw insert's p99", measure: appendP99},
	{name: "append150", must: 3.5, reach: 4.0, unit: "R(150)", measure: appendAt(150, 1)},
	{name: "append150-3nodes", must: 2.5, reach: 3.0, unit: "R(150)", measure: appendAt(150, 3)},
	{name: "append64-3nodes", must: 1.5, reach: 1.8, unit: "R(64)", measure: appendAt(64, 3)},
	{name: "append1", must: 0.75, reach: 0.9, unit: "R(1)", measure: appendAt(1, 1)},
	{name: "append1-far", must: 1.10, reach: 1.05, atMost: true, unit: "of the raw insert's p50, 0.5 ms away", measure: appendFar},
	{name: "replay", must: 1.0, reach: 1.4, unit: "M events/s of client CPU", measure: replayStored},
	{name: "replay-folded", must: 0.35, reach: 0.6, unit: "M events/s of client CPU", measure: replayFolded},
	{name: "append-share-of-copy", must: 0.25, reach: 0.33, unit: "of COPY into the same table, at 150 writers", measure: shareOfCopy},
	{name: "snapshot", must: 1.3, reach: 1.05, atMost: true, unit: "of the CPU at the start, after 100,000 pushes under an old snapshot", measure: underSnapshot},
	{name: "idle-elsewhere", must: 2, reach: 1, atMost: true, unit: "of the undisturbed lag (p99)", measure: besideIdle},
	{name: "wakeup", must: 0.90, reach: 0.95, unit: "of the throughput without listeners", measure: wakeUp},
	{name: "stopped-node", must: 500, reach: 300, atMost: true, unit: "ms is the longest push", measure: behindStopped},
	{name: "grown", must: 1.3, reach: 1.1, atMost: true, unit: "of the CPU at 1,000,000 events, at 10,000,000", measure: grown},
	{name: "catch-up", must: 5, reach: 8, unit: "R(64), events of a projection that catches up", measure: catchUp},
	{name: "rebuild", must: 6, reach: 3, atMost: true, unit: "s for the refs of 1,000,000 events while 1,000 pushes/s go on", measure: rebuildTime},
	{name: "rebuild-pushes", must: 20, reach: 5, atMost: true, unit: "% fewer pushes while refs are rebuilt", measure: rebuildSlowdown},
	{name: "lag-p50", must: 8, reach: 4, atMost: true, unit: "of the raw insert's p50, from answer to projection", measure: ackLag(0.5)},
	{name: "lag-p99", must: 20, reach: 12, atMost: true, unit: "of the raw insert's p50, from answer to projection", measure: ackLag(0.99)},
	{name: "lag-deaf", must: 350, reach: 270, atMost: true, unit: "ms is the p99 from answer to projection without any hint", measure: ackLagDeaf},
	{name: "poison", must: 1000, reach: 500, atMost: true, unit: "ms for a page with a stream that cannot be applied", measure: poison},
	{name: "takeover-killed", must: 4, reach: 3.2, atMost: true, unit: "s until the lease of a killed process is taken", measure: takeover},
	{name: "takeover-stopped", must: 0.5, reach: 0.1, atMost: true, unit: "s until a lease that was given back is taken", measure: release},
	{name: "storage", must: 550, reach: 450, atMost: true, unit: "bytes a push", measure: storage},
	{name: "verify-hash", must: 1.5, reach: 2.2, unit: "M events/s a core", measure: rehashing},
	{name: "verify", must: 0.25, reach: 0.5, unit: "M events/s a core", measure: verifying},
	{name: "evidence-push", must: 1, reach: 0.3, atMost: true, unit: "us of CPU a push", measure: hashing},
	{name: "signed", must: 2, reach: 1.2, atMost: true, unit: "s from answer to checkpoint, p99", measure: signing},
	{name: "prove", must: 5, reach: 1, atMost: true, unit: "ms a proof among 10 M, p99", measure: proving},
}

// BenchmarkBars measures each bar once and prints a line for it. It takes minutes; choose
// with -bench Bars/append64.
func BenchmarkBars(b *testing.B) {
	for _, bar := range bars {
		b.Run(bar.name, func(b *testing.B) {
			var value float64
			for b.Loop() {
				value = bar.measure(b)
			}
			sign, verdict := ">=", "short"
			if bar.atMost {
				sign = "<="
			}
			switch {
			case bar.meets(value, bar.reach):
				verdict = "reached"
			case bar.meets(value, bar.must):
				verdict = "kept"
			}
			fmt.Fprintf(os.Stdout, "\n%-18s %8.2f %s   must %s %g, reach %g: %s\n", bar.name, value, bar.unit, sign, bar.must, bar.reach, verdict)
			b.ReportMetric(value, "value")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func (bar bar) meets(value, mark float64) bool {
	if bar.atMost {
		return value <= mark
	}
	return value >= mark
}

// repetitions of a measurement, of which the median counts.
const repetitions = 5

// paired measures two loads alternately and returns the median of the ratios that value
// makes of each pair.
func paired(b *testing.B, ours, raw func() load, value func(ours, raw load) float64) float64 {
	b.Helper()
	ratios := make([]float64, repetitions)
	for i := range ratios {
		r := raw()
		o := ours()
		ratios[i] = value(o, r)
		b.Logf("raw: %v; ours: %v; ratio %.2f", r, o, ratios[i])
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func throughput(ours, raw load) float64 { return ours.perSecond() / raw.perSecond() }
