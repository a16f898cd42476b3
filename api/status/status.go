// Package status answers GET /status as Bitbucket does: load balancers read the code
// and the body to decide whether a node gets requests.
package status

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// State is what a node says of itself.
type State string

// The states of Bitbucket's contract.
const (
	Starting    State = "STARTING"
	FirstRun    State = "FIRST_RUN"
	Running     State = "RUNNING"
	Maintenance State = "MAINTENANCE"
	Error       State = "ERROR"
	Stopping    State = "STOPPING"
)

// code is the HTTP status that goes with a state.
func (s State) code() int {
	switch s {
	case FirstRun, Running, Maintenance:
		return http.StatusOK
	case Starting, Stopping:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// Node is the state of this node. Its zero value is not usable; use New.
type Node struct {
	mu          sync.Mutex
	phase       State // Starting, Running or Stopping
	configured  bool  // an administrator exists
	maintenance bool
	faults      map[string]error // what is wrong, by who found it
}

// New is a node that is starting.
func New() *Node { return &Node{phase: Starting, faults: map[string]error{}} }

// Ready says that the node serves.
func (n *Node) Ready() { n.set(func() { n.phase = Running }) }

// Stop says that the node is about to stop. It stays so.
func (n *Node) Stop() { n.set(func() { n.phase = Stopping }) }

// Configured says that an administrator exists.
func (n *Node) Configured() { n.set(func() { n.configured = true }) }

// SetMaintenance begins or ends maintenance.
func (n *Node) SetMaintenance(on bool) { n.set(func() { n.maintenance = on }) }

// Fault notes what is wrong, or with nil that it no longer is. While anything is,
// the node's state is Error.
func (n *Node) Fault(who string, err error) {
	n.set(func() {
		if err == nil {
			delete(n.faults, who)
		} else {
			n.faults[who] = err
		}
	})
}

func (n *Node) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

// State is the node's state now. What keeps requests away comes first.
func (n *Node) State() State {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.phase != Running:
		return n.phase
	case len(n.faults) > 0:
		return Error
	case n.maintenance:
		return Maintenance
	case !n.configured:
		return FirstRun
	default:
		return Running
	}
}

// Mount adds the route. Anybody may ask: a balancer has no account.
func (n *Node) Mount(e *echo.Echo) {
	e.Match([]string{http.MethodGet, http.MethodHead}, "/status", func(c echo.Context) error {
		state := n.State()
		c.Response().Header().Set("Cache-Control", "no-store")
		return c.JSON(state.code(), map[string]State{"state": state})
	})
}

// Watch asks check again and again whether what the node depends on works, until ctx
// ends, and keeps the fault named who accordingly. Each asking has a deadline of an
// interval. It implements the Run of a service.
func (n *Node) Watch(ctx context.Context, who string, interval time.Duration, check func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		asking, cancel := context.WithTimeout(ctx, interval)
		err := check(asking)
		cancel()
		if ctx.Err() == nil {
			n.Fault(who, err)
		}
	}
}
