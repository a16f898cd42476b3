package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/annal-git/annal/gitfs/admission"
	"github.com/annal-git/annal/gitfs/receivepack"
	"github.com/annal-git/annal/gitfs/store"
	"github.com/annal-git/annal/gitfs/uploadpack"
)

// limits bound what clients of Git may send and ask for. Whoever runs into one is told its
// name and figure.
type limits struct {
	MaxObjectSize   int64 `help:"Largest object in a push, in MiB." default:"512" placeholder:"MIB" env:"ANNAL_MAX_OBJECT_SIZE" group:"Limits of Git requests:"`
	MaxPushObjects  int64 `help:"Objects in a push." default:"5000000" placeholder:"N" env:"ANNAL_MAX_PUSH_OBJECTS" group:"Limits of Git requests:"`
	MaxPushUnpacked int64 `help:"Sizes of all objects of a push together, unpacked, in MiB." default:"16384" placeholder:"MIB" env:"ANNAL_MAX_PUSH_UNPACKED" group:"Limits of Git requests:"`
	MaxPushRefs     int   `help:"Refs changed by one push." default:"10000" placeholder:"N" env:"ANNAL_MAX_PUSH_REFS" group:"Limits of Git requests:"`
	MaxPushOptions  int   `help:"Options (git push -o) of one push." default:"100" placeholder:"N" env:"ANNAL_MAX_PUSH_OPTIONS" group:"Limits of Git requests:"`
	MaxDeltaDepth   int   `help:"Deltas between an object of a push and one that is whole." default:"4095" placeholder:"N" env:"ANNAL_MAX_DELTA_DEPTH" group:"Limits of Git requests:"`
	MaxTreeDepth    int   `help:"Folders inside of each other in a push." default:"2048" placeholder:"N" env:"ANNAL_MAX_TREE_DEPTH" group:"Limits of Git requests:"`
	MaxWants        int   `help:"Objects asked for in one fetch." default:"250000" placeholder:"N" env:"ANNAL_MAX_WANTS" group:"Limits of Git requests:"`
	MaxFetchRequest int64 `help:"Largest request of a fetch, unpacked, in MiB." default:"16" placeholder:"MIB" env:"ANNAL_MAX_FETCH_REQUEST" group:"Limits of Git requests:"`
	MaxLFSObject    int64 `help:"Largest object of Git LFS, in MiB." default:"10240" placeholder:"MIB" env:"ANNAL_MAX_LFS_OBJECT" group:"Limits of Git requests:"`

	MaxRequests     int           `help:"Requests that make or bring a pack, worked on at a time." default:"64" placeholder:"N" env:"ANNAL_MAX_REQUESTS" group:"Limits of Git requests:"`
	MaxUserRequests int           `help:"Of these, how many may be of one user." default:"32" placeholder:"N" env:"ANNAL_MAX_USER_REQUESTS" group:"Limits of Git requests:"`
	MaxWaiting      int           `help:"Of these, how many may wait for their turn. More are answered 429." default:"1024" placeholder:"N" env:"ANNAL_MAX_WAITING" group:"Limits of Git requests:"`
	MaxWait         time.Duration `help:"How long one may wait for its turn." default:"60s" placeholder:"DURATION" env:"ANNAL_MAX_WAIT" group:"Limits of Git requests:"`
	ClientIdle      time.Duration `help:"How long a client may neither send nor take anything." default:"60s" placeholder:"DURATION" env:"ANNAL_CLIENT_IDLE" group:"Limits of Git requests:"`
}

func (l limits) check() error {
	for _, n := range []struct {
		name        string
		value, most int64
	}{
		{"max-object-size", l.MaxObjectSize, 1 << 20}, {"max-push-objects", l.MaxPushObjects, 1 << 31},
		{"max-push-unpacked", l.MaxPushUnpacked, 1 << 30}, {"max-push-refs", int64(l.MaxPushRefs), 1_000_000},
		{"max-push-options", int64(l.MaxPushOptions), 10_000}, {"max-delta-depth", int64(l.MaxDeltaDepth), 4095},
		{"max-tree-depth", int64(l.MaxTreeDepth), 4096}, {"max-wants", int64(l.MaxWants), 10_000_000},
		{"max-fetch-request", l.MaxFetchRequest, 1024}, {"max-lfs-object", l.MaxLFSObject, 1 << 30}, {"max-requests", int64(l.MaxRequests), 100_000},
		{"max-user-requests", int64(l.MaxUserRequests), 100_000}, {"max-waiting", int64(l.MaxWaiting), 1_000_000},
	} {
		if n.value < 1 || n.value > n.most {
			return &settingError{n.name, strconv.FormatInt(n.value, 10), fmt.Sprintf("use a number from 1 to %d", n.most)}
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"max-wait", l.MaxWait}, {"client-idle", l.ClientIdle}} {
		if d.value < time.Second || d.value > time.Hour {
			return &settingError{d.name, d.value.String(), "use a duration from 1s to 1h, such as 60s"}
		}
	}
	return nil
}

func (s settings) storeLimits() store.Limits {
	l := s.Limits
	return store.Limits{
		PackBytes: s.MaxPackSize << 20, ObjectBytes: l.MaxObjectSize << 20, MemoryObject: min(l.MaxObjectSize, 32) << 20,
		Objects: l.MaxPushObjects, InflatedBytes: l.MaxPushUnpacked << 20, DeltaDepth: l.MaxDeltaDepth, TreeDepth: l.MaxTreeDepth,
	}
}

// receive sets the limits of pushes.
func (l limits) receive(c receivepack.Config) receivepack.Config {
	c.MaxCommands, c.MaxOptions = l.MaxPushRefs, l.MaxPushOptions
	return c
}

// upload sets the limits of fetches.
func (l limits) upload(c uploadpack.Config) uploadpack.Config {
	c.MaxWants, c.MaxRequest = l.MaxWants, int(l.MaxFetchRequest<<20)
	return c
}

// gate makes the gate of requests that make or bring a pack, and shows how many there are.
func (l limits) gate(metrics *prometheus.Registry) *admission.Gate {
	g := admission.New(admission.Config{Running: l.MaxRequests, PerUser: l.MaxUserRequests, Waiting: l.MaxWaiting, Patience: l.MaxWait})
	metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "annal_git_requests_running", Help: "Git requests that make or bring a pack, worked on now."},
			func() float64 { running, _ := g.Load(); return float64(running) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "annal_git_requests_waiting", Help: "Git requests that make or bring a pack and wait for their turn."},
			func() float64 { _, waiting := g.Load(); return float64(waiting) }))
	return g
}
